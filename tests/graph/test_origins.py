"""Which layer an op belongs to, and which line made it."""

from hand_made import node
from tensorflow.core.framework import graph_debug_info_pb2

from tfnorm.graph.inline import Origin
from tfnorm.graph.origins import Layers, Sources


def _layers(*names, reads=()):
    """Layers of a graph with ops of these names; `reads` are (name, variable) pairs."""
    made = [node(name, "Tanh") for name in names]
    made += [node(name, "ReadVariableOp", f"{variable}:0") for name, variable in reads]
    return Layers(made, {n.name: Origin(n.name, "", n.name) for n in made})


def test_the_layer_is_the_scope_that_owns_the_variables():
    layers = _layers(
        "ranker/dense/Tanh", "ranker/add/x", reads=[("ranker/dense/read", "dense/kernel")]
    )
    assert layers.layer("ranker/dense/Tanh") == "dense"
    assert layers.layer("ranker/tower/dense/inner/Tanh") == "dense"


def test_without_variables_the_layer_is_the_scope_inside_the_models():
    layers = _layers("ranker/center/Mean", "ranker/Mean", "Mean")
    assert layers.layer("ranker/center/Mean") == "center"
    assert layers.layer("ranker/Mean") == "ranker"
    assert layers.layer("Mean") is None


def test_scopes_of_tensorflows_own_functions_are_no_layers():
    layers = _layers("ranker/center/moments/Mean")
    assert layers.layer("ranker/center/moments/Mean") == "center"
    assert layers.layer("ranker/center/moments_1/Mean") == "center"
    assert layers.layer("ranker/while/Mean") == "ranker"


def test_a_scope_numbered_by_the_second_tracing_has_the_layers_own_name():
    layers = _layers(
        "ranker_1/dense_1/Tanh",
        reads=[
            ("ranker_1/dense_1/read", "dense/kernel"),
            ("ranker_1/dice_7_1/read", "dice_7/alpha"),
        ],
    )
    assert layers.layer("ranker_1/dense_1/Tanh") == "dense"
    assert layers.layer("ranker_1/dice_7_1/Mean") == "dice_7"
    assert layers.layer("ranker_1/dice_7_1/moments/Mean") == "dice_7"
    assert layers.layer("ranker_1/tower_1/dense_3_1/x/Mean") == "dense_3"


def test_an_op_stands_in_all_scopes_around_it_where_they_are_no_layers_of_keras():
    layers = _layers("din/dice/moments/Mean", reads=[("din/read", "din/items")])
    assert layers.path("din/dice/moments/Mean") == "din/dice"
    assert layers.path("Mean") is None


def test_a_number_of_the_layers_own_stays():
    layers = _layers(
        "ranker/dense_1/Tanh",
        reads=[("ranker/dense_1/read", "dense_1/kernel")],
    )
    assert layers.layer("ranker/dense_1/Tanh") == "dense_1"


def test_most_variables_decide_whether_scopes_are_numbered():
    layers = _layers(
        reads=[
            ("ranker_1/a_1/read", "a/kernel"),
            ("ranker_1/b_1/read", "b/kernel"),
            ("ranker_1/shared/read", "shared/kernel"),
        ],
    )
    assert layers.layer("ranker_1/a_1/Mean") == "a"


def test_without_variables_numbers_on_all_that_is_outermost_are_tensorflows():
    assert _layers("ranker_1/dice_1/Mean").layer("ranker_1/dice_1/Mean") == "dice"
    mixed = _layers("ranker_1/dice_1/Mean", "other/Mean")
    assert mixed.layer("ranker_1/dice_1/Mean") == "dice_1"


def _debug_info(directory, frames, *, key="Mean@serve", kept_as_id=True):
    """Debug info with one trace of (file, line) frames, the outermost first."""
    info = graph_debug_info_pb2.GraphDebugInfo()
    trace = graph_debug_info_pb2.GraphDebugInfo.StackTrace()
    for number, (file, line) in enumerate(frames):
        frame = graph_debug_info_pb2.GraphDebugInfo.FileLineCol(file_index=number, line=line)
        info.files.append(file)
        if kept_as_id:
            info.frames_by_id[number].CopyFrom(frame)
            trace.frame_id.append(number)
        else:
            trace.file_line_cols.append(frame)
    if kept_as_id:
        info.name_to_trace_id[key] = 5
        info.traces_by_id[5].CopyFrom(trace)
    else:
        info.traces[key].CopyFrom(trace)
    (directory / "debug").mkdir()
    path = directory / "debug" / "saved_model_debug_info.pb"
    path.write_bytes(info.SerializeToString())


FRAMES = [
    ("/home/me/train.py", 3),
    ("/home/me/model.py", 41),
    ("/venv/tensorflow/python/ops.py", 7),
    ("/venv/keras/src/layers/layer.py", 8),
]


def test_the_line_is_the_innermost_outside_tensorflow_and_keras(tmp_path):
    _debug_info(tmp_path, FRAMES)
    sources = Sources(tmp_path)
    assert sources.line(Origin("x/Mean", "serve", "Mean")) == "/home/me/model.py:41"
    assert sources.line(Origin("x/Mean", "serve", "Mean_1")) is None
    assert sources.line(Origin("x/Mean", "other", "Mean")) is None


def test_frames_kept_without_numbers_are_read_too(tmp_path):
    _debug_info(tmp_path, FRAMES, kept_as_id=False)
    assert Sources(tmp_path).line(Origin("Mean", "serve", "Mean")) == "/home/me/model.py:41"


def test_an_op_made_by_libraries_alone_has_no_line(tmp_path):
    _debug_info(tmp_path, FRAMES[2:])
    assert Sources(tmp_path).line(Origin("Mean", "serve", "Mean")) is None


def test_debug_info_that_is_missing_or_damaged_gives_no_line(tmp_path):
    origin = Origin("Mean", "serve", "Mean")
    assert Sources(tmp_path).line(origin) is None
    (tmp_path / "debug").mkdir()
    (tmp_path / "debug" / "saved_model_debug_info.pb").write_bytes(b"\xff" * 9)
    assert Sources(tmp_path).line(origin) is None


def test_one_layer_that_reads_anothers_variable_does_not_number_all_scopes():
    layers = _layers(
        reads=[
            ("ranker/a/read", "a/kernel"),
            ("ranker/b/read", "b/kernel"),
            ("ranker/dense_2/read", "dense/kernel"),
        ],
    )
    assert layers.layer("ranker/dense_2/Mean") == "dense_2"
