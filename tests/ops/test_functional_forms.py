"""What the functional forms have in common: for people who manage their own variables."""

import numpy as np
import oracles
import pytest
import tensorflow as tf
from oracles import assert_close

from tfnorm import ops


@pytest.mark.parametrize("name", ["batch_normalization", "dice"])
def test_gradients_reach_statistics_that_are_given(name, rng):
    """Who computes the statistics elsewhere, across devices say, differentiates through them."""
    x, dy = rng.normal(1, 2, (2, 5, 3))
    mean, variance = rng.normal(size=3), rng.uniform(0.5, 2, 3)
    sources = [tf.constant(v) for v in (x, mean, variance)]
    with tf.GradientTape() as tape:
        tape.watch(sources)
        y = getattr(ops, name)(*sources, epsilon=0.01)
    formula = oracles.normalize if name == "batch_normalization" else oracles.dice
    found = tape.gradient(y, sources, tf.constant(dy))

    def loss(x, mean, variance):
        return np.sum(dy * formula(x, mean, variance, epsilon=0.01))

    assert_close(found[0], oracles.gradient(lambda v: loss(v, mean, variance), x), 1e-8)
    assert_close(found[1], oracles.gradient(lambda v: loss(x, v, variance), mean), 1e-8)
    assert_close(found[2], oracles.gradient(lambda v: loss(x, mean, v), variance), 1e-8)


@pytest.mark.parametrize("name", ["batch_normalization", "dice"])
@pytest.mark.parametrize("given", [{"mean": [0.0]}, {"variance": [1.0]}])
def test_a_mean_without_a_variance_is_refused_and_so_is_the_reverse(name, given):
    with pytest.raises(ValueError, match="mean and variance go together"):
        getattr(ops, name)(tf.zeros((2, 1)), **given)


@pytest.mark.parametrize("name", ["moments", "batch_normalization", "dice"])
@pytest.mark.parametrize("shape", [(2,), (5,), (4, 3), (4, 2, 1), (1, 4, 2)])
def test_a_mask_of_another_shape_is_refused_with_both_shapes(name, shape):
    with pytest.raises(ValueError, match="mask") as error:
        getattr(ops, name)(tf.zeros((4, 2, 3)), mask=np.ones(shape, bool))
    assert "(4, 2)" in str(error.value)
    assert str(shape) in str(error.value)
