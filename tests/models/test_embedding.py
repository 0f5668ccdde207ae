import keras
import numpy as np
import pytest
import tensorflow as tf

from tfnorm.models.embedding import IdEmbedding


@pytest.fixture
def layer():
    layer = IdEmbedding(5, 3)
    layer.build()
    return layer


@pytest.mark.parametrize("jit_compile", [False, True])
def test_ids_in_the_table_get_their_rows(layer, jit_compile):
    ids = np.array([[0, 4, 2], [1, 1, 3]], np.int32)
    rows = tf.function(layer, jit_compile=jit_compile)(tf.constant(ids))
    np.testing.assert_array_equal(rows, layer.get_weights()[0][ids])


@pytest.mark.parametrize("unknown", [-1, 5, -(2**31), 2**31 - 1])
def test_an_id_outside_the_table_raises_without_xla_and_gives_nan_with_it(layer, unknown):
    ids = tf.constant([2, unknown], tf.int32)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"is not in \[0, 5\)"):
        tf.function(layer)(ids)
    rows = tf.function(layer, jit_compile=True)(ids).numpy()
    np.testing.assert_array_equal(rows[0], layer.get_weights()[0][2])
    assert np.isnan(rows[1]).all()


def test_gradients_are_those_of_keras_embedding(layer):
    keras_layer = keras.layers.Embedding(5, 3)
    keras_layer.build()
    keras_layer.set_weights(layer.get_weights())
    ids = tf.constant([[0, 4, 4], [1, 1, 3]])
    gradients = []
    for each in (layer, keras_layer):
        with tf.GradientTape() as tape:
            y = tf.reduce_sum(each(ids) ** 2)
        gradients.append(tf.convert_to_tensor(tape.gradient(y, each.trainable_variables[0])))
    np.testing.assert_array_equal(*gradients)
