import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from export.randomized import give_weights

from tfnorm.export.folding import affine
from tfnorm.export.folding.affine import Affine
from tfnorm.layers import BatchNormalization, Dice

RNG = np.random.default_rng(0)
NORMALIZATIONS = [keras.layers.BatchNormalization, BatchNormalization]


def built(layer, shape):
    layer.build((None, *shape))
    give_weights([layer], np.random.default_rng(1))
    return layer


def applied(affine, x):
    """In float64."""
    return affine.scale * (x - affine.center) + affine.offset


def drawn():
    return Affine(*RNG.normal(size=(3, 3)), far=False)


def arrays(layer):
    return {weight.name: np.float64(weight.numpy()) for weight in layer.weights}


class Other(BatchNormalization):
    def call(self, inputs, training=None, mask=None):
        return inputs


class Same(BatchNormalization):
    """Its name is all that is its own."""


class OtherDice(Dice):
    def call(self, inputs, training=None, mask=None):
        return inputs


@pytest.mark.parametrize("kind", NORMALIZATIONS)
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("scale", [True, False])
def test_a_normalization_is_the_papers_formula(kind, center, scale):
    layer = built(kind(center=center, scale=scale, epsilon=0.01), (3,))
    weights = arrays(layer)
    x = RNG.normal(size=(8, 3))
    wanted = (x - weights["moving_mean"]) / np.sqrt(weights["moving_variance"] + 0.01)
    wanted = wanted * weights.get("gamma", 1) + weights.get("beta", 0)
    found = affine.normalization(layer)
    assert (found.scale.dtype, found.offset.dtype) == (np.float64, np.float64)
    np.testing.assert_allclose(applied(found, x), wanted, rtol=1e-12, atol=1e-12)


def test_a_standardization_leaves_gamma_and_beta_out():
    layer = built(BatchNormalization(), (3,))
    weights = arrays(layer)
    x = RNG.normal(size=(8, 3))
    found = affine.standardization(layer)
    np.testing.assert_allclose(
        applied(found, x),
        (x - weights["moving_mean"]) / np.sqrt(weights["moving_variance"] + 1e-3),
        rtol=1e-12,
        atol=1e-12,
    )


def test_one_after_another_is_the_second_of_the_first():
    first, second = drawn(), drawn()
    x = RNG.normal(size=(8, 3))
    both = second.after(first)
    wanted = applied(second, applied(first, x))
    np.testing.assert_allclose(applied(both, x), wanted, rtol=1e-12, atol=1e-12)
    deviations = x - both.center
    np.testing.assert_allclose(applied(both.of_deviations(), deviations), wanted, atol=1e-12)


@pytest.mark.parametrize("far", [False, True])
def test_it_is_the_same_with_the_mean_in_the_offset_and_with_the_mean_subtracted_first(far):
    values = dataclasses.replace(drawn(), far=far)
    x = RNG.normal(size=(8, 3))
    np.testing.assert_allclose(values(tf.constant(x), -1), applied(values, x), atol=1e-12)
    found = np.abs(values(tf.constant(x, tf.float32), -1) - applied(values, x)).max()
    assert found < 2e-6


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("scale", "offset", "fits"),
    [(1.0, 1.0, True), (1e38, -1e38, True), (1e39, 0.0, False), (0.0, -1e39, False)],
)
def test_an_affine_fits_where_float32_holds_it(scale, offset, fits):
    values = Affine(np.array([1.0, scale]), np.array([0.0, offset]), np.zeros(2), far=False)
    assert values.fits("float32") == fits
    assert values.fits("float64")
    assert not Affine(np.array([np.nan]), np.zeros(1), np.zeros(1), far=False).fits("float64")
    far = Affine(np.full(1, 1e30), np.zeros(1), np.full(1, 1e30), far=False)
    assert not far.fits("float32")


@pytest.mark.parametrize("kind", [*NORMALIZATIONS, Same])
def test_a_normalization_is_known_by_what_it_computes(kind):
    assert affine.is_batch_normalization(kind())
    assert not affine.is_dice(kind())
    changed = kind()
    vars(changed)["call"] = lambda x: x
    assert not affine.is_batch_normalization(changed)


def test_a_dice_is_known_by_what_it_computes():
    assert affine.is_dice(Dice())
    assert not affine.is_batch_normalization(Dice())
    for layer in (Other(), OtherDice(), keras.layers.LayerNormalization(), keras.layers.PReLU()):
        assert not affine.is_dice(layer)
        assert not affine.is_batch_normalization(layer)


def test_the_farthest_mean_is_the_one_that_is_most_deviations_from_zero():
    layer = built(BatchNormalization(), (5,))
    layer.moving_mean.assign([0.0, 8.0, -9.0, 100.0, 0.0])
    layer.moving_variance.assign([1.0, 4.0, 4.0, 1e6, 0.0])
    assert affine.farthest_mean(layer) == (2, pytest.approx(4.5))


def test_a_constant_is_infinitely_far_whatever_epsilon_is():
    layer = built(BatchNormalization(epsilon=1.0), (2,))
    layer.moving_mean.assign([0.5, 1e-3])
    layer.moving_variance.assign([1.0, 0.0])
    assert affine.farthest_mean(layer) == (1, np.inf)
    assert affine.normalization(layer).far


@pytest.mark.parametrize(("axis", "shape"), [(-1, (5, 3)), (1, (3, 5)), (2, (4, 3, 2))])
@pytest.mark.parametrize("kind", [BatchNormalization, Dice])
def test_what_is_called_instead_of_a_layer_gives_what_the_layer_does(kind, axis, shape):
    layer = built(kind(axis=axis), shape)
    scaled = affine.normalization(layer) if kind is BatchNormalization else None
    call = affine.normalize(layer, scaled) if scaled else affine.activate(layer)
    x = tf.constant(RNG.normal(size=(6, *shape)), tf.float32)
    np.testing.assert_allclose(call(x), layer(x, training=False), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(call(x, training=True), layer(x, training=True), rtol=1e-5)


@pytest.mark.parametrize(
    ("mean", "subtractions"), [(1.0, []), (-1.0, []), (1.01, ["Sub"]), (-1.01, ["Sub"])]
)
def test_a_dice_is_its_formula_and_subtracts_a_mean_of_more_than_a_deviation(mean, subtractions):
    layer = built(Dice(), (3,))
    layer.moving_mean.assign(mean * np.sqrt(layer.moving_variance.numpy()) * [1, 0.5, 0])
    if not subtractions:
        layer.moving_variance.assign(layer.moving_variance * 1.000001)
    weights = arrays(layer)
    x = RNG.normal(size=(8, 3))
    p = 1 / (
        1
        + np.exp(
            -(x - weights["moving_mean"]) / np.sqrt(weights["moving_variance"] + layer.epsilon)
        )
    )
    wanted = p * x + (1 - p) * weights["alpha"] * x
    call = affine.activate(layer)
    np.testing.assert_allclose(call(tf.constant(x)), wanted, rtol=1e-5, atol=1e-6)
    with tf.Graph().as_default() as graph:
        call(tf.zeros([2, 3]))
    kinds = [op.type for op in graph.get_operations() if op.type != "Const"]
    assert sorted(kinds) == [
        *("AddV2", "AddV2", "Mul", "Mul", "Mul", "Sigmoid"),
        *subtractions,
    ]


def test_a_layer_that_was_taken_up_leaves_its_input_alone_unless_it_trains():
    layer = built(BatchNormalization(), (3,))
    call = affine.leave_out(layer)
    x = tf.constant(RNG.normal(size=(8, 3)), tf.float32)
    assert call(x) is x
    np.testing.assert_allclose(call(x, training=True), layer(x, training=True), rtol=1e-5)
