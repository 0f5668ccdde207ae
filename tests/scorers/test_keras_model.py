import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.examples.load import load_examples
from tfnorm.layers import BatchNormalization
from tfnorm.verify import batch_invariance, load_scorer

X = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
IDS = np.arange(8, dtype=np.int32)


@keras.saving.register_keras_serializable("tests")
class OfADict(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.embedding = keras.layers.Embedding(10, 3)
        self.dense = keras.layers.Dense(1)

    def call(self, inputs, training=None):
        return self.dense(inputs["x"] + self.embedding(inputs["id"]))


class OfATensor(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(2)

    def call(self, inputs):
        return self.dense(inputs)


class OfTwoArguments(OfATensor):
    def call(self, left, right):
        return self.dense(left * right)


def _functional(inputs, outputs):
    return keras.Model(inputs, outputs)


@pytest.mark.filterwarnings("ignore:When providing `inputs` as a dict")
def test_a_functional_model_of_a_dict_goes_by_its_keys():
    inputs = {"x": keras.Input((3,), name="other"), "id": keras.Input((), dtype="int32")}
    number = keras.ops.cast(inputs["id"], "float32")[:, None]
    model = _functional(inputs, keras.layers.Dense(1)(inputs["x"]) + number)
    scorer = load_scorer(model)
    assert list(scorer.inputs) == ["x", "id"]
    assert scorer.inputs["id"].dtype == tf.int32
    assert scorer.inputs["x"].shape.as_list() == [None, 3]
    scores = scorer.score({"x": X, "id": IDS})
    np.testing.assert_allclose(scores["score"], model({"x": X, "id": IDS}), rtol=1e-6)


def test_a_functional_model_of_a_list_goes_by_the_names_of_its_inputs():
    a, b = keras.Input((3,), name="b_first"), keras.Input((3,), name="a_second")
    model = _functional([a, b], keras.layers.Subtract()([a, b]))
    scores = load_scorer(model).score({"a_second": X, "b_first": 3 * X})
    np.testing.assert_allclose(scores["score"], 2 * X, rtol=1e-6)


def test_a_sequential_model_of_one_input_takes_an_array():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    assert batch_invariance(model, X).passed


def test_several_outputs_go_by_their_keys():
    x = keras.Input((3,), name="x")
    model = _functional(x, {"up": keras.layers.ReLU()(x), "down": keras.layers.ReLU()(-x)})
    scores = load_scorer(model).score({"x": X})
    np.testing.assert_array_equal(scores["up"] - scores["down"], X)


def test_several_outputs_in_a_list_go_by_the_names_that_keras_gives_them():
    x = keras.Input((3,), name="x")
    model = _functional(x, [keras.layers.ReLU(name="up")(x), keras.layers.Dense(2, name="two")(x)])
    assert load_scorer(model).score({"x": X}).keys() == {"up", "two"}


def _nested():
    """A model of a dict of dicts that gives one, with a list inside."""
    inputs = {
        "user": {"x": keras.Input((3,), name="user_x")},
        "item": [keras.Input((3,), name="item_x"), keras.Input((), dtype="int32", name="item_id")],
    }
    user, (item, ids) = inputs["user"]["x"], inputs["item"]
    item = item + keras.layers.Embedding(8, 3)(ids)
    scores = keras.layers.Dense(1)(user * item)
    return _functional(inputs, {"score": scores, "towers": {"user": user, "item": [item, scores]}})


def test_nested_inputs_go_by_their_own_names_and_nested_outputs_by_their_paths():
    model, examples = _nested(), {"user_x": X, "item_x": 2 * X, "item_id": IDS}
    scorer = load_scorer(model)
    assert scorer.inputs.keys() == examples.keys()
    scores = scorer.score(examples)
    assert scores.keys() == {"score", "towers/user", "towers/item/0", "towers/item/1"}
    expected = model({"user": {"x": X}, "item": [2 * X, IDS]})
    np.testing.assert_allclose(scores["score"], expected["score"], rtol=1e-6)
    np.testing.assert_array_equal(scores["towers/user"], X)
    with scorer.as_saved_model() as saved:
        assert saved.run(examples).keys() == scores.keys()
    assert batch_invariance(model, examples, batch_sizes=[2, 8]).passed


def test_a_list_of_outputs_with_a_structure_in_it_goes_by_place():
    x = keras.Input((3,), name="x")
    model = _functional(x, [keras.layers.ReLU()(x), {"a": x, "b": [x, x]}, x])
    names = {"output_0", "output_1/a", "output_1/b/0", "output_1/b/1", "output_2"}
    assert load_scorer(model).score({"x": X}).keys() == names


@pytest.mark.parametrize("by", ["places", "paths"])
def test_nested_examples_go_to_the_inputs_at_their_places(by, tmp_path):
    model = _nested()
    if by == "places":
        examples = {"user": {"x": X}, "item": [2 * X, IDS]}
    else:
        examples = {"user/x": X, "item/0": 2 * X, "item/1": IDS}
    report = batch_invariance(model, examples, batch_sizes=[2])
    assert report.passed and report.outputs.keys() >= {"score", "towers/item/1"}
    if by == "paths":
        np.savez(tmp_path / "examples.npz", **examples)
    else:
        rows = zip(X.tolist(), (2 * X).tolist(), IDS.tolist(), strict=True)
        lines = [json.dumps({"user": {"x": x}, "item": [y, i]}) for x, y, i in rows]
        (tmp_path / "examples.jsonl").write_text("\n".join(lines))
    (file,) = tmp_path.iterdir()
    rows = load_examples(file, load_scorer(model))
    np.testing.assert_allclose(rows["item_x"], 2 * X, rtol=1e-6)
    np.testing.assert_array_equal(rows["item_id"], IDS)


def test_lists_of_inputs_take_lists_of_examples():
    x, ids = keras.Input((3,), name="x"), keras.Input((), dtype="int32", name="ids")
    hidden = x + keras.layers.Embedding(8, 3)(ids)
    model = _functional([x, ids], keras.layers.Dense(1)(hidden))
    rows = load_examples([X, IDS], load_scorer(model))
    np.testing.assert_array_equal(rows["ids"], IDS)
    assert batch_invariance(model, [X, IDS], batch_sizes=[2]).passed


def test_a_subclassed_model_of_a_nested_dict_is_called_with_one():
    class Nested(keras.Model):
        def call(self, inputs):
            return {"sum": inputs["user"]["x"] + inputs["item"][1]}

    model = Nested()
    model({"user": {"x": X}, "item": [X, X]})
    examples = {"user": {"x": X}, "item/0": X, "item/1": 2 * X}
    scorer = load_scorer(model)
    rows = load_examples(examples, scorer)
    np.testing.assert_allclose(scorer.score(rows)["sum"], 3 * X, rtol=1e-6)


def test_a_subclassed_model_of_a_list_says_what_to_do():
    class Listed(keras.Model):
        def call(self, inputs):
            return inputs[0] + inputs[1]

    model = Listed()
    model([X, X])
    with pytest.raises(InputError, match="neither a dict of tensors nor a tensor; wrap it"):
        load_scorer(model)


@pytest.mark.slow
def test_a_model_quantized_to_float8_is_verified_and_its_defects_are_found():
    x = keras.Input((3,), name="x")
    hidden = keras.layers.Dense(8, activation="relu", name="hidden")(x)
    clean = _functional(x, keras.layers.Dense(1)(hidden))
    spoilt = _functional(x, keras.layers.Dense(1)(hidden - keras.ops.mean(hidden, axis=0)))
    for model in (clean, spoilt):
        for layer in model.layers:
            if isinstance(layer, keras.layers.Dense) and layer.quantization_mode is None:
                layer.quantize("float8")
    report = batch_invariance(clean, {"x": X}, batch_sizes=[2, 8])
    assert report.passed and report.precision.startswith("float8")
    assert not batch_invariance(spoilt, {"x": X}, batch_sizes=[2, 8]).passed


@pytest.mark.parametrize("kind", ["model", "file"])
def test_a_subclassed_model_takes_what_it_was_called_with(kind, tmp_path):
    model = OfADict()
    model({"x": X[:2], "id": IDS[:2]})
    model.save(tmp_path / "model.keras")
    scorer = load_scorer(model if kind == "model" else tmp_path / "model.keras")
    scores = scorer.score({"x": X, "id": IDS})["score"]
    np.testing.assert_allclose(scores, model({"x": X, "id": IDS}), rtol=1e-5)
    assert batch_invariance(scorer, {"x": X, "id": IDS}).passed


def test_a_subclassed_model_of_a_tensor_or_of_several_arguments_is_called_so():
    one = OfATensor()
    one(X)
    np.testing.assert_allclose(load_scorer(one).score({"any": X})["score"], one(X), rtol=1e-6)
    two = OfTwoArguments()
    two(X, X)
    scores = load_scorer(two).score({"right": X, "left": 2 * X})["score"]
    np.testing.assert_allclose(scores, two(2 * X, X), rtol=1e-5)
    with pytest.raises(InputError, match="can't be called on left, wrong"):
        load_scorer(two).score({"left": X, "wrong": X})


def test_layers_are_in_inference_mode():
    model = keras.Sequential([keras.Input((3,)), BatchNormalization(), keras.layers.Dropout(0.9)])
    scores = load_scorer(model).score({model.inputs[0].name: X})["score"]
    np.testing.assert_allclose(scores, X / np.sqrt(1 + 1e-3), rtol=1e-6)


def test_every_batch_size_runs_the_same_graph():
    traces = []

    class Traced(keras.layers.Layer):
        def call(self, x):
            traces.append(x.shape)
            return x

    model = keras.Sequential([keras.Input((3,), name="x"), Traced()])
    scorer = load_scorer(model)
    traces.clear()
    for size in (1, 2, 8, 5):
        scorer.score({"x": X[:size]})
    assert traces == [(None, 3)]


def test_a_keras_file_with_tfnorms_layers_needs_no_custom_objects(tmp_path):
    model = keras.Sequential([keras.Input((3,), name="x"), BatchNormalization()])
    model.save(tmp_path / "m.keras")
    scorer = load_scorer(str(tmp_path / "m.keras"))
    assert scorer.name == str(tmp_path / "m.keras")
    np.testing.assert_allclose(scorer.score({"x": X})["score"], model(X), rtol=1e-6)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04"])
def test_a_damaged_keras_file_is_an_input_error(tmp_path, content):
    (tmp_path / "m.keras").write_bytes(content)
    with pytest.raises(InputError, match=r"m\.keras can't be loaded as a Keras model") as error:
        load_scorer(tmp_path / "m.keras")
    assert "\n" not in str(error.value)


def test_a_keras_file_with_unknown_layers_says_what_to_do(tmp_path):
    class Unknown(keras.layers.Layer):
        def call(self, x):
            return x

    keras.Sequential([keras.Input((3,)), Unknown()]).save(tmp_path / "m.keras")
    needs = r"m\.keras needs the class 'Unknown', .*register_keras_serializable.*--import MODULE"
    with pytest.raises(InputError, match=needs) as error:
        load_scorer(tmp_path / "m.keras")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) - len(str(tmp_path)) < 300


class Unity(keras.initializers.Initializer):
    def __call__(self, shape, dtype=None):
        return keras.ops.ones(shape, dtype)


class Free(keras.constraints.Constraint):
    def __call__(self, w):
        return w


def squashed(x):
    return keras.ops.tanh(x)


@pytest.mark.parametrize(
    ("options", "needs"),
    [
        ({"kernel_initializer": Unity()}, "(class|initializer) 'Unity'"),
        ({"kernel_constraint": Free()}, "(class|constraint) 'Free'"),
        ({"activation": squashed}, "function 'squashed'"),
    ],
)
def test_what_a_layer_is_given_is_named_where_it_is_unknown(tmp_path, options, needs):
    layer = keras.layers.Dense(1, **options)
    keras.Sequential([keras.Input((3,)), layer]).save(tmp_path / "m.keras")
    with pytest.raises(InputError, match=f"needs the {needs}, .*--custom-object") as error:
        load_scorer(tmp_path / "m.keras")
    assert len(str(error.value)) - len(str(tmp_path)) < 300


def test_what_keras_says_of_a_file_is_shown_without_configs(tmp_path):
    doubled = keras.layers.Lambda(lambda x: 2 * x)
    keras.Sequential([keras.Input((3,)), doubled]).save(tmp_path / "m.keras")
    with pytest.raises(InputError, match=r"can't be loaded as a Keras model: .*Lambda") as error:
        load_scorer(tmp_path / "m.keras")
    assert len(str(error.value)) - len(str(tmp_path)) < 310


def test_a_model_that_was_never_built_is_refused():
    with pytest.raises(InputError, match="call it once on a batch"):
        load_scorer(OfATensor())


def test_an_id_outside_the_embedding_is_refused_in_one_line():
    model = OfADict()
    model({"x": X, "id": IDS})
    with pytest.raises(InputError, match=r"refuses these examples: .*999") as error:
        load_scorer(model).score({"x": X, "id": IDS + 999})
    assert "\n" not in str(error.value)


def test_names_that_are_no_inputs_are_refused():
    scorer = load_scorer(keras.Sequential([keras.Input((3,), name="x"), keras.layers.Dense(1)]))
    with pytest.raises(InputError, match="lack: 'x'"):
        scorer.score({})
    with pytest.raises(InputError, match="no input: 'y'; accepted: x: float32"):
        scorer.score({"x": X, "y": X})


def _mixed():
    """A model that computes in bfloat16 and gives float32."""
    x = keras.Input((3,), name="x")
    hidden = keras.layers.Dense(4, dtype="mixed_bfloat16")(x)
    return _functional(x, keras.layers.Dense(1, dtype="float32")(hidden))


def test_its_precision_is_known_once_it_has_scored():
    scorer = load_scorer(_mixed())
    assert scorer.precision is None
    scorer.score({"x": X})
    assert scorer.precision == "bfloat16"


def test_what_it_lays_open_scores_the_same_in_the_session():
    inputs = {"x": keras.Input((3,), name="x"), "id": keras.Input((), dtype="int32", name="id")}
    embedded = keras.layers.Embedding(8, 3)(inputs["id"])
    scorer = load_scorer(_functional(inputs, keras.layers.Dense(2)(inputs["x"] + embedded)))
    expected = scorer.score({"x": X, "id": IDS})["score"]
    with scorer.as_saved_model() as model:
        np.testing.assert_allclose(model.run({"x": X, "id": IDS})["score"], expected, rtol=1e-6)
        place = model.path
        assert place.exists()
    assert not place.exists()


def test_before_it_has_scored_a_model_that_does_not_say_what_it_takes_can_not_be_laid_open():
    model = OfADict()
    model({"x": X, "id": IDS})
    with pytest.raises(InputError, match="has not scored yet"), load_scorer(model).as_saved_model():
        pass
    with load_scorer(_mixed()).as_saved_model() as laid_open:
        assert laid_open.run({"x": X})["score"].shape == (8, 1)


def test_closing_sets_back_what_the_calls_changed():
    class Counter(keras.layers.Layer):
        def build(self, shape):
            self.calls = self.add_weight(
                shape=(), initializer="zeros", trainable=False, name="calls"
            )

        def call(self, x):
            self.calls.assign_add(1.0)
            return x + self.calls

    model = keras.Sequential([keras.Input((3,), name="x"), Counter()])
    scorer = load_scorer(model)
    before = float(model.layers[0].calls.numpy())
    first, second = (scorer.score({"x": X})["score"] for _ in range(2))
    np.testing.assert_allclose(second - first, 1.0, rtol=1e-5)
    assert model.layers[0].calls.numpy() == before + 2
    scorer.close()
    assert model.layers[0].calls.numpy() == before
