"""What policies do to queues and exchanges that are declared while they are in force."""

import pytest
from pika.exceptions import NackError

from stock.pika_words import drain, send


def test_the_smaller_of_a_policy_s_and_an_operator_s_limit_holds(admin, name):
    queue = name("ruled.q")
    admin.queue_declare(queue, exclusive=True)
    send(admin, queue, b"1", b"2", b"3")
    with pytest.raises(NackError):
        send(admin, queue, b"4")
    assert drain(admin, queue) == [b"1", b"2", b"3"]


def test_a_policy_of_higher_priority_takes_the_other_s_place(admin, name):
    queue = name("ruled.more")
    admin.queue_declare(queue, exclusive=True)
    send(admin, queue, b"1", b"2")
    assert drain(admin, queue) == [b"2"], "and its overflow is no longer reject-publish"


def test_the_smaller_of_an_argument_s_and_a_policy_s_limit_holds(admin, name):
    queue = name("ruled.q")
    admin.queue_declare(queue, exclusive=True, arguments={"x-max-length": 2, "x-overflow": "drop-head"})
    send(admin, queue, b"1", b"2", b"3")
    assert drain(admin, queue) == [b"2", b"3"], "the argument's overflow counts before the policy's"


def test_a_policy_gives_an_exchange_its_alternate(admin, name):
    exchange = name("spared.x")
    admin.exchange_declare(exchange, auto_delete=True)
    admin.queue_purge("others.q")
    admin.basic_publish(exchange, "nowhere", b"x", mandatory=True)
    assert drain(admin, "others.q") == [b"x"]
    admin.exchange_delete(exchange)
