"""Batch renormalization, as Ioffe's algorithm 1 and Keras's and TF 1's layers have it."""

import numpy as np
import oracles
import pytest
import tensorflow as tf
from oracles import assert_close
from running import MODES, run

from tfnorm.layers import BatchNormalization

EPSILON = 1e-3
CLIPPINGS = [
    {},
    {"rmax": 1.1},
    {"rmin": 0.9},
    {"dmax": 0.1},
    {"rmin": 0.9, "rmax": 1.1, "dmax": 0.2},
    {"rmin": 1.0, "rmax": 1.0, "dmax": 0.0},
]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


class Renorm:
    """Batch renormalization in NumPy: running statistics for training, moving ones for inference."""

    def __init__(self, channels, momentum, renorm_momentum, clipping):
        self.mean, self.moving_mean = np.zeros((2, channels))
        self.stddev, self.moving_stddev = np.ones((2, channels))
        self.momentum, self.renorm_momentum = momentum, renorm_momentum
        self.clipping = clipping

    def correction(self, x, axis, mask=None):
        _, mean, variance = oracles.moments(x, axis, mask)
        return oracles.renorm_correction(
            mean, variance, self.mean, self.stddev, epsilon=EPSILON, **self.clipping
        )

    def normalize(self, x, gamma, beta, correction, axis, mask=None):
        _, mean, variance = oracles.moments(x, axis, mask)
        r, d = (oracles.along(v, np.ndim(x), axis) for v in correction)
        x_hat = oracles.normalize(x, mean, variance, epsilon=EPSILON, axis=axis)
        gamma, beta = (oracles.along(v, np.ndim(x), axis) for v in (gamma, beta))
        return gamma * (x_hat * r + d) + beta

    def update(self, x, axis, mask=None):
        _, mean, variance = oracles.moments(x, axis, mask)
        stddev, keep, renorm_keep = np.sqrt(variance + EPSILON), self.momentum, self.renorm_momentum
        self.mean = renorm_keep * self.mean + (1 - renorm_keep) * mean
        self.stddev = renorm_keep * self.stddev + (1 - renorm_keep) * stddev
        self.moving_mean = keep * self.moving_mean + (1 - keep) * mean
        self.moving_stddev = keep * self.moving_stddev + (1 - keep) * stddev

    @property
    def moving_variance(self):
        return np.maximum(self.moving_stddev**2 - EPSILON, 0)


@pytest.mark.parametrize("clipping", CLIPPINGS, ids=str)
@pytest.mark.parametrize(
    ("shape", "axis", "masked"), [((8, 3), -1, False), ((6, 3, 4), 1, True), ((4, 1), -1, True)]
)
def test_ten_steps_are_those_of_numpy(shape, axis, masked, clipping, rng):
    """The gradients too: r and d are constants in them."""
    layer = BatchNormalization(
        axis=axis,
        epsilon=EPSILON,
        momentum=0.9,
        renorm=True,
        renorm_clipping=clipping,
        renorm_momentum=0.7,
    )
    oracle = Renorm(shape[axis], 0.9, 0.7, clipping)
    layer.build(shape)
    gamma, beta = rng.normal(1, 0.3, (2, shape[axis])).astype(np.float32)
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    for _ in range(10):
        x = rng.normal(1, 2, shape).astype(np.float32)
        dy = rng.normal(size=shape)
        mask = None
        if masked:
            mask = rng.random(shape[:-1]) < 0.7
            mask[:2] = True
        step = run(layer, x, dy, mask)
        correction = oracle.correction(x, axis, mask)

        def loss(x=x, gamma=gamma, beta=beta, dy=dy, mask=mask, correction=correction):
            return np.sum(dy * oracle.normalize(x, gamma, beta, correction, axis, mask))

        assert_close(step.y, oracle.normalize(x, gamma, beta, correction, axis, mask))
        assert_close(step.dx, oracles.gradient(lambda v: loss(x=v), x), 1e-4)
        assert_close(step.weights[0], oracles.gradient(lambda v: loss(gamma=v), gamma))
        assert_close(step.weights[1], oracles.gradient(lambda v: loss(beta=v), beta))
        oracle.update(x, axis, mask)
    assert_close(layer.renorm_mean, oracle.mean, 1e-6)
    assert_close(layer.renorm_stddev, oracle.stddev, 1e-6)
    assert_close(layer.moving_mean, oracle.moving_mean, 1e-6)
    assert_close(layer.moving_stddev, oracle.moving_stddev, 1e-6)
    assert_close(layer.moving_variance, oracle.moving_variance, 2e-6)
    assert_close(
        layer(x, training=False),
        oracles.normalize(
            x, oracle.moving_mean, oracle.moving_variance, gamma, beta, epsilon=EPSILON, axis=axis
        ),
    )


def test_training_and_inference_agree_once_the_statistics_have_settled(rng):
    """What renorm is for; r = 1 and d = 0 alone give plain batch normalization."""
    x = rng.normal(5, 2, (64, 3)).astype(np.float32)
    layer = BatchNormalization(renorm=True, renorm_momentum=0.0, momentum=0.0)
    layer(x, training=True)
    assert_close(layer(x, training=True), layer(x, training=False), 1e-5)
    batch = rng.normal(5, 2, (8, 3)).astype(np.float32)
    expected = layer(batch, training=False)
    assert_close(layer(batch, training=True), expected, 1e-5)


def test_a_batch_without_values_changes_nothing(rng):
    layer = BatchNormalization(renorm=True)
    layer(rng.normal(5, 2, (8, 3)).astype(np.float32), training=True)
    before = layer.get_weights()
    layer(np.zeros((0, 3), np.float32), training=True)
    layer(np.ones((4, 3), np.float32), training=True, mask=np.zeros(4, bool))
    for weight, value in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_allclose(weight, value, rtol=2e-7)


def test_garbage_where_the_mask_is_false_reaches_nothing(rng):
    x = rng.normal(1, 2, (7, 4, 3)).astype(np.float32)
    mask = rng.random((7, 4)) < 0.6
    dy = rng.normal(size=x.shape) * mask[..., None]
    layers = [BatchNormalization(renorm=True) for _ in range(2)]
    clean, dirty = (
        run(layer, np.where(mask[..., None], x, garbage), dy, mask)
        for layer, garbage in zip(layers, (0.0, np.nan), strict=True)
    )
    assert_close(dirty.y[mask], clean.y[mask], 1e-6)
    assert_close(dirty.dx, clean.dx, 1e-6)
    for weight, expected in zip(dirty.weights, clean.weights, strict=True):
        assert_close(weight, expected, 1e-6)


@pytest.mark.parametrize("arguments", [{"momentum": None}, {"momentum_warmup": True}])
def test_renorm_goes_with_the_other_kinds_of_momentum(arguments, rng):
    layer = BatchNormalization(epsilon=EPSILON, renorm=True, **arguments)
    moving = oracles.MovingStatistics(
        3, layer.momentum, warmup=arguments.get("momentum_warmup", False)
    )
    for _ in range(5):
        x = rng.normal(1, 2, (8, 3)).astype(np.float32)
        layer(x, training=True)
        count, mean, variance = oracles.moments(x)
        # The moving standard deviation moves as a variance would.
        moving.update(count, mean, np.sqrt(variance + EPSILON))
    assert_close(layer.moving_mean, moving.mean, 1e-6)
    assert_close(layer.moving_stddev, moving.variance, 1e-6)
    assert_close(layer.moving_variance, moving.variance**2 - EPSILON, 2e-6)
    assert layer.updates.numpy().tolist() == [5, 5, 5]


def test_every_mode_gives_the_same(rng):
    x = rng.normal(1, 2, (7, 3)).astype(np.float32)
    dy = rng.normal(size=x.shape)
    clipping = {"rmin": 0.9, "rmax": 1.1, "dmax": 0.2}
    steps = [
        run(BatchNormalization(renorm=True, renorm_clipping=clipping), x, dy, mode=mode)
        for mode in MODES
    ]
    for step in steps[1:]:
        assert_close(step.y, steps[0].y)
        assert_close(step.dx, steps[0].dx)


def test_the_stddev_starts_at_the_root_of_what_a_function_made_the_variance():
    layer = BatchNormalization(
        renorm=True, moving_variance_initializer=lambda shape, dtype=None: tf.fill(shape, 4.0)
    )
    layer.build((None, 2))
    for stddev in (layer.moving_stddev, layer.renorm_stddev):
        assert stddev.numpy().tolist() == [2.0, 2.0]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("mode", MODES)
def test_weights_in_half_precision_are_taken_in_every_mode(dtype, mode):
    # These are exact in both, so that only the outputs round.
    x, gamma, beta = np.float32([[-1.5, 2.0], [0.5, 8.0], [1.0, -4.0]]), [0.5, 2.0], [0.25, -1.0]
    layer = BatchNormalization(renorm=True, dtype=dtype)
    layer.build(x.shape)
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    oracle = Renorm(2, 0.99, 0.99, {})
    y = run(layer, x, mode=mode).y.astype(np.float32)
    assert_close(y, oracle.normalize(x, gamma, beta, oracle.correction(x, -1), -1), 1e-2)
