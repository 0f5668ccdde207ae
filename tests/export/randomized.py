"""Models drawn by Hypothesis, the same in float32 and in float64."""

import itertools

import keras
import numpy as np
from hypothesis import strategies as st

from tfnorm.layers import BatchNormalization, Dice

CHANNELS = 4


class Builder:
    """Draws layers; a draw is replayed to build the same model in another dtype."""

    def __init__(self, choices, dtype):
        self._choices = itertools.cycle(choices)
        self._dtype = dtype

    def pick(self, *options):
        return options[next(self._choices) % len(options)]

    def model(self):
        shape = self.pick((6,), (5, 6), (5, 5, 6))
        inputs = keras.Input(shape, name="x", dtype=self._dtype)
        x = inputs
        for _ in range(self.pick(1, 2, 3, 4, 5, 6)):
            x = self.block(x)
        if len(shape) > 1 and self.pick(True, False):
            x = keras.layers.Flatten()(x)
        outputs = [keras.layers.Dense(2, dtype=self._dtype)(x)]
        if self.pick(True, False, False):
            outputs.append(x)
        return keras.Model(inputs, outputs)

    def block(self, x):
        kind = self.pick(
            "layer", "after", "before", "before", "fork", "residual", "nested", "twice"
        )
        if kind == "after":
            return self.normalization(x)(self.linear(x, CHANNELS))
        if kind == "before":
            return self.linear(self.normalization(x)(x), CHANNELS)
        if kind == "fork":
            x = self.linear(x, CHANNELS)
            y = self.normalization(x)(x)
            return keras.layers.Add(dtype=self._dtype)([x, y])
        if kind == "residual":
            return keras.layers.Add(dtype=self._dtype)([self.linear(x, x.shape[-1]), x])
        if kind == "nested":
            inner = keras.Input(x.shape[1:], dtype=self._dtype)
            y = self.layer(self.layer(inner))
            return keras.Model(inner, y)(x)
        if kind == "twice":
            layer, other = self.make(x), self.make(x)
            y, z = other(layer(x)), other(layer(self.activation()(x)))
            return keras.layers.Add(dtype=self._dtype)([y, z]) if y.shape == z.shape else y
        return self.layer(x)

    def layer(self, x):
        return self.make(x)(x)

    def make(self, x):
        kind = self.pick("linear", "linear", "bn", "bn", "bn", "dice", "activation", "dropout")
        if kind == "linear":
            return self.linear_layer(x, CHANNELS)
        if kind == "bn":
            return self.normalization(x)
        if kind == "dice":
            return Dice(dtype=self._dtype)
        if kind == "dropout":
            return keras.layers.Dropout(0.5, dtype=self._dtype)
        return self.activation()

    def activation(self):
        return keras.layers.Activation(self.pick("relu", "tanh", "linear"), dtype=self._dtype)

    def linear(self, x, units):
        return self.linear_layer(x, units)(x)

    def linear_layer(self, x, units):
        options = {
            "activation": self.pick(None, None, "relu"),
            "use_bias": self.pick(True, False),
            "dtype": self._dtype,
        }
        rank = len(x.shape) - 2
        if not rank or self.pick(True, False):
            return keras.layers.Dense(units, **options)
        convolution = (keras.layers.Conv1D, keras.layers.Conv2D)[rank - 1]
        return convolution(
            units,
            self.pick(1, 2),
            padding=self.pick("same", "valid") if units != x.shape[-1] else "same",
            groups=self.pick(1, 2),
            **options,
        )

    def normalization(self, x):
        options = {
            "axis": self.pick(-1, -1, -1, 1),
            "center": self.pick(True, True, False),
            "scale": self.pick(True, True, False),
            "epsilon": self.pick(1e-3, 1e-5),
            "dtype": self._dtype,
        }
        kind = self.pick(BatchNormalization, keras.layers.BatchNormalization)
        return kind(**options)


# What a model is drawn from: see `models`.
draws = st.tuples(st.lists(st.integers(0, 11), min_size=80, max_size=80), st.integers(0, 2**31))


def models(draw):
    """A Keras model with weights and statistics as if trained, and the same in float64."""
    choices, seed = draw
    model, exact = (Builder(choices, dtype).model() for dtype in ("float32", "float64"))
    give_weights([model, exact], np.random.default_rng(seed))
    return model, exact


def give_weights(copies, generator):
    """Give copies of a model the same random weights and statistics."""
    for weights in zip(*(model.weights for model in copies), strict=True):
        name, shape = weights[0].name, weights[0].shape
        values = generator.normal(size=shape).astype(np.float32)
        if name in ("moving_variance", "moving_stddev", "renorm_stddev"):
            values = np.exp(np.clip(2 * values, -2, 4))
        elif name == "kernel":
            values /= np.sqrt(np.prod(shape[:-1]))
        for weight in weights:
            weight.assign(values)
