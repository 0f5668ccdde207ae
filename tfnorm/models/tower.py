"""The network that ends in a score."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.layers import BatchNormalization, Dice
from tfnorm.ops.moments import statistics_dtype
from tfnorm.ops.replicas import has_several_replicas


def _prelu(name: str) -> keras.layers.Layer:
    # The slope that the DIEN authors' code starts from.
    return keras.layers.PReLU(alpha_initializer=keras.initializers.Constant(0.1), name=name)


def _dice(name: str) -> keras.layers.Layer:
    return Dice(momentum_warmup=True, synchronized=has_several_replicas(), name=name)


# A model must not serve with what is left of the initial statistics, however short its training was.
ACTIVATIONS: dict[str, Callable[..., keras.layers.Layer]] = {
    "dice": _dice,
    "prelu": _prelu,
}


def tower(
    x: keras.KerasTensor,
    units: Sequence[int],
    *,
    activation: str,
    batch_normalization: bool,
    dropout: float,
) -> keras.KerasTensor:
    """BatchNormalization; Dense, an activation and Dropout by turns; then a Dense unit, sigmoid.

    The score is float32 or wider under every policy. Made in the scope of a strategy of several replicas, the
    layers normalize with the statistics of the global batch.

    Raises:
        InputError: there is no such activation.
    """
    if activation not in ACTIVATIONS:
        raise InputError(
            f"activation is {activation!r}; accepted: {', '.join(map(repr, ACTIVATIONS))}"
        )
    if batch_normalization:
        x = BatchNormalization(
            momentum_warmup=True, synchronized=has_several_replicas(), name="normalization"
        )(x)
    for i, width in enumerate(units, start=1):
        x = keras.layers.Dense(width, name=f"dense_{i}")(x)
        x = ACTIVATIONS[activation](name=f"{activation}_{i}")(x)
        if dropout:
            x = keras.layers.Dropout(dropout, name=f"dropout_{i}")(x)
    # Half precision has too few values between 0 and 1 for scores to rank by.
    dtype = statistics_dtype(tf.as_dtype(keras.config.dtype_policy().compute_dtype)).name
    return keras.layers.Dense(1, activation="sigmoid", name="score", dtype=dtype)(x)
