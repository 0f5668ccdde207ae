import keras
import numpy as np
import pytest
import tensorflow as tf

from tfnorm.export.inputs.guessed import random_features
from tfnorm.export.structure import structure
from tfnorm.export.tracing.interface import Interface, interface


def guessed(model):
    return random_features(interface(model, None), structure(model))


def embedded(*tables):
    ids = keras.Input((None, 4), name="ids", dtype="int32")
    parts = [keras.layers.Embedding(rows, 2)(ids) for rows in tables]
    return keras.Model(ids, sum(parts, keras.ops.cast(ids, "float32")[..., None]))


def test_each_input_gets_its_dtype_and_shape_and_free_axes_a_length():
    inputs = {
        "x": keras.Input((3,), name="x"),
        "half": keras.Input((), name="half", dtype="float16"),
        "steps": keras.Input((None, 2), name="steps"),
        "flag": keras.Input((1,), name="flag", dtype="bool"),
        "id": keras.Input((), name="id", dtype="int64"),
    }
    outputs = [keras.layers.Identity()(given) for given in inputs.values()]
    made = guessed(keras.Model(inputs, outputs))
    rows = len(made["x"])
    assert rows > 1
    assert {name: (array.dtype.name, array.shape[1:]) for name, array in made.items()} == {
        "x": ("float32", (3,)),
        "half": ("float16", ()),
        "steps": ("float32", (3, 2)),
        "flag": ("bool", (1,)),
        "id": ("int64", ()),
    }
    assert {len(array) for array in made.values()} == {rows}
    assert {True, False} == set(made["flag"].ravel().tolist())


def test_the_rows_differ_and_are_the_same_each_time():
    x = keras.Input((3,), name="x")
    model = keras.Model(x, x * 2)
    made = guessed(model)["x"]
    assert len(np.unique(made, axis=0)) == len(made)
    np.testing.assert_array_equal(made, guessed(model)["x"])


@pytest.mark.parametrize(("tables", "below"), [((7,), 7), ((9, 5, 8), 5), ((), 2)])
def test_ids_are_within_the_smallest_table_that_reads_them(tables, below):
    made = guessed(embedded(*tables))["ids"]
    assert set(made.ravel().tolist()) == set(range(below))


def test_a_table_that_reads_another_input_is_no_bound():
    a, b = (keras.Input((20,), name=name, dtype="int32") for name in "ab")
    outputs = [keras.layers.Embedding(3, 2)(a), keras.layers.Embedding(6, 2)(b)]
    made = guessed(keras.Model([a, b], outputs))
    assert (made["a"].max(), made["b"].max()) == (2, 5)


def test_strings_can_not_be_guessed():
    word = keras.Input((), name="word", dtype="string")
    lookup = keras.layers.StringLookup(vocabulary=["a"])
    assert guessed(keras.Model(word, lookup(word))) is None


def test_an_input_of_unknown_rank_can_not_be_guessed():
    x = keras.Input((3,), name="x")
    model = keras.Model(x, x * 2)
    unknown = Interface(model, {"x": tf.TensorSpec(None, tf.float32, "x")}, {}, lambda x: ((), x))
    assert random_features(unknown, structure(model)) is None
