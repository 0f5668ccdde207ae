"""What XLA is told, and that it changes nothing but its speed."""

import numpy as np
import pytest
import tensorflow as tf

from tfnorm.ops import xla


def test_without_xla_it_is_the_tensor_itself():
    v = tf.constant([1.0, 2.0])
    assert xla.computed_once(v) is v


@pytest.fixture
def compiling(monkeypatch):
    """As if XLA were compiling."""
    monkeypatch.setattr(xla, "in_xla_context", lambda: True)


@pytest.mark.parametrize("shape", [(3,), (2, 3)])
def test_where_xla_compiles_a_reduction_is_put_after_it_that_changes_no_bit(compiling, shape):
    v = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    np.testing.assert_array_equal(xla.computed_once(tf.constant(v)), v)
    with tf.Graph().as_default() as graph:
        given = tf.constant(v)
        assert xla.computed_once(given).shape == shape
    assert "Sum" in [op.type for op in graph.get_operations()]


def test_its_gradients_are_those_of_the_tensor(compiling):
    v = tf.constant([1.0, 2.0])
    with tf.GradientTape() as outer:
        outer.watch(v)
        with tf.GradientTape() as tape:
            tape.watch(v)
            y = xla.computed_once(v) ** 3
        slope = tape.gradient(y, v)
    np.testing.assert_allclose(slope, [3.0, 12.0])
    np.testing.assert_allclose(outer.gradient(slope, v), [6.0, 12.0])


def test_in_forward_mode_it_is_left_alone(compiling):
    v = tf.constant([1.0, 2.0])
    with tf.autodiff.ForwardAccumulator(v, tf.constant([1.0, 0.0])) as follower:
        y = xla.computed_once(v)
    assert y is v
    np.testing.assert_array_equal(follower.jvp(y), [1.0, 0.0])
