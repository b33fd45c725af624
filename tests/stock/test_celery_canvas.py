"""Celery: chords and what is built of them, with results in files that all processes see."""

import pytest
from celery import chain, chord, group
from celery.exceptions import ChordError

from stock.celery.worker import Worker, client, tasks

TIMEOUT = 20  # seconds


@pytest.fixture(scope="module")
def todo(broker, tmp_path_factory):
    backend = f"file://{tmp_path_factory.mktemp('results')}"
    with client(broker, backend) as app:
        with Worker(broker, "-P", "threads", "-c", "4", backend=backend):
            yield tasks(app)


def test_a_chord_calls_its_body_with_all_results(todo):
    assert chord(todo.add.s(number, 1) for number in range(10))(todo.total.s()).get(TIMEOUT) == 55


def test_a_chord_of_which_a_part_fails_fails(todo):
    result = chord([todo.add.s(1, 1), todo.fail.s("no luck")])(todo.total.s())
    error = result.get(TIMEOUT, propagate=False)
    assert isinstance(error, ChordError) and "no luck" in str(error)


def test_a_group_in_a_chain_becomes_a_chord(todo):
    work = chain(todo.add.s(1, 1), group(todo.add.s(number) for number in range(5)), todo.total.s(), todo.add.s(100))
    assert work().get(TIMEOUT) == 120


def test_chords_in_a_chord(todo):
    inner = [chord([todo.add.s(1, n), todo.add.s(2, n)], todo.total.s()) for n in (10, 20)]
    assert chord(inner)(todo.total.s()).get(TIMEOUT) == 66


def test_chunks_and_starmap(todo):
    assert todo.add.chunks([(n, n) for n in range(10)], 4)().get(TIMEOUT) == [[0, 2, 4, 6], [8, 10, 12, 14], [16, 18]]
    assert todo.add.starmap([(1, 2), (3, 4)]).apply_async().get(TIMEOUT) == [3, 7]


def test_a_retried_part_completes_its_chord(todo):
    assert chord([todo.stubborn.s(2), todo.stubborn.s(0)])(todo.total.s()).get(TIMEOUT) == 4
