import keras
import numpy as np
import pytest
from command_line import run

from tfnorm.layers import BatchNormalization


@pytest.fixture
def files(tmp_path):
    """A model with half of its initial statistics, and what it was trained on."""
    x = np.random.default_rng(0).normal(5, 2, (2500, 12)).astype(np.float32)
    inputs = keras.Input((12,), name="x")
    model = keras.Model(inputs, keras.layers.Dense(1)(BatchNormalization(name="bn")(inputs)))
    layer = model.get_layer("bn")
    layer.moving_mean.assign(x.mean(0) / 2)
    layer.moving_variance.assign((x.var(0) + 1) / 2)
    model.save(tmp_path / "half.keras")
    np.savez(tmp_path / "x.npz", x=x)
    return tmp_path / "half.keras", tmp_path / "x.npz", x


def test_what_the_export_refuses_is_exported_when_recalibrated(files, tmp_path, capsys):
    model, examples, x = files
    assert run("export", model, tmp_path / "exports", "--examples", examples) == 2
    error = capsys.readouterr().err
    assert "layer 'bn'" in error and "tfnorm recalibrate MODEL" in error
    new = tmp_path / "new.keras"
    assert run("recalibrate", model, "--examples", examples, "--output", new) == 0
    shown = capsys.readouterr().out
    assert "2,500" in shown and "bn: at most" in shown
    layer = keras.models.load_model(new).get_layer("bn")
    np.testing.assert_allclose(layer.moving_mean, x.mean(0, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(layer.moving_variance, x.var(0, dtype=np.float64), rtol=1e-5)
    assert run("export", new, tmp_path / "exports", "--examples", examples) == 0
    assert "fit the 2,500 examples" in capsys.readouterr().out


def test_the_export_shows_a_warning_where_misfit_statistics_are_allowed(files, tmp_path, capsys):
    model, examples, _ = files
    options = ["--examples", examples, "--allow-misfit-statistics"]
    assert run("export", model, tmp_path / "exports", *options) == 0
    assert "WARNING: they do not fit" in capsys.readouterr().out


def test_the_output_is_a_keras_file(files, tmp_path, capsys):
    model, examples, _ = files
    options = ["--examples", examples, "--output", tmp_path / "new.h5"]
    assert run("recalibrate", model, *options) == 2
    assert "ends in .keras" in capsys.readouterr().err
