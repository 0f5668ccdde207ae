"""What can be told of a SavedModel without running it."""

import contextlib
import re
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo
from tensorflow.core.protobuf import saved_model_pb2

from tfnorm.errors import InputError
from tfnorm.verify.inspection.inspect import inspect_saved_model

X = tf.TensorSpec([None, 4], tf.float32, "x")
SLOW = ("a Keras application",)

# What reaches across the batch axis, or keeps state, whatever the examples are.
VISIBLE = (
    "mean-centring",
    "softmax over the batch",
    "max scaling",
    "cumulative sum",
    "sorted rows",
    "rank in the batch",
    "top-k of the batch",
    "rolled rows",
    "reversed rows",
    "l2 norm over the batch",
    "attention across examples",
    "similarities by einsum",
    "convolution over the rows",
    "fused normalization in training",
    "mean in a branch",
    "mean in a loop",
    "random noise",
    "hidden counter",
    "state of the last call",
    "Dice with the batch's statistics",
    "Keras BatchNormalization in training",
    "tfnorm BatchNormalization in training",
    "dropout left on",
    "how many ids are in the batch",
    "rows shifted by a pad",
    "rows shifted by a row before them",
    "the last row by gather",
    "l2 loss as a scale",
    "clipping by the global norm",
    "mean over a computed axis",
    "mean of a segment",
    "rows scattered into one slot",
    "rows counted by a mask",
    "state that a scatter changes",
    "mean behind a string lookup",
)


def _saved(tmp_path, call, *specs, **variables):
    module = tf.Module()
    for name, variable in variables.items():
        setattr(module, name, variable)
    module.serve = tf.function(call, input_signature=specs, autograph=False)
    tf.saved_model.save(module, str(tmp_path), signatures=module.serve)
    return tmp_path


def _of(inspection, severity):
    return [finding for finding in inspection.findings if finding.severity == severity]


def _rewrite(directory, edit):
    """Change a SavedModel's graph on disk."""
    file = directory / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    edit(saved.meta_graphs[0])
    file.write_bytes(saved.SerializeToString())


@pytest.mark.parametrize("name", VISIBLE)
def test_defect_in_the_graph_is_an_error_that_says_what_to_do(name):
    specimen, directory = zoo.exported(name)
    inspection = inspect_saved_model(directory)
    found = [f for f in _of(inspection, "error") if f.op_type == specimen.op_type]
    assert found and found[0].layer == specimen.layer
    assert found[0].advice
    assert not inspection.passed


@pytest.mark.parametrize(
    ("name", "op_type"),
    [
        ("how often an id is in the batch", "UniqueWithCounts"),
        ("batch size as a feature", "AddV2"),
        ("batch size as a threshold", "Greater"),
        ("batch size in a branch", "Mul"),
        ("place in the batch", "Range"),
        ("scan over the rows", "TensorListFromTensor"),
        ("loop until the whole batch is done", "Any"),
        ("the first row as a reference", "StridedSlice"),
        ("a counter that no score reads", "AssignAddVariableOp"),
    ],
)
def test_what_may_be_harmless_is_a_warning(name, op_type):
    _, directory = zoo.exported(name)
    inspection = inspect_saved_model(directory)
    assert op_type in [finding.op_type for finding in _of(inspection, "warning")]
    assert inspection.passed


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in zoo.CLEAN]
)
def test_clean_model_has_no_error(name):
    _, directory = zoo.exported(name)
    inspection = inspect_saved_model(directory)
    assert inspection.passed, _of(inspection, "error")


@pytest.mark.parametrize("centred", [False, True])
def test_rows_are_followed_behind_a_hash_table(tmp_path, centred):
    pairs = tf.lookup.KeyValueTensorInitializer(["a", "b"], [1.0, 2.0])
    table = tf.lookup.StaticHashTable(pairs, 0.0)

    def serve(words):
        found = table.lookup(words)
        return {"score": found - tf.reduce_mean(found, axis=0) if centred else found}

    spec = tf.TensorSpec([None, 2], tf.string, "words")
    inspection = inspect_saved_model(_saved(tmp_path, serve, spec, table=table))
    found = [f.op_type for f in inspection.findings if f.severity != "info"]
    assert found == (["Mean"] if centred else [])


@contextlib.contextmanager
def _control_flow(version):
    if version == 2:
        yield
        return
    tf.compat.v1.disable_control_flow_v2()
    try:
        yield
    finally:
        tf.compat.v1.enable_control_flow_v2()


def _tf1_normalized(directory, training, *, served=False):
    """The usual export of TF 1: moments of the batch or of the training, by `is_training`."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        x = tf.compat.v1.placeholder(tf.float32, [None, 4], "x")
        is_training = tf.compat.v1.placeholder_with_default(training, [], "is_training")
        mean, variance = tf.compat.v1.cond(
            is_training,
            lambda: tf.nn.moments(x, [0]),
            lambda: (tf.ones([4]), tf.ones([4])),
        )
        kept = tf.compat.v1.cond(is_training, lambda: tf.nn.dropout(x, 0.5), lambda: tf.identity(x))
        inputs = {"x": x} | ({"is_training": is_training} if served else {})
        score = (kept - mean) / tf.sqrt(variance + 1e-3)
        tf.compat.v1.saved_model.simple_save(session, str(directory), inputs, {"score": score})
    return inspect_saved_model(directory)


@pytest.mark.parametrize("control_flow", [1, 2])
def test_a_branch_that_no_call_takes_is_not_mentioned(tmp_path, control_flow):
    with _control_flow(control_flow):
        serving = _tf1_normalized(tmp_path / "serving", training=False)
        training = _tf1_normalized(tmp_path / "training", training=True)
    assert [f for f in serving.findings if f.severity != "info"] == []
    assert {error.op_type for error in _of(training, "error")} == {"Mean", "RandomUniform"}


@pytest.mark.parametrize("control_flow", [1, 2])
def test_a_branch_that_an_input_chooses_is_a_warning(tmp_path, control_flow):
    with _control_flow(control_flow):
        inspection = _tf1_normalized(tmp_path / "served", training=False, served=True)
    assert inspection.passed
    warnings = [w for w in _of(inspection, "warning") if w.op_type in ("Mean", "RandomUniform")]
    assert {w.op_type for w in warnings} == {"Mean", "RandomUniform"}
    assert all("where input 'is_training' says so" in w.message for w in warnings)


@pytest.mark.parametrize("resource", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_a_variable_that_no_call_changes_decides_like_a_constant(tmp_path, training, resource):
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 4], "x")
        flag = v1.get_variable("flag", initializer=training, use_resource=resource)
        score = x - tf.where(flag, tf.reduce_mean(x, axis=0), np.ones(4, np.float32))
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(tmp_path), {"x": x}, {"score": score})
    assert inspect_saved_model(tmp_path).passed is not training


def test_a_variable_that_another_signature_changes_decides_nothing(tmp_path):
    module = tf.Module()
    module.flag = tf.Variable(False)
    spec = tf.TensorSpec([None, 4], tf.float32, "x")

    def score(x):
        mean = tf.where(module.flag, tf.reduce_mean(x, axis=0), np.ones(4, np.float32))
        return {"score": x - mean}

    def switch(x):
        return {"flag": module.flag.assign(tf.reduce_any(x > 0))}

    calls = {
        "serving_default": tf.function(score, input_signature=[spec]),
        "switch": tf.function(switch, input_signature=[spec]),
    }
    for names, passed in ((["serving_default"], True), (list(calls), False)):
        directory = tmp_path / str(passed)
        tf.saved_model.save(
            module, str(directory), signatures={name: calls[name] for name in names}
        )
        assert inspect_saved_model(directory).passed is passed


def test_an_error_of_its_own_is_not_taken_for_damage(tmp_path, monkeypatch):
    _, directory = zoo.exported("mean-centring")

    def broken(opened):
        raise TypeError("unsupported operand")

    monkeypatch.setattr("tfnorm.verify.inspection.inspect.check_ops", broken)
    with pytest.raises(TypeError, match="unsupported operand"):
        inspect_saved_model(directory)


def test_worst_findings_come_first():
    _, directory = zoo.exported("Keras BatchNormalization in training")
    severities = [finding.severity for finding in inspect_saved_model(directory).findings]
    assert set(severities) == {"error", "warning", "info"}
    assert severities == sorted(severities, key=["error", "warning", "info"].index)


def test_batch_axis_is_followed_through_an_rnn(tmp_path):
    inputs = keras.Input((None, 3), name="x")
    h = keras.layers.GRU(4, return_sequences=True)(inputs)
    h = keras.layers.BatchNormalization(name="normalized")(h, training=True)
    keras.Model({"x": inputs}, h).export(str(tmp_path), verbose=False)
    layers = {finding.layer for finding in _of(inspect_saved_model(tmp_path), "error")}
    assert layers == {"normalized"}


def _normalized(directory, **values):
    inputs = keras.Input((4,), name="x")
    layer = keras.layers.BatchNormalization(name="normalized")
    model = keras.Model({"x": inputs}, layer(inputs))
    for name, value in values.items():
        getattr(layer, name).assign(value)
    model.export(str(directory), verbose=False)
    return inspect_saved_model(directory)


def test_moving_statistics_never_updated_are_a_warning(tmp_path):
    (warning,) = _of(_normalized(tmp_path), "warning")
    assert warning.layer == "normalized"
    assert "never updated" in warning.message


@pytest.mark.parametrize("updated", ["moving_mean", "moving_variance"])
def test_moving_statistics_once_updated_are_not_mentioned(tmp_path, updated):
    inspection = _normalized(tmp_path, **{updated: [0.5, 0, 1, 2]})
    assert _of(inspection, "warning") == []


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"moving_mean": [0, np.nan, np.inf, 0]}, "2 of its 4 values are NaN or infinite"),
        ({"moving_variance": [1, -1, 1, 1]}, "1 of its 4 variances are negative"),
        ({"gamma": [1, np.nan, 1, 1]}, "1 of its 4 values are NaN or infinite"),
    ],
)
def test_impossible_values_are_an_error(tmp_path, values, said):
    (error,) = _of(_normalized(tmp_path, **values), "error")
    assert error.message == said
    assert error.op == f"normalized/{next(iter(values))}"


def test_function_for_xla_is_an_error(tmp_path):
    @tf.function(jit_compile=True)
    def compiled(x):
        return tf.tanh(x)

    directory = _saved(tmp_path, lambda x: {"score": compiled(x)}, X)
    (error,) = _of(inspect_saved_model(directory), "error")
    assert "XLA" in error.message
    assert "jit_compile=False" in error.advice


def test_op_unknown_to_tensorflow_is_an_error_and_does_not_hide_others(tmp_path):
    def serve(x):
        return {"score": tf.tanh(x), "centred": x - tf.reduce_mean(x, 0)}

    def edit(meta_graph):
        for function in meta_graph.graph_def.library.function:
            for node in function.node_def:
                if node.op == "Tanh":
                    node.op = "FancyTanh"

    directory = _saved(tmp_path, serve, X)
    _rewrite(directory, edit)
    errors = _of(inspect_saved_model(directory), "error")
    assert {error.op_type for error in errors} == {"FancyTanh", "Mean"}


def test_signature_version_and_size_are_told(tmp_path):
    kernel = tf.Variable(tf.ones([4, 3]), name="kernel")
    _saved(tmp_path / "7", lambda x: {"score": x @ kernel}, X, kernel=kernel)
    inspection = inspect_saved_model(tmp_path)
    assert inspection.directory == tmp_path / "7"
    text = "\n".join(finding.message for finding in _of(inspection, "info"))
    assert "takes x: float32 [None, 4]; gives score: float32 [None, 3]" in text
    assert f"version 7, written by TensorFlow {tf.__version__}" in text
    assert "12 values" in text


def test_unknown_signature_is_refused():
    _, directory = zoo.exported("mean-centring")
    with pytest.raises(InputError, match=r"no signature 'score'; it has .*'serving_default'"):
        inspect_saved_model(directory, signature="score")


def test_missing_directory_is_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        inspect_saved_model(tmp_path / "nowhere")


def _without_functions(meta_graph):
    del meta_graph.graph_def.library.function[:]


def _without_nodes(meta_graph):
    del meta_graph.graph_def.node[:]


def _without_tags(meta_graph):
    del meta_graph.meta_info_def.tags[:]


def _reading_what_is_not_there(meta_graph):
    for function in meta_graph.graph_def.library.function:
        for node in function.node_def:
            if node.op == "Mean":
                node.input[0] = "nowhere:z:0"


def _calling_itself(meta_graph):
    for function in meta_graph.graph_def.library.function:
        for node in function.node_def:
            if node.op == "StatefulPartitionedCall":
                node.attr["f"].func.name = function.signature.name


@pytest.mark.parametrize(
    "edit",
    [
        _without_functions,
        _without_nodes,
        _without_tags,
        _reading_what_is_not_there,
        _calling_itself,
    ],
)
def test_damaged_graph_is_refused(tmp_path, edit):
    _, exported = zoo.exported("mean-centring")
    directory = shutil.copytree(exported, tmp_path / "model")
    _rewrite(directory, edit)
    with pytest.raises(InputError, match=re.escape(str(directory))):
        inspect_saved_model(directory)


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, None])
def test_damaged_file_is_refused(tmp_path, content):
    _, exported = zoo.exported("mean-centring")
    directory = shutil.copytree(exported, tmp_path / "model")
    file = directory / "saved_model.pb"
    file.write_bytes(file.read_bytes()[:-100] if content is None else content)
    with pytest.raises(InputError, match=r"saved_model\.pb"):
        inspect_saved_model(directory)


@pytest.mark.parametrize("name", ["variables.index", "variables.data-00000-of-00001"])
@pytest.mark.parametrize("keep", [0, 20])
def test_damaged_variables_are_refused(tmp_path, name, keep):
    _, exported = zoo.exported("mean-centring")
    directory = shutil.copytree(exported, tmp_path / "model")
    file = directory / "variables" / name
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(InputError, match="can't be read"):
        inspect_saved_model(directory)
