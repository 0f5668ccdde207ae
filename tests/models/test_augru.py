import keras
import numpy as np
import pytest
import tensorflow as tf

from tfnorm.models import AUGRUCell

LENGTHS = [5, 2, 0, 3]


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 5, 3)).astype(np.float32)
    scores = rng.random((4, 5)).astype(np.float32)
    return x, scores, np.arange(5) < np.array(LENGTHS)[:, None]


def make(units=6, **options):
    layer = keras.layers.RNN(AUGRUCell(units), **options)
    layer.build((None, None, 4))
    rng = np.random.default_rng(1)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])
    return layer


def run(layer, x, scores, valid=None):
    inputs = tf.concat([x, scores[..., None]], axis=-1)
    return layer(inputs, mask=None if valid is None else tf.constant(valid)).numpy()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def loop(layer, x, scores):
    """The states of one example of the paper's formula, in float64."""
    kernel, recurrent, bias = (w.astype(np.float64) for w in layer.get_weights())
    (wu, wr, wc), (uu, ur, uc) = (np.split(w, 3, axis=1) for w in (kernel, recurrent))
    bu, br, bc = np.split(bias, 3)
    state, states = np.zeros(len(recurrent)), []
    for x_t, a_t in zip(x.astype(np.float64), scores, strict=True):
        update = a_t * sigmoid(x_t @ wu + state @ uu + bu)
        reset = sigmoid(x_t @ wr + state @ ur + br)
        candidate = np.tanh(x_t @ wc + reset * (state @ uc) + bc)
        state = (1 - update) * state + update * candidate
        states.append(state)
    return np.array(states).reshape(len(x), -1)


def test_it_is_the_formula_at_every_step(batch):
    layer = make(return_sequences=True)
    x, scores, _ = batch
    expected = [loop(layer, *example) for example in zip(x, scores, strict=True)]
    np.testing.assert_allclose(run(layer, x, scores), expected, rtol=1e-5, atol=1e-6)


def test_the_last_state_is_that_before_the_padding_and_0_without_any_step(batch):
    layer = make()
    x, scores, valid = batch
    found = run(layer, x, scores, valid)
    for y, x_i, a, n in zip(found, x, scores, LENGTHS, strict=True):
        expected = loop(layer, x_i[:n], a[:n])[-1] if n else np.zeros(6)
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


def test_with_scores_of_1_it_is_the_gru_of_keras(batch):
    layer = make(return_sequences=True)
    x, _, _ = batch
    kernel, recurrent, bias = layer.get_weights()
    # Keras's gate z is what is kept: 1 - u.
    sign = np.repeat([-1, 1, 1], 6)
    gru = keras.layers.GRU(6, return_sequences=True)
    gru.build((None, None, 3))
    gru.set_weights([kernel * sign, recurrent * sign, np.stack([bias * sign, 0 * bias])])
    np.testing.assert_allclose(
        run(layer, x, np.ones((4, 5), np.float32)), gru(x), rtol=1e-5, atol=1e-6
    )


def test_its_config_makes_the_same_layer(batch):
    layer = make()
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    copy.build((None, None, 4))
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(run(copy, *batch), run(layer, *batch))


def test_sequences_with_inputs_in_common_evolve_as_each_by_itself(batch):
    layer = make()
    x, _, valid = batch
    scores = np.random.default_rng(2).random((4, 3, 5)).astype(np.float32) * valid[:, None]
    together = layer.cell.of_candidates(tf.constant(x), tf.constant(scores))
    for i in range(3):
        alone = run(layer, x, scores[:, i], valid)
        np.testing.assert_allclose(together[:, i], alone, rtol=1e-5, atol=1e-6)
