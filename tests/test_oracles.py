"""The oracles that are more than a formula typed in, against central differences."""

import numpy as np
import oracles

EPSILON = 1e-3


def own(formula, x, *arguments):
    _, mean, variance = oracles.moments(x)
    return formula(x, mean, variance, *arguments, epsilon=EPSILON)


def test_the_gradients_of_batch_normalization():
    rng = np.random.default_rng(0)
    x, dy = rng.normal(1, 2, (2, 7, 3))
    gamma, beta = rng.normal(size=(2, 3))
    found = oracles.normalize_gradients(x, dy, gamma, epsilon=EPSILON)

    def loss(x=x, gamma=gamma, beta=beta):
        return np.sum(dy * own(oracles.normalize, x, gamma, beta))

    oracles.assert_close(found[0], oracles.gradient(lambda v: loss(x=v), x), 1e-8)
    oracles.assert_close(found[1], oracles.gradient(lambda v: loss(gamma=v), gamma), 1e-8)
    oracles.assert_close(found[2], oracles.gradient(lambda v: loss(beta=v), beta), 1e-8)


def test_the_gradients_of_dice():
    rng = np.random.default_rng(0)
    x, dy = rng.normal(1, 2, (2, 7, 3))
    alpha = rng.normal(size=3)
    found = oracles.dice_gradients(x, dy, alpha, epsilon=EPSILON)

    def loss(x=x, alpha=alpha):
        return np.sum(dy * own(oracles.dice, x, alpha))

    oracles.assert_close(found[0], oracles.gradient(lambda v: loss(x=v), x), 1e-8)
    oracles.assert_close(found[1], oracles.gradient(lambda v: loss(alpha=v), alpha), 1e-8)


def test_moments_of_positions_that_count():
    x = np.array([[1.0, 10.0], [3.0, 20.0], [9.0, 99.0]])
    count, mean, variance = oracles.moments(x, mask=[True, True, False])
    assert count.tolist() == [2, 2]
    assert mean.tolist() == [2, 15]
    assert variance.tolist() == [1, 25]
