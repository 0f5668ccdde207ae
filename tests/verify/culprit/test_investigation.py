"""The op to blame, in models that are awkward to look into; test_zoo.py has the others."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

from tfnorm.errors import InputError
from tfnorm.session import SavedModel
from tfnorm.verify.culprit.investigation import find_culprit


def _saved(tmp_path, call, *specs, **options):
    module = tf.Module()
    module.serve = tf.function(call, input_signature=specs)
    tf.saved_model.save(module, str(tmp_path), module.serve, tf.saved_model.SaveOptions(**options))
    return tmp_path


def _x(rows=40, seed=0):
    return {"x": np.random.default_rng(seed).normal(size=(rows, 4)).astype(np.float32)}


X = tf.TensorSpec([None, 4], tf.float32, "x")


def test_source_is_the_line_that_made_the_op(tmp_path):
    def serve(x):
        return {"score": x - tf.reduce_mean(x, axis=0)}  # the line

    directory = _saved(tmp_path, serve, X, save_debug_info=True)
    culprit = find_culprit(directory, _x())
    line = serve.__code__.co_firstlineno + 1
    assert culprit.source is not None
    assert culprit.source.endswith(f"test_investigation.py:{line}")


def test_source_is_none_without_debug_info():
    specimen, directory = zoo.exported("mean-centring")
    assert find_culprit(directory, specimen.examples).source is None


@pytest.mark.parametrize("depth", [1, 2])
def test_layer_is_the_innermost_one_by_its_own_name(tmp_path, depth):
    block = [keras.layers.Dense(4, name="hidden"), zoo.BatchDice(name="dice_7")]
    tower = keras.Sequential(block, name="tower")
    if depth == 2:
        tower = keras.Sequential([tower], name="outer")
    inputs = keras.Input((4,), name="x")
    keras.Model({"x": inputs}, tower(inputs), name="ranker").export(str(tmp_path), verbose=False)
    culprit = find_culprit(tmp_path, _x())
    assert (culprit.layer, culprit.op_type) == ("dice_7", "Mean")


def test_mixing_is_found_inside_calls_branches_and_loops_within_each_other(tmp_path):
    @tf.function
    def centred(x):
        return x - tf.reduce_mean(x, axis=0)

    def turn(i, x):
        return i + 1, tf.cond(i > 0, lambda: centred(x), lambda: tf.tanh(x))

    def serve(x):
        x = tf.while_loop(lambda i, x: i < 3, turn, [0, x])[1]
        return {"score": tf.reduce_sum(x, axis=1)}

    culprit = find_culprit(_saved(tmp_path, serve, X), _x())
    assert culprit.op_type == "Mean"
    assert culprit.op == "while/cond/Mean"


def test_a_branch_that_waits_for_a_check_outside_is_looked_into(tmp_path):
    def serve(x):
        def checked():
            tf.debugging.assert_greater(x, -100.0)
            return x - tf.reduce_mean(x, axis=0)

        tf.debugging.assert_less(x, 100.0)
        return {"score": tf.cond(tf.size(x) > 0, checked, lambda: x)}

    culprit = find_culprit(_saved(tmp_path, serve, X), _x())
    assert (culprit.op, culprit.op_type) == ("cond/Mean", "Mean")


def test_movement_that_dies_out_is_not_blamed(tmp_path):
    def serve(x):
        order = tf.argsort(x[:, 0])
        back = tf.gather(tf.gather(x, order), tf.argsort(order))
        return {"score": tf.reduce_sum(back, axis=1) + tf.reduce_max(x)}

    culprit = find_culprit(_saved(tmp_path, serve, X), _x())
    assert culprit.op_type == "Max"


def test_dependence_on_earlier_rows_alone_is_found(tmp_path):
    def serve(x):
        return {"score": tf.cumsum(x, axis=0, exclusive=True) + x}

    assert find_culprit(_saved(tmp_path, serve, X), _x()).op_type == "Cumsum"


def test_loop_over_the_rows_is_blamed_for_what_it_carries(tmp_path):
    def serve(x):
        total = tf.foldl(lambda state, row: state + tf.tanh(row), x, tf.zeros([4]))
        return {"score": tf.linalg.matvec(x, total)}

    assert find_culprit(_saved(tmp_path, serve, X), _x()).op_type == "StatelessWhile"


def test_longer_padding_that_the_model_refuses_is_left_out(tmp_path):
    def serve(x):
        positions = tf.gather(tf.eye(7), tf.range(tf.shape(x)[1]))
        return {"score": tf.reduce_max(x[..., tf.newaxis] * positions, axis=[1, 2])}

    directory = _saved(tmp_path, serve, tf.TensorSpec([None, None], tf.float32, "x"))
    assert find_culprit(directory, {"x": np.abs(_x()["x"]) + np.ones([40, 4], "f")}) is None


def test_output_without_rows_is_looked_into(tmp_path):
    def serve(x):
        return {"score": tf.reduce_sum(x, axis=1), "best": tf.reduce_max(x)}

    assert find_culprit(_saved(tmp_path, serve, X), _x()).op_type == "Max"


def test_batch_size_compared_is_the_callers_choice(tmp_path):
    def serve(x):
        return {"score": tf.cond(tf.shape(x)[0] > 300, lambda: x * 2, lambda: x + 0)}

    directory = _saved(tmp_path, serve, X)
    assert find_culprit(directory, _x()) is None
    culprit = find_culprit(directory, _x(), batch_sizes=[256, 512])
    assert culprit.op_type == "StatelessIf"
    assert "batch size" in culprit.explanation


def test_batch_sizes_end_where_the_inputs_are_over_8_megabytes(tmp_path):
    sizes = []

    def serve(x):
        score = tf.cond(tf.shape(x)[0] > 8, lambda: x[:, :1] * 2, lambda: x[:, :1] + 0)
        return {"score": score[:, 0]}

    directory = _saved(tmp_path, serve, tf.TensorSpec([None, 100_000], tf.float32, "x"))
    rows = {"x": np.ones([4, 100_000], np.float32)}
    with SavedModel(directory) as model:
        run = model.session.run

        def counted(fetched, fed):
            sizes.extend(len(array) for array in fed.values() if np.ndim(array) == 2)
            return run(fetched, fed)

        model._session = SimpleNamespace(graph=model.graph, run=counted, close=model.session.close)
        assert find_culprit(model, rows).op_type == "StatelessIf"
    assert 20 <= max(sizes) <= 21


def test_fixed_batch_dimension_is_looked_into(tmp_path):
    spec = tf.TensorSpec([8, 4], tf.float32, "x")
    directory = _saved(tmp_path, lambda x: {"score": x - tf.reduce_mean(x, 0)}, spec)
    assert find_culprit(directory, _x(8)).op_type == "Mean"


def test_inputs_without_a_batch_dimension_are_passed_on_whole(tmp_path):
    def serve(x, scale):
        return {"score": scale * (x - tf.reduce_mean(x, 0))}

    directory = _saved(tmp_path, serve, X, tf.TensorSpec([], tf.float32, "scale"))
    assert find_culprit(directory, _x() | {"scale": np.float32(2)}).op_type == "Mean"


@pytest.mark.parametrize("centred", [False, True])
def test_tf1_graph_with_loops_and_branches_of_its_own(tmp_path, centred):
    directory = tmp_path / "model"
    tf.compat.v1.disable_control_flow_v2()
    try:
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            x = tf.compat.v1.placeholder(tf.float32, [None, 4], "x")
            w = tf.compat.v1.get_variable("w", initializer=np.eye(4, dtype="f"), use_resource=False)
            y = tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, tf.tanh(y)), [0, x @ w])[1]
            y = tf.cond(tf.size(y) > 0, lambda: y * 2, lambda: y)
            score = y - tf.reduce_mean(y, 0) if centred else y + 1.0
            session.run(tf.compat.v1.global_variables_initializer())
            tf.compat.v1.saved_model.simple_save(session, str(directory), {"x": x}, {"y": score})
    finally:
        tf.compat.v1.enable_control_flow_v2()
    culprit = find_culprit(directory, _x())
    assert (culprit and culprit.op_type) == ("Mean" if centred else None)


def test_loaded_model_still_serves_after_one_search_and_another():
    specimen, directory = zoo.exported("mean-centring")
    with SavedModel(directory) as model:
        before = model.run(specimen.examples)["score"]
        for _ in range(2):
            assert find_culprit(model, specimen.examples).op_type == "Mean"
        np.testing.assert_array_equal(model.run(specimen.examples)["score"], before)


def test_one_example_is_enough_to_find_a_statistic():
    specimen, directory = zoo.exported("mean-centring")
    assert find_culprit(directory, {"x": specimen.examples["x"][:1]}).op_type == "Mean"


def test_rows_that_a_batch_is_too_small_for_are_asked_of_a_larger_one(tmp_path):
    def serve(x):
        return {"score": x - tf.math.top_k(x[:, 0], k=50).values[-1]}

    assert find_culprit(_saved(tmp_path, serve, X), _x(100)).op_type == "TopKV2"


@pytest.mark.parametrize(
    ("examples", "named"),
    [
        ({}, "'x' is missing"),
        ({"x": np.zeros((0, 6), np.float32)}, "0 'x'"),
        ({"x": np.zeros((3, 5), np.float32)}, r"\[3, 5\]"),
        ({"y": np.zeros((3, 6), np.float32), "x": np.zeros((3, 6), np.float32)}, "no input 'y'"),
    ],
)
def test_examples_that_do_not_fit_are_refused(examples, named):
    _, directory = zoo.exported("mean-centring")
    with pytest.raises(InputError, match=named):
        find_culprit(directory, examples)


def test_unequal_numbers_of_examples_are_refused():
    specimen, directory = zoo.exported("how often an id is in the batch")
    examples = specimen.examples | {"item": specimen.examples["item"][:5]}
    with pytest.raises(InputError, match="5 'item', 96 'x'"):
        find_culprit(directory, examples)


def test_unknown_signature_is_refused():
    specimen, directory = zoo.exported("mean-centring")
    with pytest.raises(InputError, match="no signature 'score'"):
        find_culprit(directory, specimen.examples, signature="score")


def test_values_that_the_model_refuses_are_an_input_error(tmp_path):
    def serve(x):
        with tf.control_dependencies([tf.debugging.assert_less(x, 10.0)]):
            return {"score": x - tf.reduce_mean(x, 0)}

    directory = _saved(tmp_path, serve, X)
    with pytest.raises(InputError, match="refuses"):
        find_culprit(directory, {"x": np.full((3, 4), 99, np.float32)})
    assert find_culprit(directory, {"x": _x()["x"]}).op_type == "Mean"
