"""The text of `predict.py`."""

import keras
import numpy as np
import pytest
from export.numpy_predictor.compared import IDS, check, masked, normal, one

from tfnorm.export.numpy_predictor import source, to_numpy
from tfnorm.export.numpy_predictor.translate import Translation
from tfnorm.layers import Dice


@pytest.mark.filterwarnings("ignore:Layer .* does not support masking")
def test_a_mask_that_nothing_reads_is_not_written():
    predictor = check(masked(keras.layers.Flatten()), IDS)
    assert "mask" not in predictor.source


def test_the_source_has_the_formulas_that_the_model_uses_and_no_other():
    model = keras.Sequential([keras.Input((3,)), Dice(), keras.layers.Dense(2, "relu")])
    functions = {
        line[4 : line.index("(")]
        for line in to_numpy(model).source.splitlines()
        if line.startswith("def ")
    }
    helpers = {"checked", "predict", "weights"}
    assert functions == {"dice", "sigmoid", "dense", "relu"} | helpers


def test_no_line_of_the_source_is_too_long_to_read():
    inputs = [keras.Input((2,), name=f"a_feature_with_a_name_{i}") for i in range(30)]
    model = keras.Model(inputs, keras.layers.Concatenate()(inputs))
    predictor = to_numpy(model)
    body = predictor.source.split("    w = weights()")[1]
    assert max(map(len, body.splitlines())) <= 100
    x = {tensor.name: normal(2, 2) for tensor in inputs}
    np.testing.assert_array_equal(predictor(x), np.concatenate(list(x.values()), axis=1))


def written(model):
    return source.write(model.name, Translation(model))


def test_the_file_says_what_it_takes_and_gives():
    inputs = {
        "a": keras.Input((3,), name="a", dtype="int32"),
        "b": keras.Input((None, 2), name="b"),
    }
    dense = keras.layers.Dense(1, name="score")(inputs["a"])
    text = written(
        keras.Model(inputs, {"click": dense, "seen": inputs["b"] + 1}, name='my "model"')
    )
    assert text.startswith('"""Predicts as the Keras model "my \\"model\\"" does at inference')
    assert '    "a": ("int32", (None, 3)),\n    "b": ("float32", (None, None, 2)),\n' in text
    assert 'scores = predict({"a": ..., "b": ...})' in text
    assert 'The model\'s predictions: a dict of "click", "seen".' in text
    assert "or the array alone" not in text
    alone = written(one(keras.layers.Dense(1), 3))
    assert "The model's predictions: an array of the shape (None, 1)." in alone
    assert "named as in INPUTS; or the array alone." in alone


@pytest.mark.parametrize(("activation", "imported"), [("gelu", True), ("relu", False)])
def test_math_is_imported_where_a_formula_needs_it(activation, imported):
    text = written(one(keras.layers.Dense(1, activation), 3))
    assert ("\nimport math\n" in text) == imported
    compile(text, "predict.py", "exec")
