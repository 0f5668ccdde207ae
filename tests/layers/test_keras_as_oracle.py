"""keras.layers.BatchNormalization as the oracle, for every argument that both have."""

import inspect

import keras
import numpy as np
import oracles
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from oracles import assert_close
from running import run

from tfnorm.layers import BatchNormalization

KERAS_HAS_RENORM = "renorm" in inspect.signature(keras.layers.BatchNormalization).parameters

arguments = st.fixed_dictionaries(
    {
        "momentum": st.sampled_from([0.0, 0.5, 0.9, 0.99, 1.0]),
        "epsilon": st.sampled_from([1e-3, 1e-2, 0.5]),
        "center": st.booleans(),
        "scale": st.booleans(),
        "beta_initializer": st.sampled_from(["zeros", keras.initializers.Constant(0.3)]),
        "gamma_initializer": st.sampled_from(["ones", keras.initializers.Constant(1.7)]),
        "moving_mean_initializer": st.sampled_from(["zeros", keras.initializers.Constant(2.0)]),
        "moving_variance_initializer": st.sampled_from(["ones", keras.initializers.Constant(3.0)]),
        # Not L1, which Keras 3.6 takes for float32 wherever it is.
        "beta_regularizer": st.sampled_from([None, keras.regularizers.L2(0.2)]),
        "gamma_regularizer": st.sampled_from([None, keras.regularizers.L2(0.1)]),
        "synchronized": st.booleans(),
        "dtype": st.sampled_from(["float32", "float64", "mixed_float16", "mixed_bfloat16"]),
    }
)
renorm_arguments = st.fixed_dictionaries(
    {
        "renorm": st.just(True),
        "renorm_momentum": st.sampled_from([0.0, 0.8, 0.99]),
        "renorm_clipping": st.sampled_from(
            [None, {"rmax": 1.1}, {"rmin": 0.9, "dmax": 0.1}, {"rmin": 0.8, "rmax": 1.2, "dmax": 0}]
        ),
    }
)
shapes_and_axes = st.lists(st.integers(2, 4), min_size=2, max_size=4).flatmap(
    lambda shape: st.tuples(
        st.just((shape[0] + 4, *shape[1:])), st.integers(-len(shape), len(shape) - 1)
    )
)
# Explaining a failure takes longer than finding it.
few = settings(deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink])
TOLERANCE = {"float64": 1e-9, "float32": 1e-5, "float16": 4e-3, "bfloat16": 3e-2}
# Keras divides masked sums by count + 1e-7, which is rounding in float32 and not in float64.
MASKED_TOLERANCE = TOLERANCE | {"float64": 1e-5}


def draw_mask(shape, axis, rng):
    """A mask that leaves every channel a value: Keras moves the statistics of the others to 0."""
    mask = rng.random(shape[:-1]) < 0.7
    while not np.all(oracles.moments(np.zeros(shape), axis, mask)[0]):
        mask |= rng.random(shape[:-1]) < 0.7
    return mask


def assert_equal_to_keras(shape, axis, arguments, masked, seed, steps=10):
    if not KERAS_HAS_RENORM and axis % len(shape) != len(shape) - 1:
        masked = False  # Keras 3.6 counts what a mask leaves as if the channels were last.
    rng = np.random.default_rng(seed)
    ours = BatchNormalization(axis=axis, **arguments)
    theirs = keras.layers.BatchNormalization(axis=axis, **arguments)
    ours.build(shape)
    theirs.build(shape)
    assert [w.name for w in ours.weights] == [w.name for w in theirs.weights]
    tolerance = (MASKED_TOLERANCE if masked else TOLERANCE)[ours.compute_dtype]
    if arguments["synchronized"] and ours.compute_dtype == "float32":
        tolerance *= 20  # Keras takes E[x^2] - E[x]^2 there, which loses digits.
    for _ in range(steps):
        x = rng.normal(rng.normal(), rng.uniform(0.5, 3), shape)
        dy = rng.normal(size=shape)
        mask = draw_mask(shape, axis, rng) if masked else None
        mine, other = run(ours, x, dy, mask), run(theirs, x, dy, mask)
        assert mine.y.dtype == other.y.dtype
        assert_close(mine.y, other.y, tolerance)
        # dx is what is left of terms as large as dy times the steepest slope, and rounded as they are.
        _, _, variance = oracles.moments(x, axis, mask)
        slope = 1 / np.sqrt(np.min(variance) + ours.epsilon)
        assert_close(mine.dx / slope, other.dx / slope, tolerance)
        for gradient, expected in zip(mine.weights, other.weights, strict=True):
            assert_close(gradient, expected, tolerance)
    for weight, expected in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert_close(weight, expected, min(tolerance, 1e-5))
    assert_close(ours(x, training=False), theirs(x, training=False), tolerance)
    np.testing.assert_allclose(
        [float(loss) for loss in ours.losses], [float(loss) for loss in theirs.losses], rtol=1e-6
    )


@pytest.mark.slow
@settings(few, max_examples=12)
@given(shapes_and_axes, arguments, st.booleans(), st.integers(0, 2**32 - 1))
def test_ten_steps_are_those_of_keras(shape_and_axis, arguments, masked, seed):
    assert_equal_to_keras(*shape_and_axis, arguments, masked, seed)


@pytest.mark.slow
@pytest.mark.skipif(not KERAS_HAS_RENORM, reason="this Keras has no renorm; NumPy is the oracle")
@settings(few, max_examples=8)
@given(shapes_and_axes, arguments, renorm_arguments, st.booleans(), st.integers(0, 2**32 - 1))
def test_ten_steps_of_renorm_are_those_of_keras(
    shape_and_axis, arguments, renorm_arguments, masked, seed
):
    assert_equal_to_keras(*shape_and_axis, {**arguments, **renorm_arguments}, masked, seed)
