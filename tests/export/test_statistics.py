"""The export refuses moving statistics that do not fit the examples."""

import json

import keras
import numpy as np
import pytest

from tfnorm.assets import statistics_file
from tfnorm.errors import InputError
from tfnorm.export import export_saved_model
from tfnorm.pipeline import deliver
from tfnorm.statistics import recalibrate_statistics


def columns(rows, seed):
    x = np.random.default_rng(seed).normal(size=(rows, 12))
    return {"x": (x * np.geomspace(0.1, 10, 12) + np.linspace(-3, 3, 12)).astype(np.float32)}


@pytest.fixture(scope="module")
def short():
    """A model that the layers' defaults were trained with for 120 steps."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((12,), name="x")
    x = keras.layers.Dense(16)(keras.layers.BatchNormalization(name="columns")(inputs))
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(name="hidden")(x))
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(x))
    model.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy")
    rows = columns(120 * 32, 0)
    model.fit(rows, rows["x"][:, 0] > -3, batch_size=32, verbose=0)
    return model


@pytest.fixture(scope="module")
def right(short):
    model = keras.models.clone_model(short)
    model.set_weights(short.get_weights())
    recalibrate_statistics(model, columns(4000, 1))
    return model


@pytest.mark.slow
def test_a_short_training_is_refused_by_layer_channel_and_command(short, tmp_path):
    with pytest.raises(InputError) as error:
        export_saved_model(short, tmp_path / "ranker", examples=columns(512, 2))
    said = str(error.value)
    assert "the moving statistics do not fit the 512 examples: layer '" in said
    assert "has in channel" in said
    assert "tfnorm recalibrate MODEL --examples FILE --output NEW" in said
    assert not (tmp_path / "ranker").exists()


@pytest.mark.slow
def test_it_is_delivered_where_that_is_allowed_and_its_own_files_say_so(short, tmp_path):
    examples = columns(64, 2)
    with pytest.raises(InputError, match="do not fit the 64 examples"):
        deliver(short, tmp_path, examples)
    delivered = deliver(short, tmp_path, examples, allow_misfit_statistics=True)
    assert delivered.export.statistics.verdict == "off"
    kept = json.loads(statistics_file(delivered.export.path).read_text())
    assert kept["verdict"] == "off"
    assert kept["text"].startswith("the moving statistics do not fit the 64 examples")


@pytest.mark.slow
def test_recalibrated_it_passes_and_is_said_to_fit(right, tmp_path):
    report = export_saved_model(right, tmp_path, examples=columns(512, 2))
    assert report.statistics.verdict == "fits"
    assert str(report.statistics) == "fit the 512 examples"
    assert json.loads(statistics_file(report.path).read_text())["verdict"] == "fits"


def test_without_examples_it_could_not_look(short, tmp_path):
    report = export_saved_model(short, tmp_path)
    assert report.statistics is None
    assert not statistics_file(report.path).exists()


def test_allowing_untrained_statistics_does_not_allow_trained_ones_that_are_off(short, tmp_path):
    with pytest.raises(InputError, match="do not fit"):
        export_saved_model(
            short, tmp_path, examples=columns(64, 2), allow_untrained_statistics=True
        )


@pytest.mark.slow
def test_averaged_weights_are_exported_with_statistics_recalibrated_for_them(tmp_path):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((12,), name="x")
    x = keras.layers.Dense(16)(keras.layers.BatchNormalization()(inputs))
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(x))
    optimizer = keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.95)
    model.compile(optimizer, "binary_crossentropy")
    rows = columns(120 * 32, 0)
    model.fit(rows, rows["x"][:, 0] > -3, batch_size=32, verbose=0)
    averages = [
        average.numpy()
        for average in optimizer.variables
        if average.path.rpartition("/")[2].endswith("_average")
    ]
    assert len(averages) == len(model.trainable_variables)
    # `fit` ends with the averages in the place of the weights.
    for weight, average in zip(model.trainable_variables, averages, strict=True):
        np.testing.assert_array_equal(weight, average)
    examples = columns(256, 2)
    with pytest.raises(InputError, match="do not fit"):
        export_saved_model(model, tmp_path, examples=examples)
    recalibrate_statistics(model, columns(4000, 1))
    report = export_saved_model(model, tmp_path, examples=examples)
    assert report.statistics.verdict == "fits"
    for weight, average in zip(model.trainable_variables, averages, strict=True):
        np.testing.assert_array_equal(weight, average)
