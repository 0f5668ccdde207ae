"""A graph of layers becomes a program, or is refused and the layer named."""

import keras
import numpy as np
import pytest
from export.numpy_predictor.compared import check, normal, one, pair, randomized

from tfnorm.errors import InputError
from tfnorm.export.numpy_predictor import to_numpy
from tfnorm.export.numpy_predictor.translate import Translation
from tfnorm.layers import BatchNormalization, Dice


def test_an_array_that_a_layer_is_called_with_is_kept_as_a_weight():
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Add(name="add")([inputs, np.ones((1, 3), np.float32)]))
    assert "add/constant_1" in check(model, normal(5, 3)).weights


def test_integers_become_floats_where_keras_makes_them_so():
    inputs = {
        "n": keras.Input((3,), name="n", dtype="int32"),
        "x": keras.Input((3,), name="x"),
    }
    n, x = inputs.values()
    outputs = {
        "dense": keras.layers.Dense(2)(n),
        "mixed": keras.layers.Concatenate()([n, x]),
        "kept": keras.layers.Concatenate()([n, n]),
        "mean": keras.ops.mean(n, axis=1),
        "sum": n + x,
        "half": n / 2,
        "wide": keras.layers.Dense(2, dtype="float64")(x),
    }
    rows = {"n": np.arange(6, dtype=np.int32).reshape(2, 3), "x": np.ones((2, 3), np.float32)}
    check(randomized(keras.Model(inputs, outputs)), rows)


def test_any_number_of_rows_will_do_for_a_model_of_a_fixed_batch_size():
    inputs = keras.Input((3,), batch_size=2)
    predictor = to_numpy(keras.Model(inputs, keras.layers.Reshape((3, 1))(inputs)))
    assert predictor(normal(5, 3)).shape == (5, 3, 1)


def test_a_model_in_float64_predicts_in_float64():
    model = keras.Sequential(
        [
            keras.Input((3,), dtype="float64"),
            keras.layers.Dense(4, dtype="float64"),
            BatchNormalization(dtype="float64"),
            Dice(dtype="float64"),
        ]
    )
    x = normal(5, 3).astype(np.float64)
    np.testing.assert_allclose(to_numpy(randomized(model))(x), model(x), rtol=1e-13)


def test_nested_models_are_written_out_with_the_names_of_both():
    tower = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, name="dense"), Dice()], name="tower"
    )
    inner = {"u": keras.Input((4,), name="u"), "v": keras.Input((4,), name="v")}
    merged = keras.layers.Dense(2, name="dense")(keras.layers.Concatenate()(list(inner.values())))
    head = keras.Model(inner, [merged, merged * 2], name="head")
    inputs, rows = pair()
    u, v = tower(inputs["a"]), tower(inputs["b"])
    first, second = head({"v": v, "u": u})
    model = randomized(keras.Model(inputs, {"first": first, "second": second + 1}))
    predictor = check(model, rows)
    assert {"tower/dense/kernel", "head/dense/kernel"} <= predictor.weights.keys()
    assert len(predictor.weights) == len(model.weights)
    assert predictor.source.count('dense(a, **w["tower/dense"])') == 1
    assert predictor.source.count('dense(b, **w["tower/dense"])') == 1


def test_a_shared_layer_has_its_weights_once():
    inputs, rows = pair()
    dense = keras.layers.Dense(2)
    model = keras.Model(inputs, dense(inputs["a"]) - dense(inputs["b"]))
    predictor = check(randomized(model), rows)
    assert len(predictor.weights) == 2


def test_names_that_python_has_a_meaning_for_are_given_others():
    inputs = keras.Input((3,), name="class")
    x = inputs
    for name in ("dense", "dense_0", "1st", "np", "w", "len", "a b", "a-b", "größe", "q\"'\\", "x"):
        x = keras.layers.Dense(3, name=name)(x)
    predictor = check(randomized(keras.Model(inputs, x, name='"""\n')), np.ones((2, 3), np.float32))
    assert "größe/kernel" in predictor.weights


def test_several_outputs_have_the_names_that_keras_gives_them():
    inputs, rows = pair()
    x = keras.layers.Concatenate()([inputs["a"], inputs["b"]])
    outputs = [keras.layers.Dense(1, name=name)(x) for name in ("click", "buy")]
    model = randomized(keras.Model(inputs, outputs))
    predictions = to_numpy(model)(rows)
    assert list(predictions) == ["click", "buy"]
    np.testing.assert_allclose(predictions["buy"], model(rows)[1], atol=1e-6)


class Doubled(keras.layers.Layer):
    def call(self, inputs):
        return 2 * inputs


class Dense(keras.layers.Dense):
    def call(self, inputs):
        return -super().call(inputs)


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


class FunctionalWithItsOwnCall(keras.Model):
    def call(self, inputs, training=None, mask=None):
        return -super().call(inputs)


def functional_with_its_own_call():
    inputs = keras.Input((3,))
    return FunctionalWithItsOwnCall(inputs, inputs + 1)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: one(Doubled(name="mine")), "'mine' .*Doubled.* no NumPy formula; .*keras.Dense"),
        (lambda: one(Dense(2, name="mine")), "'mine' .*Dense.* no NumPy formula"),
        (lambda: one(keras.layers.Conv1D(2, 3, name="conv")), "'conv' .keras.Conv1D"),
        (lambda: one(keras.layers.Lambda(abs, name="abs")), "'abs' .keras.Lambda"),
        (lambda: one(keras.layers.Dense(2, abs, name="d")), "'d' .* activation abs.*; .*sigmoid"),
        (lambda: one(keras.layers.Dense(2, dtype="mixed_bfloat16")), "bfloat16; accepted: float32"),
        (lambda: one(keras.layers.Dense(2, dtype="float16")), "computes in float16"),
        (lambda: keras.Sequential([keras.layers.Dense(2)]), "not built"),
        (lambda: Subclassed(name="own"), "'own' .*Subclassed.*; accepted: functional"),
        (functional_with_its_own_call, "FunctionalWithItsOwnCall"),
        (lambda: one(Subclassed(name="own")), "'own' .*Subclassed"),
        (lambda: one(keras.layers.RNN(keras.layers.LSTMCell(2), name="r")), "'r' .*LSTMCell"),
        (lambda: "model", "builtins.str"),
        (
            lambda: keras.Sequential(
                [
                    keras.Input((3,), batch_size=2),
                    keras.layers.Reshape((3, 1)),
                    keras.layers.GRU(2, stateful=True),
                ]
            ),
            "stateful",
        ),
    ],
)
def test_a_model_that_can_t_be_written_is_refused_and_the_layer_named(model, message):
    with pytest.raises(InputError, match=message) as caught:
        to_numpy(model())
    assert "\n" not in str(caught.value)


def test_a_layer_that_always_trains_is_refused():
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dropout(0.5, name="noise")(inputs, training=True))
    with pytest.raises(InputError, match=r"'noise' .* is called with training=True"):
        to_numpy(model)


def test_a_translation_has_the_program_with_its_inputs_and_outputs_by_name():
    inputs = {
        "item id": keras.Input((), name="item id", dtype="int32"),
        "x": keras.Input((2,), name="x"),
    }
    ids = keras.layers.Embedding(5, 2, name="table")(inputs["item id"])
    joined = keras.layers.Concatenate(name="both")([ids, inputs["x"]])
    score = keras.layers.Dense(1, name="score")(joined)
    translation = Translation(keras.Model(inputs, {"score": score, "both": joined}))
    given = {name: (str(v), v.dtype, v.shape) for name, v in translation.inputs.items()}
    assert given == {
        "item id": ("item_id", "int32", (None,)),
        "x": ("x", "float32", (None, 2)),
    }
    assert {name: v.shape for name, v in translation.outputs.items()} == {
        "score": (None, 1),
        "both": (None, 4),
    }
    assert translation.program.lines(str(translation.outputs["score"])) == [
        'table = embedding(item_id, **w["table"])',
        "both = np.concatenate([table, x], axis=-1)",
        'score = dense(both, **w["score"])',
    ]
    assert set(translation.program.weights) == {"table/embeddings", "score/kernel", "score/bias"}
