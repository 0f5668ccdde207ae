"""Whether statistics fit examples: of Keras models, of SavedModels whoever wrote them, and of none."""

import contextlib
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf1_models
from hand_made import saved

from tfnorm.errors import InputError
from tfnorm.export import export_saved_model
from tfnorm.layers import BatchNormalization
from tfnorm.statistics import recalibrate_statistics
from tfnorm.verify import batch_invariance, inspect_saved_model, verify_statistics

WIDTH = 12


def _never_fed():
    return tf.compat.v1.placeholder_with_default(False, [], "is_training")


def _never():
    return False


def tf1_inputs(trained, examples):
    """What the two normalizations of `tf1_models.din` are given, by NumPy in float64."""
    table, first, second = (
        trained[f"din/{name}"].astype(np.float64) for name in ("items", "bn1/gamma", "bn1/beta")
    )
    item, history = table[examples["item"]], table[examples["history"]]
    scores = (history * item[:, None]).sum(-1)
    weights = np.exp(scores - scores.max(1, keepdims=True))
    weights /= weights.sum(1, keepdims=True)
    interest = (history * weights[..., None]).sum(1)
    x = np.concatenate([item, interest, item * interest], 1)
    mean, variance = (trained[f"din/bn1/moving_{kind}"] for kind in ("mean", "variance"))
    hidden = (x - mean) / np.sqrt(variance + 1e-3) * first + second
    return x, hidden @ trained["din/f0/kernel"]


@pytest.mark.slow
@pytest.mark.parametrize("resource", [False, True], ids=["ref", "resource"])
@pytest.mark.parametrize(
    ("training", "of_tf1", "fused"),
    [
        (_never, True, False),
        (_never_fed, True, False),
        (_never_fed, False, False),
        (_never_fed, True, True),
        (_never, False, True),
    ],
    ids=["constant", "switch", "if", "fused in a switch", "fused"],
)
def test_a_din_of_tf1_that_was_never_updated_is_named_with_how_far_it_is_off(
    resource, training, of_tf1, fused, tmp_path
):
    how = tf1_models.control_flow_of_tf1() if of_tf1 else contextlib.nullcontext()
    with how:
        directory, trained = tf1_models.din(
            tmp_path / "din", resource=resource, training=training, fused=fused
        )
    examples = tf1_models.clicks(300, seed=7)
    report = verify_statistics(directory, examples)
    assert (report.failed, report.passed, report.fit.verdict) == (True, False, "off")
    assert [layer.name for layer in report.fit.layers] == ["din/bn1", "din/dice"]
    for layer, x in zip(report.fit.layers, tf1_inputs(trained, examples), strict=True):
        std = np.sqrt(x.var(0) + 1e-3)
        np.testing.assert_allclose(layer.mean_difference, -x.mean(0) / std, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(layer.std_ratio, np.sqrt(1.001) / std, rtol=1e-4)
    said = " ".join(str(report).split())
    assert "FAILED the moving statistics do not fit the 300 examples: layer 'din/" in said
    assert "all of the initial values are left in them" in said
    assert "UPDATE_OPS" in said


@pytest.mark.slow
def test_a_din_of_tf1_whose_updates_were_run_passes(tmp_path):
    directory, _ = tf1_models.din(tmp_path / "din", resource=False, training=_never, update=True)
    report = verify_statistics(directory, tf1_models.clicks(300, seed=7))
    assert (report.passed, report.fit.verdict) == (True, "fits")
    assert "PASSED the moving statistics fit the 300 examples" in " ".join(str(report).split())


@pytest.mark.slow
def test_a_din_of_tf1_that_is_saved_in_training_normalizes_by_the_batch(tmp_path):
    directory, _ = tf1_models.din(tmp_path / "din", resource=True, training=lambda: True)
    report = verify_statistics(directory, tf1_models.clicks(64))
    assert report.failed and report.fit is None
    assert report.by_batch == ("din/bn1", "din/dice")
    said = " ".join(str(report).split())
    assert "normalize by the moments of each batch, so that a score" in said
    assert "depends on its batch: din/bn1, din/dice" in said


@pytest.mark.slow
def test_a_flag_that_is_an_input_decides(tmp_path):
    def training():
        return tf.compat.v1.placeholder(tf.bool, [], "is_training")

    directory, _ = tf1_models.din(
        tmp_path / "din", resource=False, training=training, flag="is_training"
    )
    examples = tf1_models.clicks(64)
    serving = verify_statistics(directory, examples, feed={"is_training": False})
    assert (len(serving.fit.layers), serving.by_batch) == (2, ())
    trains = verify_statistics(directory, examples, feed={"is_training": True})
    assert (trains.fit, trains.by_batch) == (None, ("din/bn1", "din/dice"))


def columns(rows, seed=0):
    rng = np.random.default_rng(seed)
    return {"x": (rng.normal(size=(rows, WIDTH)) * 2 + 3).astype(np.float32)}


def model_of(*layers):
    inputs = x = keras.Input((WIDTH,), name="x")
    for layer in layers:
        x = layer(x)
    return keras.Model(inputs, keras.layers.Dense(1)(x))


@pytest.mark.slow
def test_a_keras_model_and_its_file_are_judged_alike(tmp_path):
    model = model_of(keras.layers.Dense(9), BatchNormalization(name="bn"))
    model.save(tmp_path / "model.keras")
    one = verify_statistics(model, columns(128))
    other = verify_statistics(tmp_path / "model.keras", columns(128))
    assert one.fit == other.fit and one.fit.verdict == "off"
    assert (one.signature, other.target) == (None, str(tmp_path / "model.keras"))


@keras.saving.register_keras_serializable(package="tests")
class ByBatch(keras.layers.Layer):
    """Normalizes without any statistics."""

    def call(self, x):
        mean, variance = tf.nn.moments(x, [0])
        return (x - mean) * tf.math.rsqrt(variance + 1e-3)


def test_layers_of_a_keras_model_that_normalize_by_the_batch_are_named():
    class Trains(keras.layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.bn = keras.layers.BatchNormalization(name="inner")

        def call(self, x):
            return self.bn(x, training=1)

    model = model_of(Trains(name="outer"), ByBatch(name="mine"))
    report = verify_statistics(model, columns(64))
    assert report.by_batch == ("outer/inner", "mine")
    assert (report.failed, report.fit) == (True, None)
    before = model.layers[1].bn.moving_mean.numpy()
    np.testing.assert_array_equal(before, 0)


def frozen():
    return BatchNormalization(name="bn", trainable=False)


@pytest.mark.parametrize(
    ("layers", "reason"),
    [([], "it has no layer with moving statistics"), ([frozen()], "are frozen")],
    ids=["none", "frozen"],
)
def test_a_keras_model_with_nothing_to_look_at_is_told(layers, reason):
    with pytest.raises(InputError, match=f"nothing to look at: .*{reason}"):
        verify_statistics(model_of(keras.layers.Dense(3), *layers), columns(64))


@pytest.mark.slow
def test_what_is_folded_is_told_by_what_the_export_said(tmp_path):
    bn = keras.layers.BatchNormalization(name="bn")
    model = model_of(bn, keras.layers.Dense(5))
    export_saved_model(model, tmp_path / "without", allow_untrained_statistics=True)
    with pytest.raises(InputError, match="no normalization with fixed statistics is left"):
        verify_statistics(tmp_path / "without", columns(64))
    for directory, mean in (("off", 0.0), ("fits", 3.0)):
        bn.moving_mean.assign(np.full(WIDTH, mean))
        bn.moving_variance.assign(np.full(WIDTH, 4.0))
        export_saved_model(
            model, tmp_path / directory, examples=columns(64), allow_misfit_statistics=True
        )
        report = verify_statistics(tmp_path / directory)
        assert report.fit is None and report.exported.verdict == directory
        assert (report.failed, report.passed) == (directory == "off", directory == "fits")
        assert "when it was exported" in " ".join(str(report).split())


def test_layers_that_were_frozen_are_left_out_of_an_export_too(tmp_path):
    free = keras.layers.BatchNormalization(name="free")
    model = model_of(free, keras.layers.Dense(9), keras.layers.ReLU(), frozen())
    free.moving_mean.assign(np.full(WIDTH, 3.0))
    free.moving_variance.assign(np.full(WIDTH, 4.0))
    options = {"fold": False, "allow_untrained_statistics": True}
    path = export_saved_model(model, tmp_path, examples=columns(64), **options).path
    report = verify_statistics(path)
    assert (report.passed, [layer.name for layer in report.fit.layers]) == (True, ["free"])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask")
def test_what_a_mask_left_out_is_left_out_of_the_judgement_of_an_export(tmp_path):
    inputs = keras.Input((6,), name="x", dtype="int32")
    embedded = keras.layers.Embedding(20, 8, mask_zero=True)(inputs)
    normalized = BatchNormalization(name="bn")(embedded)
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(normalized)))
    model.layers[1].embeddings.assign(np.random.default_rng(0).normal(2, 1, (20, 8)))
    rng = np.random.default_rng(1)
    ids = rng.integers(1, 20, (400, 6)) * (np.arange(6) < rng.integers(1, 3, (400, 1)))
    examples = {"x": ids.astype(np.int32)}
    recalibrate_statistics(model, examples)
    path = export_saved_model(model, tmp_path, examples=examples, fold=False).path
    assert verify_statistics(path, examples).fit.verdict == "off"
    assert verify_statistics(path).passed
    assert inspect_saved_model(path).passed
    assert batch_invariance(path, batch_sizes=[7], limit=32).passed


def test_a_constant_channel_without_an_epsilon_is_no_error(tmp_path):
    def serve(x):
        mean, std = tf.constant([0.0, 1.0]), tf.sqrt(tf.constant([1.0, 1.0]))
        return {"score": tf.reduce_sum((x - mean) / std, 1)}

    examples = {"x": np.stack([np.full(64, 5.0), np.arange(64.0)], 1).astype(np.float32)}
    directory = saved(tmp_path, serve, tf.TensorSpec([None, 2], tf.float32, "x"))
    report = verify_statistics(directory, examples)
    assert report.fit.layers[0].mean_difference[0] == -np.inf
    assert json.loads(report.to_json())["statistics"]["layers"][0]["mean_difference"][0] is None
    assert "5" in str(report)


def test_what_stands_in_a_loop_is_neither_passed_nor_failed(tmp_path):
    mean, variance = (
        tf.Variable(tf.ones(WIDTH), name=f"bn/moving_{k}") for k in ("mean", "variance")
    )

    def serve(x):
        def turn(i, y):
            return i + 1, tf.nn.batch_normalization(y, mean, variance, None, None, 1e-3)

        return {"score": tf.while_loop(lambda i, y: i < 2, turn, [0, x])[1][:, 0]}

    spec = tf.TensorSpec([None, WIDTH], tf.float32, "x")
    report = verify_statistics(
        saved(tmp_path, serve, spec, mean=mean, variance=variance), columns(64)
    )
    assert (report.passed, report.failed, len(report.unseen)) == (False, False, 1)
    assert "stand in a loop" in " ".join(str(report).split())


def test_without_examples_it_says_what_to_give(tmp_path):
    model_of(BatchNormalization()).save(tmp_path / "model.keras")
    with pytest.raises(InputError, match="comes with no examples; give some by --examples"):
        verify_statistics(tmp_path / "model.keras")


@pytest.mark.slow
def test_a_damaged_judgement_is_told(tmp_path):
    model = model_of(keras.layers.BatchNormalization(), keras.layers.Dense(5))
    path = export_saved_model(
        model, tmp_path, examples=columns(64), allow_untrained_statistics=True
    ).path
    (path / "assets.extra" / "statistics.json").write_text("{}")
    with pytest.raises(InputError, match=r"statistics\.json is damaged"):
        verify_statistics(path)


@keras.saving.register_keras_serializable(package="tests")
class Subclassed(keras.Model):
    """A model that does not say what it takes."""

    def __init__(self, **options):
        super().__init__(**options)
        self.bn = BatchNormalization(name="bn")
        self.out = keras.layers.Dense(1)

    def call(self, x):
        return self.out(self.bn(x))


def test_a_file_of_a_model_that_does_not_say_what_it_takes_is_inspected_with_examples(tmp_path):
    model = Subclassed()
    model(columns(2)["x"])
    model.save(tmp_path / "model.keras")
    inspection = inspect_saved_model(tmp_path / "model.keras", examples=columns(64))
    assert not inspection.passed
    assert "layer 'bn' has in channel" in str(inspection)
    with pytest.raises(InputError, match="has not scored yet"):
        inspect_saved_model(tmp_path / "model.keras")


def test_json_holds_what_was_found():
    report = verify_statistics(model_of(BatchNormalization(name="bn")), columns(64))
    document = json.loads(report.to_json())
    assert (document["passed"], document["failed"]) == (False, True)
    assert document["statistics"]["layers"][0]["name"] == "bn"
    assert len(document["statistics"]["layers"][0]["mean_difference"]) == WIDTH
