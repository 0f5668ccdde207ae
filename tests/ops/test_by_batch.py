"""A forward and a backward formula become one op with derivatives of every order.

The formulas are hand-made, with a gradient that is no derivative of the forward formula: so it can be
told which of them was used.
"""

import numpy as np
import pytest
import tensorflow as tf

from tfnorm.ops.by_batch import by_batch
from tfnorm.ops.moments import Exact, flat_moments

X, W = np.array([[1.0, 2.0], [3.0, 5.0], [5.0, 20.0]]), np.array([2.0, -1.0])
DY = np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 3.0]])
MASK = np.array([[True], [True], [False]])


class Formulas:
    """y = w x, and 10 w dy for the gradient with respect to x; what they were given is kept."""

    def __init__(self):
        self.sums, self.own, self.counted = [], [], []

    def forward(self, sums, x, w, counted, epsilon):
        self.sums.append(sums)
        return w * x + epsilon, flat_moments(x, counted)

    def backward(self, sums, dy, x, w, own, counted, epsilon):
        self.own.append(own)
        self.counted.append(counted)
        return 10 * w * dy, tf.reduce_sum(w * dy * x, 0)

    def __call__(self, x, w, counted=None):
        return by_batch(self.forward, self.backward, x, w, counted=counted, epsilon=0.5)


@pytest.fixture
def formulas():
    return Formulas()


@pytest.fixture
def given():
    return tf.constant(X), tf.constant(W)


def test_it_gives_what_the_forward_formula_does_and_the_moments(formulas, given):
    y, own = formulas(*given, counted=tf.constant(MASK))
    np.testing.assert_allclose(y, W * X + 0.5)
    np.testing.assert_allclose(own.mean, X[:2].mean(0))
    np.testing.assert_allclose(own.variance, X[:2].var(0))
    assert np.broadcast_to(own.count, 2).tolist() == [2, 2]
    assert formulas.sums == [Exact]


@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_its_gradient_is_the_backward_formula_with_the_moments_of_the_forward_one(
    mode, formulas, given
):
    def gradients(x, w):
        with tf.GradientTape() as tape:
            tape.watch([x, w])
            y, _ = formulas(x, w, counted=tf.constant(MASK))
        return tape.gradient(y, [x, w], tf.constant(DY))

    dx, dw = (gradients if mode == "eager" else tf.function(gradients, autograph=False))(*given)
    np.testing.assert_allclose(dx, 10 * W * DY)
    np.testing.assert_allclose(dw, W * (DY * X).sum(0))
    assert len(formulas.own) == 1
    if mode == "eager":
        np.testing.assert_allclose(formulas.own[0].mean, X[:2].mean(0))
        np.testing.assert_array_equal(formulas.counted[0], MASK)


def test_no_gradient_flows_through_the_moments(formulas, given):
    with tf.GradientTape() as tape:
        tape.watch(given)
        _, own = formulas(*given)
        loss = tf.reduce_sum(own.mean) + tf.reduce_sum(own.M2)
    for slope in tape.gradient(loss, given):
        assert not np.any(slope)


def test_the_second_derivative_is_that_of_the_backward_formula(formulas, given):
    x, w = given
    with tf.GradientTape() as outer:
        outer.watch([x, w])
        with tf.GradientTape() as tape:
            tape.watch([x, w])
            y, _ = formulas(x, w)
        dx, dw = tape.gradient(y, [x, w], tf.constant(DY))
        loss = tf.reduce_sum(dx * x) + tf.reduce_sum(dw)
    by_x, by_w = outer.gradient(loss, [x, w])
    np.testing.assert_allclose(by_x, 10 * W * DY + W * DY)
    np.testing.assert_allclose(by_w, (10 * DY * X + DY * X).sum(0))


def test_in_forward_mode_the_forward_formula_itself_is_derived(formulas, given):
    x, w = given
    with tf.autodiff.ForwardAccumulator(x, tf.constant(DY)) as follower:
        y, own = formulas(x, w)
    np.testing.assert_allclose(follower.jvp(y), W * DY)
    np.testing.assert_allclose(follower.jvp(own.mean), DY.mean(0))
    assert formulas.own == []
