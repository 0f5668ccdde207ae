import keras
import numpy as np
import pytest
import tensorflow as tf

from tfnorm.models import TargetAttention

LENGTHS = [4, 1, 0, 3]


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    query = rng.normal(size=(4, 3)).astype(np.float32)
    keys = rng.normal(size=(4, 4, 3)).astype(np.float32)
    return query, keys, np.arange(4) < np.array(LENGTHS)[:, None]


def reference(layer, query, keys):
    """One example of unpadded keys, in float64."""
    if len(keys) == 0:
        return np.zeros_like(query, np.float64)
    weights = [w.astype(np.float64) for w in layer.get_weights()]
    scores = []
    for key in keys.astype(np.float64):
        x = np.concatenate([query, key, query - key, query * key])
        for kernel, bias in zip(weights[:-1:2], weights[1::2], strict=True):
            x = 1 / (1 + np.exp(-(x @ kernel + bias)))
        scores.append((x @ weights[-1]).item())
    attention = np.exp(scores) / np.exp(scores).sum()
    return attention @ keys


def make(batch, units=(8, 5)):
    layer = TargetAttention(units)
    layer(*map(tf.constant, batch))
    rng = np.random.default_rng(1)
    layer.set_weights([rng.normal(size=w.shape) * 2 for w in layer.get_weights()])
    return layer


@pytest.mark.parametrize("units", [(8, 5), (6,), ()])
def test_it_is_the_formula_over_the_unpadded_keys(batch, units):
    layer = make(batch, units)
    query, keys, _ = batch
    expected = [reference(layer, q, k[:n]) for q, k, n in zip(query, keys, LENGTHS, strict=True)]
    np.testing.assert_allclose(layer(*map(tf.constant, batch)), expected, rtol=1e-5, atol=1e-6)


def test_padding_may_be_anything_anywhere_and_of_any_length(batch):
    layer = make(batch)
    query, keys, valid = batch
    expected = layer(query, keys, valid)
    rubbish = np.where(valid[..., None], keys, np.float32(1e6))
    longer = np.concatenate([np.full((4, 9, 3), 7, np.float32), rubbish], axis=1)
    longer_valid = np.concatenate([np.zeros((4, 9), bool), valid], axis=1)
    np.testing.assert_allclose(layer(query, longer, longer_valid), expected, rtol=1e-6, atol=1e-7)


def test_padding_gets_no_gradient_and_an_empty_history_gives_finite_ones(batch):
    layer = make(batch)
    query, keys, valid = map(tf.constant, batch)
    with tf.GradientTape() as tape:
        tape.watch([query, keys])
        y = tf.reduce_sum(layer(query, keys, valid) ** 2)
    gradients = tape.gradient(y, [query, keys, *layer.trainable_variables])
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    padding = ~valid.numpy()
    assert not np.any(gradients[1].numpy()[padding])
    assert np.all(np.any(gradients[1].numpy()[~padding] != 0, axis=-1))


def test_it_runs_in_half_precision(batch):
    layer = TargetAttention((8,), dtype="mixed_float16")
    y = layer(*map(tf.constant, batch))
    assert y.dtype == tf.float16
    assert np.isfinite(y).all()


def test_its_config_makes_the_same_layer(batch):
    layer = make(batch)
    config = keras.saving.serialize_keras_object(layer)
    assert config["registered_name"] == "tfnorm>TargetAttention"
    copy = keras.saving.deserialize_keras_object(config)
    copy(*map(tf.constant, batch))
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(copy(*batch), layer(*batch))


def make_inputs(seed=0):
    rng = np.random.default_rng(seed)
    query, keys = rng.normal(size=(5, 4)), rng.normal(size=(5, 6, 4))
    valid = rng.random((5, 6)) < 0.5
    valid[2] = False
    return query.astype(np.float32), keys.astype(np.float32), valid


@pytest.mark.parametrize("softmax", [True, False])
def test_training_leaves_padding_out_and_gives_the_same_with_the_same_gradients(softmax):
    layer = TargetAttention((7, 3), softmax=softmax)
    query, keys, valid = map(tf.constant, make_inputs())
    layer(query, keys, valid)
    found = []
    for training in (True, False):
        with tf.GradientTape() as tape:
            tape.watch([query, keys])
            y = layer(query, keys, valid, training=training)
            loss = tf.reduce_sum(y**2)
        variables = [query, keys, *(v.value for v in layer.trainable_variables)]
        found.append([y, *map(tf.convert_to_tensor, tape.gradient(loss, variables))])
    for ours, expected in zip(*found, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-6)


def test_padded_positions_are_not_computed_in_training():
    layer = TargetAttention((7,))
    query, keys, valid = map(tf.constant, make_inputs())
    layer(query, keys, valid)
    seen = []
    activation = layer.mlp[0].activation
    layer.mlp[0].activation = lambda x: seen.append(x.shape[0]) or activation(x)
    layer(query, keys, valid, training=True)
    assert seen == [int(tf.reduce_sum(tf.cast(valid, tf.int32)))]


def test_without_the_softmax_the_weights_are_the_scores():
    layer = TargetAttention((7,), softmax=False)
    query, keys, valid = make_inputs()
    y = layer(query, keys, valid).numpy()
    first, last = layer.mlp
    for n in range(5):
        q, expected = np.float64(query[n]), np.zeros(4)
        for k in np.float64(keys[n][valid[n]]):
            x = np.concatenate([q, k, q - k, q * k])
            hidden = 1 / (1 + np.exp(-(x @ first.kernel.numpy() + first.bias.numpy())))
            expected += (hidden @ last.kernel.numpy() + last.bias.numpy()) * k
        np.testing.assert_allclose(y[n], expected, rtol=1e-5, atol=1e-6)


def test_a_history_of_no_steps_gives_zeros():
    layer = TargetAttention((7,))
    y = layer(tf.ones([2, 4]), tf.zeros([2, 0, 4]), tf.zeros([2, 0], tf.bool))
    np.testing.assert_array_equal(y, np.zeros((2, 4)))


@pytest.mark.parametrize("softmax", [True, False])
@pytest.mark.parametrize("targets", [1, 9])
def test_several_targets_of_a_user_see_the_history_as_each_does_by_itself(targets, softmax):
    """Fewer targets than a target is wide, and more: these are computed otherwise."""
    rng = np.random.default_rng(3)
    layer = TargetAttention((6, 5), softmax=softmax)
    query, keys = (rng.normal(size=size).astype("f4") for size in ((2, targets, 4), (2, 7, 4)))
    valid = tf.constant([[True] * 3 + [False] * 4, [False] * 7])
    layer(query[:, 0], keys, valid)
    layer.mlp[0].bias.assign(rng.normal(size=6))
    alone = [layer(query[:, i], keys, valid) for i in range(targets)]
    together = layer.of_candidates(tf.constant(query), tf.constant(keys), valid)
    np.testing.assert_allclose(together, np.stack(alone, axis=1), rtol=1e-4, atol=1e-5)
