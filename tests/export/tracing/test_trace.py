import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.export.tracing.interface import interface
from tfnorm.export.tracing.trace import trace

RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    a, b = keras.Input((3,), name="a"), keras.Input((3,), name="user-id")
    x = keras.layers.Dropout(0.5)(keras.layers.Dense(4, name="used")(a - 2 * b))
    return keras.Model([a, b], {"click": keras.layers.Dense(1)(x), "a b": x})


@pytest.fixture(scope="module")
def traced(model):
    return trace(interface(model, None))


def test_it_scores_arrays_by_the_names_of_the_inputs_in_inference_mode(model, traced):
    got = traced.score({"a": X, "user-id": X[::-1]})
    wanted = model([X, X[::-1]], training=False)
    assert set(got) == {"click", "a b"}
    for name, values in got.items():
        assert isinstance(values, np.ndarray)
        np.testing.assert_allclose(values, wanted[name], rtol=1e-6)


def test_the_batch_dimension_is_free(traced):
    assert {name: spec.shape.as_list() for name, spec in traced.outputs.items()} == {
        "click": [None, 1],
        "a b": [None, 4],
    }
    for rows in (0, 1, 7):
        feeds = {name: np.zeros((rows, 3), np.float32) for name in ("a", "user-id")}
        assert traced.score(feeds)["click"].shape == (rows, 1)


def test_a_name_that_no_argument_can_have_is_replaced_and_remembered(traced):
    assert list(traced.names.values()) == ["user-id"]
    (made,) = traced.names
    _, named = traced.function.structured_input_signature
    (specs,), _ = traced.function.structured_input_signature
    assert set(specs) == {"a", made}
    assert made.isidentifier()
    assert named == {}


@pytest.mark.parametrize("name", ["self", "class", "größe", "1st", "x y"])
def test_every_name_that_is_no_identifier_of_ascii_is_replaced(name):
    x = keras.Input((3,), name=name)
    made = trace(interface(keras.Model({name: x}, x * 2), None))
    assert list(made.names.values()) == [name]
    np.testing.assert_array_equal(made.score({name: X})["score"], 2 * X)


def test_it_becomes_part_of_another_graph(model, traced):
    @tf.function
    def twice(a, b):
        return traced.call({"user-id": b, "a": a})["click"] * 2

    wanted = model([X, X[::-1]], training=False)["click"]
    np.testing.assert_allclose(twice(X, X[::-1]), 2 * wanted, rtol=1e-6)


def test_the_variables_that_are_read_are_saved_and_no_others():
    x = keras.Input((3,), name="x")
    used, unused = keras.layers.Dense(2), keras.layers.Dense(2)
    unused.build((None, 3))
    model = keras.Model(x, used(x))
    model.aside = unused
    module = trace(interface(model, None)).module
    assert {id(v) for v in module.variables} == {id(v.value) for v in used.weights}


def test_the_layers_run_altered_while_the_graph_is_made_and_no_longer(model):
    layer = model.get_layer("used")
    seen = []

    @contextlib.contextmanager
    def altered():
        call = layer.call
        vars(layer)["call"] = lambda inputs, **_: 0 * call(inputs)
        try:
            yield
        finally:
            del vars(layer)["call"]
            seen.append("ended")

    got = trace(interface(model, None), altered)
    assert seen == ["ended"]
    assert not got.score({"a": X, "user-id": X})["a b"].any()
    assert model([X, -X], training=False)["a b"].numpy().any()


class Subclassed(keras.Model):
    def __init__(self, code):
        super().__init__()
        self.code = code
        self.built = True

    def call(self, inputs):
        return self.code(inputs)


def subclassed(code):
    return interface(Subclassed(code), {"inputs": X})


def test_what_can_not_be_traced_is_refused_with_why():
    def fail(inputs):
        raise TypeError("needs a batch\n size")

    with pytest.raises(InputError, match=r"in inference mode .* dimension: needs a batch size$"):
        trace(subclassed(fail))


def test_a_refusal_from_within_stays_as_it_is():
    def refuse(inputs):
        raise InputError("no such ids")

    with pytest.raises(InputError, match=r"^no such ids$"):
        trace(subclassed(refuse))


@pytest.mark.filterwarnings("ignore:.*build.* was called on layer:UserWarning")
def test_weights_that_the_first_call_makes_are_refused():
    class Late(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(2)
            self.built = True

        def call(self, inputs):
            return self.dense(inputs)

    with pytest.raises(InputError, match="makes weights when it is called"):
        trace(interface(Late(), {"inputs": X}))


def test_a_graph_that_assigns_is_refused():
    counter = tf.Variable(0.0)
    with pytest.raises(InputError, match="changes a variable"):
        trace(subclassed(lambda inputs: inputs + counter.assign_add(1.0)))


@pytest.mark.parametrize("within", [list, tuple, lambda tables: tables[0]])
def test_the_tables_of_layers_are_found_alone_and_in_lists(within):
    class Lookup(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            rows = tf.lookup.KeyValueTensorInitializer(["a"], [1.0])
            table = tf.lookup.StaticHashTable(rows, -1.0)
            self.tables = within([table])
            self._look_up = table.lookup

        def call(self, inputs):
            return self._look_up(inputs)

        def compute_output_spec(self, inputs):
            return keras.KerasTensor(inputs.shape, "float32")

    word = keras.Input((), name="word", dtype="string")
    made = trace(interface(keras.Model(word, Lookup()(word)), None))
    assert len(made.module.tables_) == 1
    assert made.score({"word": np.array(["a", "b"])})["score"].tolist() == [1, -1]


def test_a_resource_of_no_layer_is_refused():
    rows = tf.lookup.KeyValueTensorInitializer(["a"], [1.0])
    table = tf.lookup.StaticHashTable(rows, 0.0)
    with pytest.raises(InputError, match="another resource that is no attribute of any"):
        trace(subclassed(lambda inputs: inputs + table.lookup(tf.constant("a"))))
