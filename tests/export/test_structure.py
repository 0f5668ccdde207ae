import keras
import pytest
from keras.layers import Add, Dense, Dropout

from tfnorm._keras import producer
from tfnorm.errors import InputError
from tfnorm.export.structure import check_inference, read_by, structure
from tfnorm.layers import BatchNormalization, Dice


def names(layers):
    return [layer.name for layer in layers]


def calls(found, layer):
    """The graph of each of its calls, and what the call reads and gives."""
    return [(graph, node.input_tensors, node.outputs) for graph, node in found.uses[layer]]


def readers(graph, tensor):
    return [node and node.operation.name for node in graph.readers[id(tensor)]]


@pytest.fixture
def residual():
    """x, y = first(x), z = second(y), y + z; both y and the sum are outputs."""
    x = keras.Input((3,), name="x")
    y = Dense(3, name="first")(x)
    z = Dense(3, name="second")(y)
    return keras.Model(x, [Add(name="sum")([y, z]), y])


def test_a_functional_model_is_the_calls_of_its_graph_in_their_order(residual):
    found = structure(residual)
    assert names(found.layers()) == ["x", "first", "second", "sum"]
    assert found.hidden == {}
    ((graph, inputs, outputs),) = calls(found, residual.get_layer("second"))
    assert not graph.called_from_python
    assert inputs[0] is residual.get_layer("first").output
    assert outputs[0] is residual.get_layer("second").output


def test_every_reader_of_a_value_is_known_and_so_is_that_the_model_returns_it(residual):
    (graph, _) = structure(residual).uses[residual.get_layer("first")][0]
    assert readers(graph, residual.input) == ["first"]
    assert sorted(map(str, readers(graph, residual.get_layer("first").output))) == [
        "None",
        "second",
        "sum",
    ]
    assert readers(graph, residual.get_layer("sum").output) == [None]


def test_calls_outside_the_model_do_not_count(residual):
    residual.get_layer("first")(keras.Input((3,)))
    keras.Model(residual.input, Dense(2, name="elsewhere")(residual.get_layer("first").output))
    found = structure(residual)
    assert len(found.uses[residual.get_layer("first")]) == 1
    graph, _ = found.uses[residual.get_layer("first")][0]
    assert "elsewhere" not in readers(graph, residual.get_layer("first").output)


def test_a_layer_has_each_of_its_calls():
    x = keras.Input((3,))
    shared = Dense(3, name="shared")
    model = keras.Model(x, shared(shared(x)))
    found = structure(model)
    first, second = calls(found, shared)
    assert first[1][0] is x
    assert second[1][0] is first[2][0]
    assert names(found.layers())[1:] == ["shared"]


def test_a_nested_model_has_a_graph_of_its_own():
    inner = keras.Sequential([keras.Input((3,)), Dense(3, name="inside")], name="inner")
    x = keras.Input((3,), name="x")
    model = keras.Model(x, Dense(1, name="outside")(inner(x)))
    found = structure(model)
    assert {"x", "inner", "inside", "outside"} <= set(names(found.layers()))
    ((within, _, _),) = calls(found, inner.get_layer("inside"))
    ((around, _, _),) = calls(found, model.get_layer("outside"))
    assert within is not around
    assert not within.called_from_python


def test_a_model_that_is_called_twice_has_one_graph():
    inner = keras.Sequential([keras.Input((3,)), Dense(3, name="inside")], name="inner")
    x = keras.Input((3,))
    found = structure(keras.Model(x, inner(inner(x))))
    assert len(found.uses[inner]) == 2
    assert len(found.uses[inner.get_layer("inside")]) == 1


class Block(keras.layers.Layer):
    def __init__(self):
        super().__init__(name="block")
        self.dense = Dense(3, name="hidden")
        self.tower = keras.Sequential([keras.Input((3,)), Dense(3, name="in_tower")], name="tower")

    def call(self, inputs):
        return self.tower(self.dense(inputs))


def test_what_a_layers_code_calls_is_hidden_and_graphs_in_it_are_called_from_python():
    x = keras.Input((3,))
    block = Block()
    found = structure(keras.Model(x, block(x)))
    assert found.hidden == {block.dense: block, block.tower: block}
    ((graph, _, _),) = calls(found, block.tower.get_layer("in_tower"))
    assert graph.called_from_python
    assert names(found.layers())[-2:] == ["hidden", "tower"]
    assert "in_tower" in names(found.layers())


class Shared(keras.layers.Layer):
    """Its code calls a layer that is in a graph too."""

    def __init__(self):
        super().__init__()
        self.dense = Dense(3, name="both")
        self.tower = keras.Sequential([keras.Input((3,)), self.dense], name="tower")

    def call(self, inputs):
        return self.tower(inputs) + self.dense(inputs)


def test_a_layer_that_is_hidden_and_in_a_graph_is_one_layer():
    x = keras.Input((3,))
    block = Shared()
    found = structure(keras.Model(x, block(x)))
    assert found.hidden[block.dense] is block
    assert len(found.uses[block.dense]) == 1
    assert names(found.layers()).count("both") == 1


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.block = Block()

    def call(self, inputs):
        return self.block(inputs)


class Halved(keras.Model):
    """A graph of Keras tensors that is not what is run."""

    def call(self, inputs, training=None, mask=None):
        return super().call(inputs) / 2


def test_a_subclassed_model_hides_all_its_layers():
    model = Subclassed()
    found = structure(model)
    assert found.hidden[model.block] is model
    assert set(names(found.hidden)) == {"block", "hidden", "tower"}


def test_a_graph_that_code_wraps_is_hidden_too():
    x = keras.Input((3,))
    found = structure(Halved(x, Dense(3, name="dense")(x)))
    assert "dense" in names(found.hidden)
    assert not found.uses


def test_a_mask_is_not_what_a_call_reads():
    ids = keras.Input((4,), dtype="int32")
    masked = keras.Input((4,), dtype="bool")
    x = keras.layers.Embedding(9, 3)(ids)
    y = keras.layers.GlobalAveragePooling1D()(Dropout(0.5)(x), mask=masked)
    assert len(producer(y).input_tensors) == 2
    (read,) = read_by(producer(y))
    assert read is not masked
    assert read.shape == (None, 4, 3)


class Towers(keras.Model):
    def __init__(self, tower):
        super().__init__()
        self.tower = tower

    def call(self, inputs):
        return self.tower(inputs)


def graph(call):
    x = keras.Input((3,), name="x")
    return keras.Model(x, call(x))


def rows():
    return keras.Sequential([keras.Input((3,)), Dense(2), Dropout(0.5)], name="rows")


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (lambda: graph(lambda x: Dropout(0.5, name="noise")(x, training=True)), "noise"),
        (lambda: graph(lambda x: BatchNormalization(name="bn")(x, training=True)), "bn"),
        (lambda: graph(lambda x: Dice(name="dice")(x, training=True)), "dice"),
        (lambda: graph(lambda x: Dropout(0.5, name="d")(x) + x), None),
        (lambda: graph(lambda x: Dropout(0.5, name="d")(x, training=False)), None),
        (lambda: graph(lambda x: rows()(x, training=True)), "rows"),
        (
            lambda: graph(lambda x: graph(lambda y: Dropout(0.5, name="d")(y, training=True))(x)),
            "d",
        ),
        (
            lambda: Towers(graph(lambda x: Dropout(0.5, name="deep")(x, training=True))),
            "deep",
        ),
    ],
)
def test_a_layer_that_a_graph_has_train_always_is_refused_by_name(model, name):
    found = structure(model())
    if name is None:
        check_inference(found)
    else:
        with pytest.raises(InputError, match=f"layer '{name}' .* is called with training=True"):
            check_inference(found)
