"""Which batch a thread takes, and what becomes of those that wait."""

import threading

import numpy as np
import pytest
import tensorflow as tf

from tfnorm.server.batching.parameters import BatchingParameters
from tfnorm.server.batching.queues import Queues

LONG = 60_000_000
A, B = ("a", ("y",)), ("b", ("y",))


@pytest.fixture
def taken():
    """The keys and rows of the batches that were run, in order."""
    return []


@pytest.fixture
def queues(taken):
    """Makes queues of one thread, which runs nothing before `go` is set, and closes them."""
    made = []
    go = threading.Event()

    def queues(go_at_once=True, **parameters):
        def run(key, batch):
            assert go.wait(20)
            taken.append((key[0], list(batch.rows)))
            return [dict(request) for request in batch.requests]

        if go_at_once:
            go.set()
        given = {"max_batch_size": 4, "batch_timeout_micros": LONG, "num_batch_threads": 1}
        made.append(Queues(BatchingParameters(**given | parameters), run))
        made[-1].go = go
        return made[-1]

    yield queues
    go.set()
    for one in made:
        one.close(20)


def join(queues, key, rows):
    return queues.join(key, {"x": np.arange(rows)}, rows)


def results(places):
    return [batch.outputs.result(20)[index]["x"].tolist() for batch, index in places]


def test_a_full_batch_is_taken_at_once_and_one_that_is_not_waits(queues, taken):
    one = queues()
    waiting = join(one, A, 1)
    assert results(join(one, B, 4)) == [[0, 1, 2, 3]]
    assert taken == [("b", [4])]
    one.close(20)
    assert results(waiting) == [[0]]


def test_a_batch_that_another_follows_is_taken(queues, taken):
    one = queues()
    first = join(one, A, 3)
    join(one, A, 2)
    assert results(first) == [[0, 1, 2]]
    assert taken == [("a", [3])]


def test_a_batch_is_taken_when_its_first_request_has_waited_long_enough(queues, taken):
    one = queues(batch_timeout_micros=1_000)
    assert results(join(one, A, 1)) == [[0]]


def test_queues_take_turns(queues, taken):
    one = queues(go_at_once=False)
    places = [join(one, A, 4) for _ in range(3)] + [join(one, B, 4) for _ in range(3)]
    one.go.set()
    for place in places:
        results(place)
    # The thread took the first before or after the others came.
    assert "".join(key for key, _ in taken[1:]) in ("babab", "ababb")


def test_an_error_is_for_those_who_wait_and_the_thread_goes_on():
    def run(key, batch):
        if key == A:
            raise KeyError("a")
        return batch.requests

    one = Queues(BatchingParameters(max_batch_size=1, num_batch_threads=1), run)
    (bad, _), (good, _) = *join(one, A, 1), *join(one, B, 1)
    assert isinstance(bad.outputs.exception(20), KeyError)
    assert len(good.outputs.result(20)) == 1
    one.close(20)


def test_closed_queues_take_no_more_and_an_empty_key_leaves_nothing_behind(queues):
    one = queues()
    results(join(one, A, 4))
    assert not one._queues
    one.close(20)
    with pytest.raises(tf.errors.UnavailableError, match="unloaded"):
        join(one, A, 1)
