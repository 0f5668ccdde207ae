"""A layer shows what it is given to whoever asks."""

import numpy as np
import pytest
import tensorflow as tf

from tfnorm.layers import BatchNormalization, Dice

LAYERS = pytest.mark.parametrize("Layer", [BatchNormalization, Dice])
X = np.arange(12, dtype=np.float32).reshape(2, 2, 3)


@LAYERS
@pytest.mark.parametrize(
    ("training", "trainable", "by_batch"),
    [
        (True, True, True),
        (1, True, True),
        (tf.constant(True), True, True),
        (True, False, False),
        (False, True, False),
        (None, True, False),
    ],
)
def test_an_observer_is_given_inputs_mask_and_by_what_they_are_normalized(
    Layer, training, trainable, by_batch
):
    layer, seen = Layer(trainable=trainable), []
    layer.build(X.shape)
    mask = np.array([[True, False], [True, True]])
    with layer.observed_by(lambda *given: seen.append(given)):
        layer(X, training=training, mask=mask)
        layer(X, training=training)
    layer(X, training=training)
    (x, counted, by), (_, without, _) = seen
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(counted, mask)
    assert without is None
    assert by is by_batch


def test_it_sees_every_run_of_a_function_that_is_traced_meanwhile():
    layer, total = BatchNormalization(), tf.Variable(tf.zeros(3))
    layer.build(X.shape)
    with layer.observed_by(lambda x, mask, by_batch: total.assign_add(tf.reduce_sum(x, [0, 1]))):
        run = tf.function(lambda x: layer(x, training=False))
        run(tf.constant(X))
        run(tf.constant(X))
    np.testing.assert_array_equal(total, 2 * X.sum((0, 1)))


def test_observers_that_look_at_one_layer_leave_each_other_alone():
    layer, seen = Dice(), []
    layer.build(X.shape)
    with layer.observed_by(lambda *_: seen.append("outer")):
        with layer.observed_by(lambda *_: seen.append("inner")):
            layer(X)
        layer(X)
    assert seen == ["outer", "inner", "outer"]


def test_an_error_ends_the_observation():
    layer, seen = Dice(), []
    layer.build(X.shape)
    with pytest.raises(KeyError), layer.observed_by(lambda *_: seen.append(1)):
        raise KeyError
    layer(X)
    assert seen == []
