"""Each private or undocumented name of Keras and TensorFlow that tfnorm uses does what it is used for.

A release of either that moves one of them fails here, in the test that names it.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import weakref
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from apart import apart, printed
from tensorflow.core.framework import graph_debug_info_pb2, graph_pb2
from tensorflow.core.protobuf import saved_model_pb2

import tfnorm
from tfnorm import _keras, _tensorflow
from tfnorm.session import checkpoint


@pytest.fixture(scope="module")
def model():
    """Two inputs, a layer that is called twice, a mask that goes along, and a model in the model."""
    ids, numbers = keras.Input((3,), name="ids", dtype="int32"), keras.Input((2,), name="numbers")
    dense = keras.layers.Dense(2, name="dense")
    embedded = keras.layers.Embedding(5, 2, mask_zero=True, name="table")(ids)
    state = keras.layers.GRU(2, name="gru")(embedded)
    inner = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="last")], name="inner")
    total = keras.layers.Add(name="total")([dense(state), dense(numbers)])
    return keras.Model([ids, numbers], {"score": inner(total), "state": state}, name="ranker")


class OwnCall(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def call(self, x):
        return self.dense(x)


def test_a_keras_tensor_knows_the_node_that_makes_it(model):
    node = _keras.producer(model.get_layer("total").output)
    assert node.operation is model.get_layer("total")
    assert [_keras.producer(tensor).operation.name for tensor in node.input_tensors] == [
        "dense"
    ] * 2
    assert [id(tensor) for tensor in node.outputs] == [id(model.get_layer("total").output)]


def test_each_call_of_a_shared_layer_has_a_node_of_its_own(model):
    first, second = _keras.producer(model.get_layer("total").output).input_tensors
    read = [_keras.producer(tensor).input_tensors[0] for tensor in (first, second)]
    assert [_keras.producer(tensor).operation.name for tensor in read] == ["gru", "numbers"]


def test_the_arguments_of_a_node_are_filled_in_by_the_ids_of_its_tensors(model):
    node = _keras.producer(model.get_layer("total").output)
    values = {id(tensor): name for tensor, name in zip(node.input_tensors, "ab", strict=True)}
    assert _keras.filled_in(node, values) == ((["a", "b"],), {})


@pytest.mark.parametrize(
    ("call", "trains"),
    [
        (lambda x: keras.layers.Dense(2)(x), False),
        (lambda x: keras.layers.Dropout(0.5)(x), False),
        (lambda x: keras.layers.Dropout(0.5)(x, training=False), False),
        (lambda x: keras.layers.Dropout(0.5)(x, training=True), True),
        # It trains by default, which Keras notes as if it were told to.
        (lambda x: keras.layers.RandomFlip()(x), False),
        (lambda x: keras.Sequential([keras.layers.Dropout(0.5)])(x, training=True), True),
        (lambda x: keras.ops.square(x), False),
    ],
)
def test_a_node_knows_whether_its_call_was_told_to_train(call, trains):
    assert _keras.is_told_to_train(_keras.producer(call(keras.Input((2, 2, 1))))) == trains


def test_a_model_that_was_first_called_in_training_has_no_nodes_that_were_told_to_train():
    model = keras.Sequential([keras.layers.Dropout(0.5)])
    model(tf.ones([2, 3]), training=True)
    assert not _keras.is_told_to_train(_keras.producer(model.outputs[0]))


def test_a_mask_is_a_named_argument_of_a_node_and_carried_by_its_tensor(model):
    node = _keras.producer(model.get_layer("gru").output)
    (given,), (carried,) = _keras.masks_given(node), _keras.masks_carried(node)
    assert given is carried
    assert (given.shape, given.dtype) == ((None, 3), "bool")
    unmasked = _keras.producer(model.get_layer("dense")(keras.Input((2,))))
    assert _keras.masks_given(unmasked) == []
    assert _keras.masks_carried(unmasked) == [None]


def test_layers_are_found_at_any_depth_or_one_deep(model):
    names = [layer.name for layer in _keras.all_layers(model)]
    assert names[0] == "ranker"
    assert {"table", "gru", "dense", "total", "inner", "last"} <= set(names)
    assert len(names) == len(set(names))
    inside = [layer.name for layer in _keras.layers_inside(model)]
    assert "inner" in inside
    assert not {"ranker", "last"} & set(inside)


def test_layers_in_lists_and_dicts_are_found():
    class Held(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.held = [keras.layers.Dense(1, name="a"), {"b": keras.layers.Dense(1, name="b")}]

    assert sorted(layer.name for layer in _keras.layers_inside(Held())) == ["a", "b"]


def test_a_string_lookup_keeps_its_table_as_an_attribute():
    lookup = keras.layers.StringLookup(vocabulary=["a", "b"])
    tables = list(
        _keras.lookup_tables(keras.Sequential([keras.Input((1,), dtype="string"), lookup]))
    )
    assert tables
    assert all(table.resource_handle.dtype == tf.resource for table in tables)


def test_the_call_of_a_layer_tells_whose_it_is(model):
    class Renamed(keras.layers.Dense):
        pass

    assert all(map(_keras.runs_keras_call, [model, model.get_layer("inner"), Renamed(1)]))
    assert not _keras.runs_keras_call(OwnCall())


def test_keras_tensors_stand_for_the_inputs_of_functional_and_sequential_models(model):
    assert _keras.is_symbolic(model)
    assert _keras.is_symbolic(model.get_layer("inner"))
    own = OwnCall()
    own(tf.zeros([1, 2]))
    assert not _keras.is_symbolic(own)


def test_a_functional_model_names_its_outputs():
    x = keras.Input((2,))
    outputs = [keras.layers.Dense(1, name=name)(x) for name in ("click", "buy")]
    assert _keras.output_names(keras.Model(x, outputs)) == ["click", "buy"]
    assert _keras.output_names(OwnCall()) is None


@pytest.mark.parametrize(
    ("inputs", "shape"),
    [
        (tf.zeros([4, 2]), (4, 2)),
        ({"a": tf.zeros([4, 2]), "b": tf.zeros([4, 3])}, {"a": (4, 2), "b": (4, 3)}),
        ([tf.zeros([4, 2]), tf.zeros([4, 3])], [(4, 2), (4, 3)]),
    ],
)
def test_a_model_keeps_the_shapes_that_it_was_built_by(inputs, shape):
    class Flat(keras.Model):
        def call(self, x):
            return keras.tree.flatten(x)[0]

    model = Flat()
    model(inputs)
    assert _keras.built_shape(model) == shape


def test_lora_and_quantization_are_told_of_a_layer():
    layers = [keras.layers.Dense(4, name=name) for name in ("plain", "lora", "quantized")]
    for layer in layers:
        layer.build((None, 4))
    layers[1].enable_lora(2)
    layers[2].quantize("int8")
    assert [_keras.has_other_weights(layer) for layer in layers] == [False, True, True]


def test_a_built_layer_runs_what_its_call_is_replaced_by_and_then_its_own_again():
    layer = keras.layers.Dense(1, kernel_initializer="ones")
    x = tf.ones([1, 2])
    layer(x)
    with _keras.replaced_calls({layer: lambda inputs: -inputs}):
        assert _keras.has_replaced_call(layer)
        assert layer(x).numpy().tolist() == [[-1.0, -1.0]]
        with _keras.replaced_calls({layer: lambda inputs: 3 * inputs}):
            assert layer(x).numpy().tolist() == [[3.0, 3.0]]
        assert layer(x).numpy().tolist() == [[-1.0, -1.0]]
    assert not _keras.has_replaced_call(layer)
    assert layer(x).numpy().tolist() == [[2.0]]


def test_the_loss_that_fit_reports_is_a_metric_called_loss():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(loss="mse")
    history = model.fit(np.ones([4, 1]), np.ones([4, 1]), verbose=0).history
    assert float(_keras.loss_metric(model).result()) == history["loss"][0]


def test_the_loss_of_a_replica_is_what_compute_loss_makes_of_it(monkeypatch):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(loss="mse")
    y, scores = tf.constant([[0.0], [2.0], [4.0]]), tf.ones([3, 1])
    for replicas in (1, 3):
        strategy = SimpleNamespace(num_replicas_in_sync=replicas)
        monkeypatch.setattr(tf.distribute, "get_strategy", lambda strategy=strategy: strategy)
        loss = model.compute_loss(y=y, y_pred=scores)
        assert float(_keras.unscaled_loss(loss)) == pytest.approx(11 / 3)
        assert float(_keras.scaled_loss(tf.constant(11 / 3))) == pytest.approx(float(loss))


def test_adam_keeps_two_moments_of_each_variable():
    variables = [keras.Variable(np.zeros(2)), keras.Variable(np.zeros(3))]
    optimizer = keras.optimizers.Adam(beta_1=0.9, beta_2=0.99)
    optimizer.apply([tf.zeros(2), tf.constant([1.0, 2.0, 3.0])], variables)
    mean, squares = _keras.adam_moments(optimizer, variables[1].value)
    np.testing.assert_allclose(mean.numpy(), [0.1, 0.2, 0.3], rtol=1e-5)
    np.testing.assert_allclose(squares.numpy(), [0.01, 0.04, 0.09], rtol=1e-5)


def test_early_stopping_keeps_the_best_weights():
    """`tfnorm.training` writes them to its checkpoints, and back."""
    stopping = keras.callbacks.EarlyStopping("loss", restore_best_weights=True)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(loss="mse")
    model.fit(np.ones([4, 1]), np.ones([4, 1]), verbose=0, callbacks=[stopping])
    assert [array.shape for array in stopping.best_weights] == [(1, 1), (1,)]


def test_the_calls_that_keras_makes_for_shapes_are_told_from_turns_of_a_loop():
    assert not _keras.probe_detector()()
    assert _keras.probe_detector() is _keras.probe_detector()


def test_layers_are_numbered_as_if_the_loops_had_not_been_tried_out():
    keras.utils.clear_session()
    _keras.probe_detector.cache_clear()
    _keras.probe_detector()
    assert keras.layers.RNN(keras.layers.GRUCell(1)).name == "rnn"


@pytest.mark.parametrize(
    ("name", "guess", "loops"),
    [
        ("_RNN", ("tensorflow", "recurrent.py"), "RNN, masked_RNN"),
        ("_LOOP", "recurrent", "RNN, masked_RNN"),
        ("_TURN", "_turn", "RNN, masked_RNN"),
        ("_UNROLLED", "is_unrolled", "unrolled_RNN"),
        ("_CORE", ("tensorflow", "map.py"), "map"),
        ("_SIGNATURE", "output_signature", "map"),
    ],
)
def test_a_wrong_guess_at_how_keras_loops_is_an_error_not_a_silence(
    monkeypatch, name, guess, loops
):
    monkeypatch.setattr(_keras, name, guess)
    _keras.probe_detector.cache_clear()
    with pytest.raises(RuntimeError, match=rf"runs its loops \({loops}\)"):
        _keras.probe_detector()


def test_an_export_of_keras_keeps_its_variables_a_second_time(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="only")])
    model.export(tmp_path, verbose=False)
    names = checkpoint.saved_names(tf.train.load_checkpoint(tmp_path / "variables" / "variables"))
    again = {key: name for key, name in names.items() if key.startswith(_keras.EXPORTED_AGAIN)}
    assert len(again) == 2
    assert set(again.values()) < set(names.values()) or len(names) > len(again)


def test_xla_is_told_from_other_graphs():
    seen = {}

    def note(mode):
        seen[mode] = _tensorflow.in_xla_context()
        return tf.constant(0)

    note("eager")
    tf.function(lambda: note("graph"))()
    tf.function(lambda: note("xla"), jit_compile=True)()
    inside = tf.function(lambda: tf.cond(tf.constant(True), lambda: note("branch"), lambda: 0))
    tf.function(inside, jit_compile=True)()
    assert seen == {"eager": False, "graph": False, "xla": True, "branch": True}


def test_what_an_accumulator_of_forward_mode_follows_is_told_from_the_rest():
    x, other = tf.constant([1.0]), tf.constant([2.0])
    assert not _tensorflow.followed_in_forward_mode(x, other)
    with tf.autodiff.ForwardAccumulator(x, tf.ones(1)):
        assert _tensorflow.followed_in_forward_mode(other, x)
        assert _tensorflow.followed_in_forward_mode(2 * x)
        assert not _tensorflow.followed_in_forward_mode(other)
    assert not _tensorflow.followed_in_forward_mode(x)


def test_it_is_told_that_each_op_is_checked_for_nan():
    assert not _tensorflow.ops_are_watched()
    tf.debugging.enable_check_numerics()
    try:
        assert _tensorflow.ops_are_watched()
    finally:
        tf.debugging.disable_check_numerics()
    assert not _tensorflow.ops_are_watched()


def test_an_op_has_a_definition_and_an_unknown_one_has_none():
    split = _tensorflow.op_definition("Split")
    assert split.output_arg[0].number_attr == "num_split"
    assert not split.is_stateful
    assert _tensorflow.op_definition("VarHandleOp").is_stateful
    assert _tensorflow.op_definition("NoSuchOp") is None


def test_a_graph_gives_the_graphs_of_the_functions_it_calls_and_can_be_given_others():
    double = tf.function(lambda x: 2.0 * x, input_signature=[tf.TensorSpec([])], autograph=False)
    outer = tf.function(lambda x: double(x), autograph=False).get_concrete_function(
        tf.TensorSpec([])
    )
    (call,) = (op for op in outer.graph.get_operations() if "PartitionedCall" in op.type)
    inner = _tensorflow.function_graph(outer.graph, call.get_attr("f").name)
    assert "Mul" in {op.type for op in inner.get_operations()}

    def through_another(x):
        name = _tensorflow.make_callable_here(double.get_concrete_function())
        function = tf.compat.v1.AttrValue(func=tf.compat.v1.NameAttrList(name=name))
        types = tf.compat.v1.AttrValue(
            list=tf.compat.v1.AttrValue.ListValue(type=[tf.float32.as_datatype_enum])
        )
        operation = tf.compat.v1.get_default_graph().create_op(
            "PartitionedCall", [x], [tf.float32], attrs={"f": function, "Tin": types, "Tout": types}
        )
        return operation.outputs[0]

    assert float(tf.function(through_another, autograph=False)(tf.constant(3.0))) == 6.0


@pytest.mark.parametrize("waited_for", [tf.no_op, lambda name: tf.constant(0, name=name)])
def test_nodes_are_imported_under_their_names_and_read_and_wait_for_what_is_outside(waited_for):
    graph = tf.Graph()
    with graph.as_default():
        fed = tf.compat.v1.placeholder(tf.float32, [], "fed")
        waited_for(name="before")
    graph_def = graph_pb2.GraphDef()
    node = graph_def.node.add(name="new/scope/copy", op="Identity", input=["fed:0", "^before"])
    node.attr["T"].type = tf.float32.as_datatype_enum
    _tensorflow.import_graph(graph_def, graph, reads=["fed:0"], waits=["before"])
    added = graph.get_operation_by_name("new/scope/copy")
    assert added.inputs[0] is fed
    (before,) = added.control_inputs
    while before.control_inputs:
        (before,) = before.control_inputs
    assert before.name == "before"


def test_a_node_that_would_be_imported_under_another_name_is_an_error():
    graph_def = graph_pb2.GraphDef()
    graph_def.node.add(name="twice", op="NoOp")
    graph = tf.Graph()
    _tensorflow.import_graph(graph_def, graph)
    with pytest.raises(RuntimeError, match="imported node 'twice' as 'twice_1'"):
        _tensorflow.import_graph(graph_def, graph)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved")
    module = tf.Module()
    module.weight = tf.Variable(2.0, name="the/weight")
    compiled = tf.function(lambda x: module.weight * x, jit_compile=True)
    module.serve = tf.function(lambda x: compiled(x), input_signature=[tf.TensorSpec([None])])
    options = tf.saved_model.SaveOptions(save_debug_info=True)
    tf.saved_model.save(module, path, signatures=module.serve, options=options)
    return path


def test_a_saved_model_loads_into_a_session_without_a_warning(saved, caplog, recwarn):
    caplog.set_level("WARNING", logger="tensorflow")
    tf.get_logger().propagate = True
    try:
        with tf.compat.v1.Session(graph=tf.Graph()) as session:
            meta_graph = _tensorflow.load_into_session(session, str(saved))
            signature = meta_graph.signature_def["serving_default"]
            (output,), (fed,) = signature.outputs.values(), signature.inputs.values()
            assert session.run(output.name, {fed.name: [3.0]}).tolist() == [6.0]
    finally:
        tf.get_logger().propagate = False
    assert not caplog.records
    assert not recwarn.list


def test_a_variable_of_a_layer_is_known_as_one():
    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    assert all(map(_keras.is_variable, layer.weights))
    assert not any(map(_keras.is_variable, (layer.kernel.value, tf.ones(2), np.ones(2), None)))


def test_early_stopping_compares_with_what_was_best_before():
    stopping = keras.callbacks.EarlyStopping("val_auc", mode="max", patience=1)
    stopping.set_model(keras.Sequential([keras.Input((1,))]))
    stopping.on_train_begin()
    _keras.keep_best(stopping, 0.8)
    stopping.on_epoch_end(1, {"val_auc": 0.7})
    assert stopping.best == 0.8
    assert stopping.model.stop_training


@pytest.mark.parametrize("one_thread", [True, False])
def test_a_session_is_called_without_its_checks_in_the_thread_of_the_caller_or_its_own(one_thread):
    threads = []

    def note(x):
        threads.append(threading.get_ident())
        return x

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        fed = tf.compat.v1.placeholder(tf.float32, [None, 3], "fed")
        tf.multiply(tf.numpy_function(note, [fed], tf.float32), 2.0, name="doubled")
        tf.reduce_sum(fed, 0, name="summed")
        call = _tensorflow.session_callable(
            session, ["fed:0"], ["summed:0", "doubled:0"], one_thread=one_thread
        )
        summed, doubled = call(np.ones(4, np.float32))
        for feeds, fetches in ((["fed:0"], ["none:0"]), (["none:0"], ["summed:0"])):
            with pytest.raises(tf.errors.InvalidArgumentError, match=r"none:0.*not found"):
                _tensorflow.session_callable(session, feeds, fetches, one_thread=one_thread)
        with pytest.raises(tf.errors.InvalidArgumentError, match="expect float"):
            call(np.ones(4))
    assert (summed, doubled.tolist()) == (4, [2, 2, 2, 2])
    assert (threads == [threading.get_ident()]) is one_thread
    with pytest.raises(tf.errors.CancelledError, match="closed"):
        call(np.ones(4, np.float32))


def test_a_checkpoint_names_its_variables(saved):
    reader = tf.train.load_checkpoint(str(saved / "variables" / "variables"))
    assert list(checkpoint.saved_names(reader).values()) == ["the/weight"]


def test_a_checkpoint_without_objects_has_its_names_for_keys(tmp_path):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variable = tf.compat.v1.get_variable("a/b", initializer=1.0)
        session.run(variable.initializer)
        path = tf.compat.v1.train.Saver([variable]).save(session, str(tmp_path / "old"))
    assert checkpoint.saved_names(tf.train.load_checkpoint(path)) == {"a/b": "a/b"}


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_records_are_those_of_a_dataset_and_a_damaged_one_is_an_error(compression, tmp_path):
    path = tmp_path / "records"
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for record in (b"a", b"", b"b" * 500_000):
            writer.write(record)
    records = list(tf.data.TFRecordDataset(str(path), compression).as_numpy_iterator())
    assert list(_tensorflow.tf_records(path, compression)) == records
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(tf.errors.OpError):
        list(_tensorflow.tf_records(path, compression))


def test_source_lines_lie_where_they_are_looked_for(saved):
    info = graph_debug_info_pb2.GraphDebugInfo.FromString(
        (saved / _tensorflow.DEBUG_INFO).read_bytes()
    )
    assert any(str(path).endswith("test_foundations.py") for path in info.files)
    assert info.frames_by_id or info.traces


def test_functions_for_xla_bear_the_mark(saved):
    meta_graph = saved_model_pb2.SavedModel.FromString(
        (saved / "saved_model.pb").read_bytes()
    ).meta_graphs[0]
    marked = [f for f in meta_graph.graph_def.library.function if _tensorflow.COMPILED in f.attr]
    assert any(function.attr[_tensorflow.COMPILED].b for function in marked)
    assert _tensorflow.COMPILED in _tensorflow.XLA_MARKS


def test_ops_bear_the_marks_that_are_left_out_of_copies():
    variable = tf.Variable(1.0)

    @tf.function
    def branches(x):
        with tf.compat.v1.colocate_with(x.op):
            y = tf.identity(x)
        return tf.cond(y > 0, lambda: variable * y, lambda: y)

    graph = branches.get_concrete_function(tf.TensorSpec([])).graph
    marks = {name for op in graph.get_operations() for name in op.node_def.attr}
    assert {_tensorflow.TAKEN_APART, _tensorflow.COLOCATED} <= marks
    shapes = graph.as_graph_def(add_shapes=True).node[0].attr
    assert _tensorflow.INFERRED_SHAPES in shapes


def test_an_op_with_a_gradient_of_its_own_bears_the_name_of_it():
    sign = tf.custom_gradient(lambda x: (tf.sign(x), lambda upstream: upstream))
    function = tf.function(sign, autograph=False).get_concrete_function(tf.TensorSpec([]))
    nodes = [op.node_def for op in function.graph.get_operations()]
    assert any(_tensorflow.GRADIENT in node.attr for node in nodes)


def traced_step(differentiable):
    """The gradient of a function that is called in a branch, and of x ** 2."""

    @tf.function(autograph=False)
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.cond(x > 0.0, lambda: differentiable(x), lambda: x) + x**2
        return tape.gradient(y, x)

    return step


def test_a_custom_gradient_is_let_go_of_with_the_graph_it_was_traced_in():
    triple = _tensorflow.custom_gradient(lambda x: (3.0 * x, lambda upstream: 5.0 * upstream))
    step = traced_step(triple)
    inner = tf.function(lambda x: triple(x), autograph=False)
    before = set(_tensorflow.ops.gradient_registry.list())
    assert float(step(tf.constant(1.0))) == 5 + 2
    x = tf.constant(1.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = inner(x)
    assert float(tape.gradient(y, x)) == 5
    assert set(_tensorflow.ops.gradient_registry.list()) > before
    graphs = [weakref.ref(step.get_concrete_function(x).graph) for step in (step, inner)]
    del step, inner, tape, y
    gc.collect()
    assert [graph() for graph in graphs] == [None, None]
    assert set(_tensorflow.ops.gradient_registry.list()) <= before


def test_a_custom_gradient_is_that_of_tensorflow_when_run_eagerly():
    triple = _tensorflow.custom_gradient(lambda x: (3.0 * x, lambda upstream: 5.0 * upstream))
    x = tf.Variable(2.0)
    with tf.GradientTape() as tape:
        y = triple(x)
    assert float(y) == 6
    assert float(tape.gradient(y, x)) == 5


@pytest.mark.parametrize("kind", ["BatchNormalization", "Dice"])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_training_step_that_is_done_with_leaves_no_graph_behind(kind, jit_compile):
    layer = getattr(tfnorm, kind)()
    layer.build((None, 3))

    @tf.function(jit_compile=jit_compile)
    def step(x):
        with tf.GradientTape() as tape:
            y = layer(x, training=True)
        return tape.gradient(y, layer.trainable_variables[0].value)

    x = tf.reshape(tf.range(12.0), [4, 3])
    step(x)
    graph = weakref.ref(step.get_concrete_function(x).graph)
    del step
    gc.collect()
    assert graph() is None


def test_a_graph_tells_what_it_takes_from_around_it():
    variable, constant = tf.Variable(2.0), tf.constant(3.0)
    graph = tf.function(lambda: variable * constant).get_concrete_function().graph
    outside = [taken for taken, _ in _tensorflow.captured(graph)]
    assert any(taken is variable.handle for taken in outside)
    assert any(taken is constant for taken in outside)
    names = {inside.name for _, inside in _tensorflow.captured(graph)}
    assert names == {tensor.name for tensor in graph.inputs}


def test_a_variable_has_a_handle_on_each_replica():
    variable = tf.Variable(1.0)
    assert [h is variable.handle for h in _tensorflow.variable_handles(variable)] == [True]
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        mirrored = tf.Variable(1.0)
    assert [h.dtype for h in _tensorflow.variable_handles(mirrored)] == [tf.resource]


@pytest.mark.parametrize("autograph", [False, True])
def test_functions_are_inlined_for_as_long_as_that_lasts(autograph):
    traces = []

    class Holder:
        @tf.function(autograph=autograph)
        def method(self, x):
            traces.append(1)
            return inner(x)

    def body(x):
        traces.append(1)
        if autograph and tf.reduce_sum(x) > 0:
            return x + 1.0
        return x

    inner = tf.function(body, autograph=autograph)
    holder = Holder()

    def outer(x):
        return holder.method(x)

    def calls(function):
        graph = function.get_concrete_function(tf.TensorSpec([])).graph
        return [op.type for op in graph.get_operations() if op.type.endswith("PartitionedCall")]

    before = type(inner).__call__
    assert not _tensorflow.functions_are_inlined()
    holder.method(tf.constant(1.0))
    assert len(traces) == 2
    with _tensorflow.inlined_functions():
        assert _tensorflow.functions_are_inlined()
        inlined = tf.function(outer, autograph=False)
        assert not calls(inlined)
        assert float(inlined.get_concrete_function(tf.TensorSpec([]))(tf.constant(1.0))) == (
            2.0 if autograph else 1.0
        )
        assert len(traces) == 4
        with pytest.raises(KeyError), _tensorflow.inlined_functions():
            raise KeyError
        assert float(tf.function(lambda: inner.get_concrete_function(tf.constant(2.0))(2.0))()) > 0
    assert type(inner).__call__ is before
    assert not _tensorflow.functions_are_inlined()
    assert calls(tf.function(outer, autograph=False))


def test_an_error_of_ours_in_a_function_that_autograph_converts_is_still_ours():
    layer = tfnorm.Dice()
    with pytest.raises(tfnorm.errors.InputError, match="inputs must be floating point"):
        tf.function(lambda x: layer(x))(tf.ones([2, 3], tf.int32))


@keras.saving.register_keras_serializable(package="foundations")
class Drawn(keras.initializers.Initializer):
    """Ones, which counts how often they were drawn."""

    draws = 0

    def __call__(self, shape, dtype=None):
        Drawn.draws += 1
        return tf.ones(shape, dtype)


def table(name, **settings):
    return keras.layers.Embedding(
        50, 4, embeddings_initializer=Drawn(), name=name, trainable=name != "frozen", **settings
    )


def built(layer):
    layer.build()
    return layer


@pytest.mark.parametrize("large", [64, 1 << 24])
def test_a_file_is_loaded_with_what_it_has_whether_its_weights_are_large_or_not(
    tmp_path, monkeypatch, large
):
    monkeypatch.setattr(_keras, "_LARGE", large)
    before = dict(vars(keras.Variable))
    ids = keras.Input((3,), dtype="int32")
    tables = [table("plain"), table("frozen"), table("halves", dtype="bfloat16")]
    made = keras.Model(ids, [each(ids) for each in tables])
    rng = np.random.default_rng(0)
    made.set_weights([rng.random(weight.shape) for weight in made.weights])
    made.save(tmp_path / "tables.keras")
    Drawn.draws = 0
    with _keras.loading_in_place():
        loaded = keras.models.load_model(tmp_path / "tables.keras")
        others = []
        thread = threading.Thread(target=lambda: others.append(built(table("elsewhere"))))
        thread.start()
        thread.join()
    assert Drawn.draws == (1 if large == 64 else 4)
    assert (others[0].embeddings.numpy() == 1).all()
    for weight, kept in zip(made.weights, loaded.weights, strict=True):
        assert weight.numpy().tobytes() == kept.numpy().tobytes()
        assert (weight.dtype, weight.trainable) == (kept.dtype, kept.trainable)
    assert (built(table("after")).embeddings.numpy() == 1).all()
    for name in ("_initialize_with_initializer", "assign"):
        assert before.get(name, getattr(keras.Variable, name)) is getattr(keras.Variable, name)
    loaded.layers[1].embeddings.assign(np.zeros((50, 4)))
    assert not loaded.layers[1].embeddings.numpy().any()
    assert [path.name for path in tmp_path.iterdir()] == ["tables.keras"]


def test_a_large_weight_of_another_shape_is_refused_as_keras_refuses_it(tmp_path, monkeypatch):
    monkeypatch.setattr(_keras, "_LARGE", 64)

    @keras.saving.register_keras_serializable(package="foundations")
    class Grown(keras.layers.Layer):
        def build(self, shape):
            self.kernel = self.add_weight(shape=(sizes.pop(), 4), initializer="zeros")

        def call(self, x):
            return tf.matmul(x, self.kernel[:2])

    sizes = [30, 20]
    made = keras.Sequential([keras.Input((2,)), Grown()])
    made.save(tmp_path / "grown.keras")
    with _keras.loading_in_place(), pytest.raises(ValueError, match="must match"):
        keras.models.load_model(tmp_path / "grown.keras")


def test_what_vectorized_map_traces_is_told_from_the_rest():
    inside = _tensorflow.vectorized_map_detector()
    seen = []

    def note(x):
        seen.append(inside())
        return x

    tf.vectorized_map(note, tf.ones([3]))
    tf.map_fn(note, tf.ones([1]))
    assert set(seen[:-1]) == {True}
    assert seen[-1] is False


def test_a_wrong_guess_at_the_scope_of_vectorized_map_is_an_error_not_a_silence(monkeypatch):
    monkeypatch.setattr(_tensorflow, "_VECTORIZED", "vectorized_body")
    _tensorflow.vectorized_map_detector.cache_clear()
    with pytest.raises(RuntimeError, match=r"traces tf.vectorized_map"):
        _tensorflow.vectorized_map_detector()


TENSOR_MEMORY = """
import tensorflow as tf
from tfnorm._tensorflow import tensor_memory

def resident():
    with open("/proc/self/statm", encoding="ascii") as pages:
        return int(pages.read().split()[1]) / 2**8

with tensor_memory():
    print(float(tf.reduce_sum(tf.ones([2**22]))))
before = resident()
print(float(tf.reduce_sum(tf.ones([2**25]))))
print(resident() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel says there what a process has")
def test_what_tensors_took_is_given_back():
    """oneDNN's allocator would keep 128 MB of it."""
    (text,) = apart(printed, (TENSOR_MEMORY,))
    *sums, kept = text.splitlines()
    assert sums == ["4194304.0", "33554432.0"]
    assert float(kept) < 32


def test_that_tensors_give_back_what_they_took_is_no_longer_said_afterwards(monkeypatch):
    name = "TF_ONEDNN_USE_SYSTEM_ALLOCATOR"
    monkeypatch.setenv(name, "false")
    before = dict(os.environ)
    with _tensorflow.tensor_memory():
        assert os.environ[name] == "true"
    assert dict(os.environ) == before
    monkeypatch.delenv(name)
    with _tensorflow.tensor_memory():
        assert os.environ[name] == "true"
    assert name not in os.environ
