"""What is wrong, risky or worth knowing about a SavedModel as a whole."""

import dataclasses

import pytest
import tensorflow as tf
from hand_made import laid_open, signature

from tfnorm.verify.inspection.model_checks import (
    check_batch_dimensions,
    check_compiled,
    check_variables,
    facts,
)
from tfnorm.verify.inspection.opened import open_graph
from tfnorm.verify.inspection.variables import Fault

X = [None, 4]


@dataclasses.dataclass
class Variables:
    """Those of a model that is played."""

    found: list = dataclasses.field(default_factory=list)
    parameters: int = 12

    def faults(self):
        return iter(self.found)


def compiled(x, *, jit_compile):
    return tf.function(tf.tanh, jit_compile=jit_compile, autograph=False)(x)


@pytest.mark.parametrize("jit_compile", [True, False, None])
def test_a_function_that_must_be_compiled_is_an_error(jit_compile):
    def call(x):
        with tf.name_scope("dense"):
            return compiled(x, jit_compile=jit_compile)

    meta_graph = signature(call, x=X)
    found = list(check_compiled(meta_graph, open_graph(meta_graph, "serve")))
    assert [(f.severity, f.op_type) for f in found] == [("error", None)] * bool(jit_compile)
    for finding in found:
        assert "must be compiled by XLA" in finding.message
        assert finding.layer == finding.op == "dense"
        assert "jit_compile=False" in finding.advice


def test_a_function_that_no_score_calls_may_be_compiled():
    def call(x):
        compiled(x, jit_compile=True)
        return x + 1

    meta_graph = signature(call, x=X)
    assert meta_graph.graph_def.library.function
    assert list(check_compiled(meta_graph, open_graph(meta_graph, "serve"))) == []


def test_statistics_never_updated_are_a_warning_and_impossible_values_an_error():
    found = check_variables(
        Variables(
            [
                Fault("tower/bn/moving_variance", "never updated", initial=True),
                Fault("gamma", "1 of its 4 values are NaN or infinite"),
            ]
        )
    )
    warning, error = found
    assert (warning.severity, warning.op, warning.layer) == (
        "warning",
        "tower/bn/moving_variance",
        "bn",
    )
    assert "tfnorm.recalibrate_statistics" in warning.advice
    assert (error.severity, error.op, error.layer) == ("error", "gamma", None)
    assert error.message == "1 of its 4 values are NaN or infinite" and "checkpoint" in error.advice


def dimensions(call, **inputs):
    return [(f.op, f.message) for f in check_batch_dimensions(laid_open(call, **inputs))]


def test_inputs_and_outputs_with_the_batch_first_are_not_mentioned():
    both = {"a": X, "b": tf.TensorSpec([None], tf.int64), "flag": []}
    assert (
        dimensions(lambda a, b, flag: {"a": a, "b": tf.cast(b, tf.float32)[:, None]}, **both) == []
    )


def test_a_batch_dimension_that_is_fixed_is_a_warning():
    ((name, message),) = dimensions(lambda x: x + 1, x=[8, 4])
    assert name == "x" and message == "input 'x' has the fixed batch dimension 8, of (8, 4)"


@pytest.mark.parametrize(
    ("call", "shape"),
    [
        (lambda x: tf.reduce_max(x, axis=1)[None], [1, 7]),
        (lambda x: tf.ones([3]), [3]),
        (lambda x: tf.constant(1.0), []),
        (lambda x: tf.concat([x, x], 0), [14, 4]),
        (lambda x: x[:7], [7, 4]),
    ],
)
def test_an_output_that_a_server_cannot_split_is_a_warning(call, shape):
    ((name, message),) = dimensions(lambda x: {"score": tf.tanh(x), "other": call(x)}, x=X)
    assert name == "other"
    assert message.endswith(f"in a batch of 7 its shape is {shape}")


def test_outputs_that_the_batch_can_not_be_followed_to_are_named_together():
    def call(x):
        return {"b": tf.boolean_mask(x, x[:, 0] > 0), "a": tf.unique(x[:, 0]).y, "c": x}

    ((name, message),) = dimensions(call, x=X)
    assert name is None and message == "the batch axis can't be followed as far as 'a', 'b'"


@pytest.mark.parametrize(("folder", "version"), [("7", "version 7, "), ("ranker", "")])
def test_what_the_model_is_is_told(tmp_path, folder, version):
    meta_graph = signature(
        lambda x, n: {"score": x + 1, "n": n},
        x=X,
        n=tf.TensorSpec(None, tf.string),
    )
    meta_graph.meta_info_def.tensorflow_version = "2.18.0"
    path = tmp_path / folder
    (path / "variables").mkdir(parents=True)
    (path / "saved_model.pb").write_bytes(bytes(2_000_000))
    (path / "variables" / "variables.index").write_bytes(bytes(1_500_000))
    opened = open_graph(meta_graph, "serve")
    found = list(facts(meta_graph, "serve", opened, Variables(parameters=1_234_567), path))
    assert {finding.severity for finding in found} == {"info"}
    assert [finding.message for finding in found] == [
        "takes n: string of any rank, x: float32 [None, 4]; "
        "gives n: string of any rank, score: float32 [None, 4]",
        f"{version}written by TensorFlow 2.18.0",
        f"3.5 MB on disk, {len(opened.graph.nodes)} ops, 1,234,567 values in the variables",
    ]


def test_what_is_not_known_of_a_model_is_said(tmp_path):
    meta_graph = signature(lambda: tf.constant([1.0]))
    opened = open_graph(meta_graph, "serve")
    first, second, _ = facts(meta_graph, "serve", opened, Variables(), tmp_path)
    assert first.message == "takes nothing; gives score: float32 [1]"
    assert second.message == "written by TensorFlow an unknown version"
