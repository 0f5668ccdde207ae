import keras
import numpy as np
import pytest
import tensorflow as tf

from tfnorm.export import export_saved_model
from tfnorm.export.deployment.batching import BATCH_SIZES, Batching, find_batching

X = tf.TensorSpec([None, 3], tf.float32, "x")
HISTORY = tf.TensorSpec([None, None], tf.int64, "history")
LENGTH = tf.TensorSpec([None], tf.int64, "length")
ROWS = np.array([[3, 7, 0], [5, 0, 0]])


def save(path, call, *specs):
    module = tf.Module()
    module.call = tf.function(call, input_signature=specs)
    tf.saved_model.save(module, str(path), signatures=module.call)
    return path


def keep(path, **examples):
    (path / "assets.extra").mkdir(parents=True)
    np.savez(path / "assets.extra" / "examples.npz", **examples)


def history_mean(history):
    valid = tf.cast(history != 0, tf.float32)
    return tf.reduce_sum(tf.cast(history, tf.float32), 1) / tf.reduce_sum(valid, 1)


def mean_of_known_length(history, length):
    valid = tf.sequence_mask(length, tf.shape(history)[1], tf.float32)
    return tf.reduce_sum(tf.cast(history, tf.float32) * valid, 1) / tf.cast(length, tf.float32)


def test_an_export_of_fixed_lengths_is_batched_in_every_size_without_padding(tmp_path):
    export = save(tmp_path, lambda x: {"score": tf.reduce_sum(x, 1)}, X)
    assert find_batching(export) == Batching(BATCH_SIZES, pads=False)


def test_the_sizes_are_those_that_the_export_is_warmed_up_with(tmp_path):
    inputs = keras.Input((3,), name="x")
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(inputs))
    report = export_saved_model(
        model,
        tmp_path,
        examples={"x": np.ones((5, 3), np.float32)},
        signatures=["tf_example", "classify"],
        warmup_batch_sizes=[100, 4, 4, 20],
    )
    assert find_batching(report.path) == Batching((4, 20, 100), pads=False)


def test_there_are_no_batches_where_the_padding_of_tensorflow_serving_moves_a_score(tmp_path):
    export = save(tmp_path, lambda h: {"score": history_mean(h)}, HISTORY)
    keep(export, history=ROWS)
    found = find_batching(export)
    # Three more times the first value: (3 + 7 + 3 * 3) / 5 for 5, (5 + 3 * 5) / 4 for 5.
    assert "pads 'history' with the first value of a request" in found.obstacle
    assert "moves a score by 1.2" in found.obstacle
    assert (found.sizes, found.pads) == ((), False)


def test_requests_are_padded_where_it_moves_no_score(tmp_path):
    export = save(
        tmp_path,
        lambda history, length: {"score": mean_of_known_length(history, length)},
        HISTORY,
        LENGTH,
    )
    keep(export, history=ROWS, length=np.array([2, 1]))
    assert find_batching(export) == Batching(BATCH_SIZES, pads=True)


@pytest.mark.parametrize("examples", [None, np.zeros((2, 0), np.int64)])
def test_there_are_no_batches_where_no_examples_tell_that_padding_is_harmless(tmp_path, examples):
    export = save(tmp_path, lambda h: {"score": history_mean(h)}, HISTORY)
    if examples is not None:
        keep(export, history=examples)
    found = find_batching(export)
    assert "there are no examples that tell" in found.obstacle


def test_there_are_no_batches_where_an_output_is_as_long_as_the_padding(tmp_path):
    export = save(tmp_path, lambda h: {"doubled": 2 * h}, HISTORY)
    keep(export, history=ROWS)
    found = find_batching(export)
    assert found.obstacle == "output 'doubled' is as long as 'history'"


def test_there_are_no_batches_where_a_longer_history_is_refused(tmp_path):
    def call(h):
        with tf.control_dependencies([tf.debugging.assert_less(tf.shape(h)[1], 5)]):
            return {"score": tf.reduce_sum(h, 1)}

    export = save(tmp_path, call, HISTORY)
    keep(export, history=ROWS)
    found = find_batching(export)
    assert found.obstacle.startswith("'history' can't be padded: ")


def test_there_are_no_batches_where_an_output_can_not_be_split(tmp_path):
    export = save(tmp_path, lambda x: {"mean": tf.reduce_mean(x)}, X)
    found = find_batching(export)
    assert found.obstacle == "output 'mean' of shape [] has no value for each example"
