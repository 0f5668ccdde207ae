"""The same batch twice."""

import numpy as np
import pytest
import tensorflow as tf

from tfnorm.verify.culprit.batches import Batches
from tfnorm.verify.culprit.experiments.experiment import Subject
from tfnorm.verify.culprit.experiments.repeat import Repeat

X = tf.TensorSpec([None, 2], tf.float32, "x")


@pytest.fixture(scope="module")
def accused(probe_of):
    """`accused(call, **variables)`: the op type that is accused, and what is said."""

    def accuse(call, **variables):
        probe = probe_of(lambda x: {"score": call(x)}, X, **variables)
        batches = Batches(probe.signature, {"x": np.ones((5, 2), np.float32)})
        found = Repeat().find(Subject(probe, batches, 2, 5))
        return found and (found.region.nodes[found.node].op, found.explanation)

    return accuse


def test_what_draws_is_accused(accused):
    assert accused(lambda x: x + tf.random.normal(tf.shape(x))) == (
        "RandomStandardNormal",
        "RandomStandardNormal draws at every call",
    )


def test_what_draws_is_accused_and_not_what_reads_and_changes_its_seed(accused):
    seed = tf.Variable([1, 2])

    def call(x):
        drawn = tf.random.stateless_uniform(tf.shape(x), seed.read_value())
        seed.assign_add([0, 1])
        return x + drawn

    assert accused(call, seed=seed)[0] == "StatelessRandomUniformV2"


def test_a_generators_own_draw_is_accused(accused):
    generator = tf.random.Generator.from_seed(1, alg="philox")

    def call(x):
        state = generator.state.handle
        return x + tf.raw_ops.StatefulStandardNormalV2(
            resource=state, algorithm=np.int64(1), shape=tf.shape(x)
        )

    assert accused(call, generator=generator) == (
        "StatefulStandardNormalV2",
        "StatefulStandardNormalV2 draws at every call",
    )


@pytest.mark.parametrize(
    ("change", "op"),
    [
        (lambda v: v.assign_add([1.0, 1.0]), "AssignAddVariableOp"),
        (lambda v: v.scatter_add(tf.IndexedSlices([1.0], [0])), "ResourceScatterAdd"),
        (lambda v: v.scatter_nd_add([[1]], [7.0]), "ResourceScatterNdAdd"),
        (lambda v: v[:1].assign([v[0] + 1.0]), "ResourceStridedSliceAssign"),
        (
            lambda v: tf.raw_ops.ResourceApplyGradientDescent(
                var=v.handle, alpha=1.0, delta=[1, 1.0]
            ),
            "ResourceApplyGradientDescent",
        ),
        (
            lambda v: tf.raw_ops.ResourceSparseApplyProximalGradientDescent(
                var=v.handle, alpha=1.0, l1=0.0, l2=0.0, grad=[1.0], indices=[0]
            ),
            "ResourceSparseApplyProximalGradientDescent",
        ),
    ],
    ids=["assigned", "scattered", "scattered anywhere", "sliced", "stepped", "stepped in rows"],
)
def test_what_changes_a_variable_that_is_read_is_accused(accused, change, op):
    state = tf.Variable([1.0, 2.0])

    def call(x):
        before = state.read_value()
        with tf.control_dependencies([before]):
            change(state)
        return x * before

    assert accused(call, state=state) == (op, f"{op} changes from call to call")


def test_a_variable_that_no_score_reads_is_not_accused(accused):
    calls = tf.Variable(0.0)

    def call(x):
        calls.assign_add(1.0)
        return x * 2

    assert accused(call, calls=calls) is None


def test_a_variable_that_stays_is_not_accused(accused):
    weights = tf.Variable([1.0, 2.0])
    assert accused(lambda x: x * weights, weights=weights) is None
