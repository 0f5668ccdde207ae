import keras
import numpy as np
import pytest
import tensorflow as tf

import tfnorm
from tfnorm.errors import InputError
from tfnorm.export import export_saved_model
from tfnorm.session import SavedModel

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(2, 6, 3)).astype(np.float32)


def scored(report, **feeds):
    with SavedModel(report.path) as saved:
        return saved.run(feeds)


def pair(**names):
    a, b = keras.Input((3,), **names.get("a", {"name": "a"})), keras.Input((3,), name="b")
    return a, b, keras.layers.Dense(1, name="first")(2 * a - b)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)


class TakesOne(Subclassed):
    def call(self, inputs):
        return self.dense(inputs)


class TakesDict(Subclassed):
    def call(self, inputs):
        return {"click": self.dense(inputs["a"] - inputs["b"]), "buy": inputs["a"]}


class TakesList(Subclassed):
    def call(self, inputs):
        return self.dense(2 * inputs[0] - inputs[1]), inputs[0]


class TakesTwo(Subclassed):
    def call(self, a, b, training=None):
        return self.dense(2 * a - b)


def test_inputs_of_a_dict_have_its_keys(tmp_path):
    a, b, score = pair()
    model = keras.Model({"b": b, "a": a}, score)
    report = export_saved_model(model, tmp_path)
    assert set(report.inputs) == {"a", "b"}
    np.testing.assert_allclose(
        scored(report, a=A, b=B)["score"], model({"a": A, "b": B}), rtol=1e-5, atol=1e-6
    )


def test_inputs_of_a_list_have_their_own_names(tmp_path):
    a, b, score = pair()
    model = keras.Model([b, a], score)
    report = export_saved_model(model, tmp_path)
    assert list(report.inputs) == ["b", "a"]
    np.testing.assert_allclose(
        scored(report, a=A, b=B)["score"], model([B, A]), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("name", ["user-id", "class", "self", "1st", "x y", "größe", "a.b"])
def test_names_that_python_can_not_take_reach_the_signature(tmp_path, name):
    a, b, score = pair(a={"name": name})
    model = keras.Model([a, b], score)
    report = export_saved_model(model, tmp_path, examples={name: A, "b": B})
    feeds = {name: A, "b": B}
    with SavedModel(report.path) as saved:
        assert saved.signature().inputs == report.inputs
        score = saved.run(feeds)["score"]
    np.testing.assert_allclose(score, model([A, B]), rtol=1e-5, atol=1e-6)


def test_several_outputs_have_the_names_of_their_layers(tmp_path):
    a, b, score = pair()
    second = keras.layers.Dense(2, name="second")(a)
    model = keras.Model([a, b], [score, second])
    got = scored(export_saved_model(model, tmp_path), a=A, b=B)
    first, second = model([A, B])
    np.testing.assert_allclose(got["first"], first, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got["second"], second, rtol=1e-5, atol=1e-6)


def test_two_outputs_of_one_layer_are_told_apart(tmp_path):
    a, b, _ = pair()
    shared = keras.layers.Dense(1, name="shared")
    model = keras.Model([a, b], [shared(a), shared(b)])
    got = scored(export_saved_model(model, tmp_path), a=A, b=B)
    assert set(got) == {"shared", "shared_1"}
    np.testing.assert_allclose(got["shared_1"], model([A, B])[1], rtol=1e-5, atol=1e-6)


def test_outputs_of_a_dict_have_its_keys(tmp_path):
    a, b, score = pair()
    model = keras.Model([a, b], {"ctr": score})
    assert list(export_saved_model(model, tmp_path).outputs) == ["ctr"]


def test_a_batch_size_that_the_model_was_built_with_is_freed(tmp_path):
    inputs = keras.Input((3,), batch_size=2, name="x")
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    report = export_saved_model(model, tmp_path)
    assert report.inputs["x"].shape.as_list() == [None, 3]
    assert scored(report, x=A)["score"].shape == (6, 1)


def test_a_sequential_model_is_exported(tmp_path):
    model = keras.Sequential([keras.Input((3,), name="x"), keras.layers.Dense(1)])
    report = export_saved_model(model, tmp_path)
    np.testing.assert_allclose(scored(report, x=A)["score"], model(A), rtol=1e-5, atol=1e-6)


def test_a_subclassed_model_has_the_shapes_that_it_was_built_with(tmp_path):
    model = TakesOne()
    expected = model(A)
    report = export_saved_model(model, tmp_path)
    assert report.inputs == {"inputs": tf.TensorSpec((None, 3), tf.float32, "inputs")}
    np.testing.assert_allclose(scored(report, inputs=A)["score"], expected, rtol=1e-5, atol=1e-6)


def test_a_subclassed_model_may_have_inputs_and_outputs_of_its_own(tmp_path):
    class Named(TakesOne):
        def __init__(self):
            super().__init__()
            self.inputs, self.outputs = "x", ["y"]

    model = Named()
    expected = model(A)
    report = export_saved_model(model, tmp_path, examples={"x": A})
    np.testing.assert_allclose(scored(report, x=A)["score"], expected, rtol=1e-5, atol=1e-6)


def test_a_subclassed_model_has_the_names_and_dtypes_of_its_examples(tmp_path):
    class Ids(Subclassed):
        def call(self, inputs):
            return self.dense(tf.one_hot(inputs, 5))

    model = Ids()
    ids = np.arange(5, dtype=np.int32)
    expected = model(ids)
    report = export_saved_model(model, tmp_path, examples={"item": ids})
    assert report.inputs == {"item": tf.TensorSpec((None,), tf.int32, "item")}
    np.testing.assert_allclose(scored(report, item=ids)["score"], expected, rtol=1e-5, atol=1e-6)


def test_a_subclassed_model_may_take_and_give_dicts(tmp_path):
    model = TakesDict()
    expected = model({"a": A, "b": B})
    got = scored(export_saved_model(model, tmp_path), a=A, b=B)
    np.testing.assert_allclose(got["click"], expected["click"], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(got["buy"], A)


def test_a_subclassed_model_may_take_and_give_lists(tmp_path):
    model = TakesList()
    expected = model([A, B])
    got = scored(export_saved_model(model, tmp_path, examples={"x": A, "y": B}), x=A, y=B)
    np.testing.assert_allclose(got["output_0"], expected[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(got["output_1"], A)
    assert list(export_saved_model(model, tmp_path).inputs) == ["inputs_0", "inputs_1"]


def test_a_subclassed_model_may_take_several_arguments(tmp_path):
    model = TakesTwo()
    expected = model(A, B)
    report = export_saved_model(model, tmp_path, examples={"b": B, "a": A})
    np.testing.assert_allclose(scored(report, a=A, b=B)["score"], expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(InputError, match=r"input 'a' .* not known to Keras; give examples"):
        export_saved_model(model, tmp_path)


def test_a_model_without_weights_yet_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"'takes_one.*' is not built"):
        export_saved_model(TakesOne(), tmp_path)
    unfit = keras.Sequential([keras.layers.Dense(1)])
    with pytest.raises(InputError, match="is not built"):
        export_saved_model(unfit, tmp_path)


@pytest.mark.filterwarnings("ignore:.*build.* was called on layer:UserWarning")
def test_a_model_that_is_built_in_name_alone_is_refused(tmp_path):
    model = TakesOne()
    model.build((None, 3))
    with pytest.raises(InputError, match="makes weights when it is called"):
        export_saved_model(model, tmp_path)


def test_what_is_no_keras_model_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"model is a builtins\.str; accepted: a keras\.Model"):
        export_saved_model("ranker.keras", tmp_path)


def test_an_output_that_is_no_tensor_is_refused(tmp_path):
    class Odd(Subclassed):
        def call(self, inputs):
            return {"a": {"b": self.dense(inputs)}, "kind": "odd"}

    model = Odd()
    model(A)
    with pytest.raises(InputError, match=r"output 'kind' of 'odd.*' is a str"):
        export_saved_model(model, tmp_path)


@pytest.mark.slow
def test_dicts_of_dicts_are_taken_and_given(tmp_path):
    inputs = {
        "user": {"age": keras.Input((3,), name="age")},
        "items": [keras.Input((3,), name="first"), keras.Input((3,), name="second")],
    }
    hidden = inputs["user"]["age"] * inputs["items"][0] + inputs["items"][1]
    dense = keras.layers.Dense(1)(keras.layers.BatchNormalization()(hidden))
    model = keras.Model(inputs, {"score": dense, "towers": {"hidden": [hidden, dense]}})
    examples = {"user": {"age": A}, "items": [2 * A, 3 * A]}
    tfnorm.recalibrate_statistics(
        model, tf.data.Dataset.from_tensors({**examples, "items": (2 * A, 3 * A)})
    )
    report = export_saved_model(model, tmp_path, examples=examples)
    with SavedModel(report.path) as saved:
        scores = saved.run({"age": A, "first": 2 * A, "second": 3 * A})
    assert scores.keys() == {"score", "towers/hidden/0", "towers/hidden/1"}
    expected = model(examples)
    np.testing.assert_allclose(scores["score"], expected["score"], rtol=1e-5, atol=1e-6)
    assert tfnorm.verify_statistics(model, examples).fit.examples == len(A)
    assert tfnorm.verify_batch_invariance(report.path, batch_sizes=[2]).passed


def test_a_subclassed_model_may_take_dicts_of_dicts(tmp_path):
    class Nested(Subclassed):
        def call(self, inputs):
            return self.dense(inputs["user"]["age"])

    model = Nested()
    model({"user": {"age": A}})
    report = export_saved_model(model, tmp_path, examples={"user": {"age": A}})
    with SavedModel(report.path) as saved:
        (scores,) = saved.run({"user/age": A}).values()
    np.testing.assert_allclose(scores, model({"user": {"age": A}}), rtol=1e-5)


def test_a_model_that_needs_its_batch_size_is_refused_with_the_reason(tmp_path):
    class Fixed(Subclassed):
        def call(self, inputs):
            return self.dense(inputs * tf.constant(np.ones(inputs.shape, np.float32)))

    model = Fixed()
    model(A)
    with pytest.raises(InputError, match="can't be called in inference mode with a free batch"):
        export_saved_model(model, tmp_path)
