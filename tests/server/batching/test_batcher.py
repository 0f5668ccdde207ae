"""Server-side batching, with requests that are sure to come together."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.server import BatchingParameters, Server
from tfnorm.server.batching.batcher import Batcher
from tfnorm.server.running.local import LocalModel
from tfnorm.session import Signature

LONG = 60_000_000


class Model:
    """Doubles `x`, and keeps what it is asked."""

    def __init__(self, shape=(None, None), answer=lambda x: 2 * x):
        spec = tf.TensorSpec(shape, tf.float32)
        self._signature = Signature("serving_default", "predict", {"x": spec}, {"y": spec})
        self._answer = answer
        self.asked = []
        self.free = threading.Event()
        self.free.set()

    @property
    def signatures(self):
        return {"serving_default": self._signature}

    def run(self, feeds, *, signature, outputs=None, max_bytes):
        self.asked.append(feeds["x"])
        assert self.free.wait(20)
        return {"y": self._answer(feeds["x"])} if outputs is None or outputs else {}


@pytest.fixture
def batcher():
    """Makes batchers whose requests wait until a batch is full, and closes them."""
    made = []

    def batcher(model, max_bytes=10**6, **parameters):
        parameters = {"batch_timeout_micros": LONG, "num_batch_threads": 1} | parameters
        made.append(Batcher(model, BatchingParameters(**parameters), max_bytes))
        return made[-1]

    yield batcher
    for one in made:
        one.close()


def rows(*values, width=2):
    return np.repeat(np.float32(values)[:, None], width, 1)


def ask(batcher, *requests, then=lambda: None):
    """The answer or error of each, all sent together and in this order; `then` once they wait."""
    waiting = threading.Semaphore(0)
    join = batcher._queues.join

    def joined(*arguments):
        places = join(*arguments)
        waiting.release()
        return places

    batcher._queues.join = joined
    with ThreadPoolExecutor(len(requests)) as pool:
        futures = []
        for x in requests:
            futures.append(pool.submit(batcher.run, {"x": x}, signature="serving_default"))
            assert waiting.acquire(timeout=20)
        then()
        return [future.exception(20) or future.result()["y"] for future in futures]


def test_requests_that_come_together_are_run_as_one_and_each_gets_its_rows(batcher):
    model = Model()
    first, second = ask(batcher(model, max_batch_size=5), rows(1, 2), rows(3, 4, 5))
    np.testing.assert_array_equal(model.asked, [rows(1, 2, 3, 4, 5)])
    np.testing.assert_array_equal(first, rows(2, 4))
    np.testing.assert_array_equal(second, rows(6, 8, 10))


def test_a_request_that_does_not_fit_opens_the_next_batch(batcher):
    model = Model()
    ask(batcher(model, max_batch_size=4), rows(1, 2, 3), rows(4, 5), rows(6, 7))
    assert [len(x) for x in model.asked] == [3, 4]


def test_a_batch_is_not_kept_waiting_longer_than_its_timeout(batcher):
    model = Model()
    (answer,) = ask(batcher(model, batch_timeout_micros=1000), rows(1))
    np.testing.assert_array_equal(answer, rows(2))


def test_while_every_thread_is_busy_requests_gather_without_a_timeout(batcher, eventually):
    model = Model()
    one = batcher(model, batch_timeout_micros=0)
    model.free.clear()
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(one.run, {"x": rows(0)}, signature="serving_default")
        eventually(lambda: model.asked)
        answers = ask(one, rows(1), rows(2), rows(3), then=model.free.set)
        busy.result(20)
    assert [len(x) for x in model.asked] == [1, 3]
    np.testing.assert_array_equal(np.concatenate(answers), rows(2, 4, 6))


def test_a_batch_is_filled_up_to_an_allowed_size_with_the_first_row_of_the_last_request(batcher):
    model = Model()
    one = batcher(
        model, max_batch_size=8, allowed_batch_sizes=(2, 4, 8), batch_timeout_micros=100_000
    )
    first, last = ask(one, rows(1, 2), rows(3, 4, 5))
    np.testing.assert_array_equal(model.asked, [rows(1, 2, 3, 4, 5, 3, 3, 3)])
    np.testing.assert_array_equal(first, rows(2, 4))
    np.testing.assert_array_equal(last, rows(6, 8, 10))


def test_requests_of_different_lengths_all_fail(batcher):
    answers = ask(batcher(Model(), max_batch_size=2), rows(1), rows(2, width=3))
    for answer in answers:
        assert isinstance(answer, tf.errors.FailedPreconditionError)
        assert "'x' from different tasks have different shapes" in answer.message


def test_or_are_padded_each_with_its_first_value(batcher):
    model = Model()
    one = batcher(model, max_batch_size=3, pad_variable_length_inputs=True)
    ask(one, rows(1, 2), rows(3, width=4))
    padded = [[1, 1, 1, 1], [2, 2, 1, 1], [3, 3, 3, 3]]
    np.testing.assert_array_equal(model.asked, [padded])


def test_a_batch_takes_no_more_than_the_bound_for_each_request_when_it_is_filled_up(batcher):
    model = Model()
    filled = batcher(
        model, max_bytes=4_000, max_batch_size=64, allowed_batch_sizes=(64,), batch_timeout_micros=0
    )
    assert ask(filled, rows(1, width=15))[0].shape == (1, 15)
    (error,) = ask(filled, rows(1, width=16))
    assert isinstance(error, tf.errors.ResourceExhaustedError)
    assert "over 4,000 bytes once it is filled up" in error.message
    assert [len(x) for x in model.asked] == [64]


def test_or_padded(batcher):
    model = Model()
    padded = batcher(model, max_bytes=1_000, max_batch_size=4, pad_variable_length_inputs=True)
    answers = ask(padded, rows(1, 2, 3, width=1), rows(4, width=100))
    assert [answer.shape for answer in answers] == [(3, 100), (1, 100)]
    errors = ask(padded, rows(1, 2, 3, width=1), rows(4, width=126))
    assert all(isinstance(error, tf.errors.ResourceExhaustedError) for error in errors)
    assert len(model.asked) == 1


def test_strings_count_with_their_copies(batcher):
    spec = tf.TensorSpec([None, None], tf.string)
    model = Model(answer=lambda x: x)
    model._signature = Signature("serving_default", "predict", {"x": spec}, {"y": spec})
    padded = batcher(model, max_bytes=4_000, max_batch_size=4, pad_variable_length_inputs=True)
    short, long = np.array([[b"a", b"b"]], object), np.array([[b"c" * 1_000]] * 3, object)
    assert len(ask(padded, short, long)[1]) == 3
    filled = batcher(model, max_bytes=2_000, max_batch_size=4, allowed_batch_sizes=(3, 4))
    (error,) = ask(filled, long[:1], then=filled.close)
    assert isinstance(error, tf.errors.ResourceExhaustedError)


def test_outputs_that_the_signature_says_would_be_over_it_are_not_computed(batcher):
    model = Model()
    spec = tf.TensorSpec([None, 1_000], tf.float32)
    model._signature = Signature("serving_default", "predict", model._signature.inputs, {"y": spec})
    filled = batcher(model, max_bytes=16_000, max_batch_size=8, allowed_batch_sizes=(8,))
    (error,) = ask(filled, rows(1), then=filled.close)
    assert "8 rows give outputs of 32,000 bytes" in error.message
    assert not model.asked


def test_too_many_waiting_batches_are_refused(batcher, eventually):
    model = Model()
    one = batcher(model, max_batch_size=2, max_enqueued_batches=1)
    model.free.clear()
    with ThreadPoolExecutor(2) as pool:
        busy = [pool.submit(one.run, {"x": rows(0, 0)}, signature="serving_default")]
        eventually(lambda: model.asked)
        busy.append(pool.submit(one.run, {"x": rows(1, 1)}, signature="serving_default"))
        eventually(lambda: any(one._queues._queues.values()))
        with pytest.raises(tf.errors.UnavailableError, match=r"queue .* is full"):
            one.run({"x": rows(2)}, signature="serving_default")
        model.free.set()
        assert [len(future.result(20)["y"]) for future in busy] == [2, 2]


def test_a_request_larger_than_a_batch_is_refused(batcher):
    with pytest.raises(InputError, match="Task size 3 is larger than maximum input batch size 2"):
        batcher(Model(), max_batch_size=2).run({"x": rows(1, 2, 3)}, signature="serving_default")


def test_or_split_where_that_is_enabled(batcher):
    model = Model()
    one = batcher(
        model,
        max_batch_size=10,
        enable_large_batch_splitting=True,
        max_execution_batch_size=2,
        batch_timeout_micros=0,
    )
    answer = one.run({"x": rows(1, 2, 3, 4, 5)}, signature="serving_default")["y"]
    np.testing.assert_array_equal(answer, rows(2, 4, 6, 8, 10))
    assert [len(x) for x in model.asked] == [2, 2, 1]


def test_a_request_without_rows_or_outputs_is_run_alone(batcher):
    model = Model()
    one = batcher(model)
    assert len(one.run({"x": rows()}, signature="serving_default")["y"]) == 0
    one.run({"x": rows(1)}, signature="serving_default", outputs=[])
    assert [len(x) for x in model.asked] == [0, 1]


@pytest.mark.slow
def test_requests_for_the_same_outputs_share_a_batch_and_others_do_not(everything_directory):
    parameters = BatchingParameters(max_batch_size=2, batch_timeout_micros=LONG)
    with closing(LocalModel(everything_directory)) as model, ThreadPoolExecutor(3) as pool:
        one = Batcher(model, parameters, 10**6)

        def asked(outputs):
            feeds = {"id": np.array([3]), "x": np.zeros((1, 2), np.float32)}
            return pool.submit(one.run, feeds, signature="embed", outputs=outputs)

        alone = asked(["embedding", "sum"])
        together = [asked(["sum"]), asked(["sum"])]
        assert [future.result(20).keys() for future in together] == [{"sum"}, {"sum"}]
        assert not alone.done()
        one.close(20)
        assert alone.result(20).keys() == {"embedding", "sum"}


def test_the_first_piece_of_a_split_request_fills_the_batch_that_is_open(batcher):
    model = Model()
    one = batcher(
        model, max_batch_size=10, enable_large_batch_splitting=True, max_execution_batch_size=4
    )
    first, second = ask(one, rows(1, 2, 3), rows(4, 5, 6, 7, 8))
    assert [len(x) for x in model.asked] == [4, 4]
    np.testing.assert_array_equal(first, rows(2, 4, 6))
    np.testing.assert_array_equal(second, rows(8, 10, 12, 14, 16))


def test_a_split_request_that_would_not_find_room_for_all_its_pieces_leaves_none(batcher):
    model = Model()
    one = batcher(
        model,
        max_batch_size=10,
        enable_large_batch_splitting=True,
        max_execution_batch_size=2,
        max_enqueued_batches=2,
    )
    with pytest.raises(tf.errors.UnavailableError, match=r"queue .* is full"):
        one.run({"x": rows(1, 2, 3, 4, 5)}, signature="serving_default")
    one.close(20)
    assert not model.asked


@pytest.mark.slow
def test_a_batch_that_waits_holds_no_thread_from_another_signatures_full_one(everything_directory):
    parameters = BatchingParameters(
        max_batch_size=2, batch_timeout_micros=LONG, num_batch_threads=1
    )
    with closing(LocalModel(everything_directory)) as model, ThreadPoolExecutor(1) as pool:
        one = Batcher(model, parameters, 10**6)
        waiting = pool.submit(
            one.run, {"x": np.ones((1, 2), np.float32)}, signature="serving_default"
        )
        feeds = {"id": np.array([3, 4]), "x": np.zeros((2, 2), np.float32)}
        assert one.run(feeds, signature="embed")["sum"].shape == (2,)
        assert not waiting.done()
        one.close(20)
        waiting.result(20)


def test_what_waits_in_a_batch_is_run_when_the_batcher_closes(batcher):
    model = Model()
    one = batcher(model, max_batch_size=5)
    (answer,) = ask(one, rows(1, 2), then=lambda: one.close(20))
    np.testing.assert_array_equal(answer, rows(2, 4))
    with pytest.raises(tf.errors.UnavailableError, match="unloaded"):
        one.run({"x": rows(1)}, signature="serving_default")
    assert not any(thread.is_alive() for thread in one._queues._threads)


@pytest.mark.parametrize(
    ("shape", "answer", "x", "reason"),
    [
        ((), lambda x: x, np.float32(1), "must have at least one dimension"),
        ((None,), lambda x: x.sum(), np.ones(1, np.float32), "does not equal the 1 rows"),
        ((None,), lambda x: x[:0], np.ones(1, np.float32), "does not equal the 1 rows"),
    ],
)
def test_what_has_no_rows_can_not_be_batched(shape, answer, x, reason, batcher):
    one = batcher(Model(shape, answer), batch_timeout_micros=0)
    with pytest.raises((InputError, tf.errors.FailedPreconditionError), match=reason):
        one.run({"x": np.asarray(x)}, signature="serving_default")


def test_inputs_of_different_sizes_can_not_be_batched(everything_directory, batcher):
    with (
        closing(LocalModel(everything_directory)) as model,
        pytest.raises(InputError, match="equal 0th"),
    ):
        batcher(model).run(
            {"id": np.array([1]), "x": np.zeros((2, 2), np.float32)}, signature="embed"
        )


def test_one_bad_request_fails_those_that_came_with_it(everything_directory):
    parameters = BatchingParameters(max_batch_size=2, batch_timeout_micros=LONG)
    with closing(LocalModel(everything_directory)) as model, ThreadPoolExecutor(2) as pool:
        one = Batcher(model, parameters, 10**6)
        futures = [
            pool.submit(
                one.run,
                {"id": np.array([id]), "x": np.zeros((1, 2), np.float32)},
                signature="embed",
            )
            for id in (3, 99)
        ]
        errors = [future.exception(20) for future in futures]
        one.close()
    assert all(isinstance(error, InputError) and "99" in str(error) for error in errors)


def test_clients_of_both_apis_share_a_batch(tmp_path, connect):
    module = tf.Module()
    module.score = tf.function(
        lambda x: {"rows": tf.zeros_like(x) + tf.cast(tf.size(x), tf.float32)},
        input_signature=[tf.TensorSpec([None], tf.float32, "x")],
    )
    tf.saved_model.save(module, str(tmp_path / "1"), signatures=module.score)
    batching = BatchingParameters(max_batch_size=3, batch_timeout_micros=LONG)
    with (
        Server(tmp_path, "ranker", port=0, rest_port=0, batching=batching) as server,
        ThreadPoolExecutor(2) as pool,
    ):
        first = pool.submit(connect(server).predict, {"x": np.ones(2, np.float32)})
        second = pool.submit(connect(server).post, {"instances": [1.0]})
        assert tf.make_ndarray(first.result(20).outputs["rows"]).tolist() == [3, 3]
        assert second.result(20).json() == {"predictions": [3.0]}
