"""Who comes in, and where to."""

import time
from contextlib import contextmanager

import pytest
from pika.exceptions import ProbableAccessDeniedError, ProbableAuthenticationError

from stock.pika_words import expelled


@pytest.mark.parametrize("user", ["admin", "sha512", "plain"])
def test_a_password_in_any_form_lets_its_user_in(connect, user):
    assert connect(user).is_open
    assert connect(user).is_open, "and again"


@pytest.mark.parametrize(
    "user, password",
    [("admin", "wrong"), ("sha512", "wrong"), ("plain", "wrong"), ("nobody", "wrong"), ("nopassword", "wrong")],
)
def test_a_wrong_password_and_an_unknown_user_are_refused_in_the_same_words(connect, user, password):
    with pytest.raises(ProbableAuthenticationError) as error:
        connect(user, password=password)
    words = (
        "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile."
    )
    assert words in str(error.value)


def test_nobody_comes_in_with_an_empty_password(connect):
    for user in ["nopassword", "admin"]:
        with pytest.raises(ProbableAuthenticationError):
            connect(user, password="")


def test_a_virtual_host_is_entered_with_permission_only(connect):
    with shut_out("access to vhost '/' refused for user 'stranger'"):
        connect("stranger")
    with shut_out("access to vhost 'crowded' refused for user 'ann'"):
        connect("ann", vhost="crowded")
    with shut_out("vhost nowhere not found"):
        connect("admin", vhost="nowhere")


def test_a_virtual_host_has_no_more_connections_than_it_may(connect):
    first = connect("admin", vhost="crowded")
    with shut_out("access to vhost 'crowded' refused for user 'admin': connection limit (1) is reached"):
        connect("admin", vhost="crowded")
    first.close()
    assert reconnected(connect, "admin", vhost="crowded").is_open


def test_a_user_has_no_more_connections_and_channels_than_it_may(connect):
    first = reconnected(connect, "single")
    with shut_out("connection refused for user 'single': user connection limit (1) is reached"):
        connect("single")
    first.channel()
    first.channel().close()
    words = "number of channels opened for user 'single' has reached the maximum allowed user limit of (2)"
    with expelled(530, f"NOT_ALLOWED - {words}"):
        for _ in range(50):  # RabbitMQ counts a channel a moment after it is open
            first.channel()


@contextmanager
def shut_out(text):
    """The broker refuses to open the virtual host, in these words."""
    with pytest.raises(ProbableAccessDeniedError) as error:
        yield
    assert f"NOT_ALLOWED - {text}" in str(error.value).replace("\\'", "'")  # pika quotes it


def reconnected(connect, *args, **options):
    """RabbitMQ counts a connection that has just been closed for a moment longer."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return connect(*args, **options)
        except ProbableAccessDeniedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
