"""What the statistics are compared with: NumPy float64 over all examples at once.

Fixtures, as a folder called `statistics` can't be imported from beside the standard library's.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import oracles
import pytest


@pytest.fixture
def rows() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.normal(size=(500, 4)) * [1, 2, 3, 4] + [0, 5, -5, 9]).astype(np.float32)


@pytest.fixture
def randomized() -> Callable[[keras.Model], keras.Model]:
    """Gives every trainable weight of a model a random value, so that each has a part in it."""

    def randomize(model: keras.Model) -> keras.Model:
        rng = np.random.default_rng(1)
        for variable in model.trainable_variables:
            variable.assign(rng.normal(0.5, 0.5, variable.shape))
        return model

    return randomize


@pytest.fixture
def assert_statistics() -> Callable[..., None]:
    """Fails unless a layer's moving statistics are those of `x`, in standard deviations."""

    def check(layer: keras.layers.Layer, x: np.ndarray, rtol: float = 1e-5) -> None:
        _, mean, variance = oracles.moments(x, layer.axis)
        difference = layer.moving_mean.numpy() - mean
        np.testing.assert_allclose(difference / np.sqrt(variance), 0, atol=rtol)
        np.testing.assert_allclose(layer.moving_variance.numpy(), variance, rtol=rtol)

    return check


@pytest.fixture
def outputs_of() -> Callable[[keras.layers.Layer, np.ndarray], np.ndarray]:
    """Calls a Dense, a Dice or a BatchNormalization by hand, with the statistics of its inputs."""

    def outputs(layer: keras.layers.Layer, x: np.ndarray) -> np.ndarray:
        weights = {v.name: v.numpy().astype(np.float64) for v in layer.trainable_variables}
        if isinstance(layer, keras.layers.Dense):
            return x @ weights["kernel"] + weights["bias"]
        _, mean, variance = oracles.moments(x)
        formula = oracles.dice if "alpha" in weights else oracles.normalize
        return formula(x, mean, variance, **weights, epsilon=layer.epsilon)

    return outputs
