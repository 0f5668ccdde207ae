import json
import sys

import keras
import numpy as np
import pytest
from apart import apart, printed
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


@pytest.mark.slow
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


def test_what_it_rests_on_is_shown_and_written_as_json(files, tmp_path, capsys):
    model, examples, _ = files
    report = tmp_path / "report.json"
    options = ["--examples", examples, "--output", tmp_path / "new.keras", "--json", report]
    assert run("recalibrate", model, *options) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "2,500 examples, 1 pass; the worst mean, in layer 'bn', has a standard error" in shown
    written = json.loads(report.read_text())
    assert (written["examples"], written["passes"]) == (2500, 1)
    assert written["standard_error"] == pytest.approx(1 / np.sqrt(2499), rel=1e-3)
    assert written["layers"][0]["mean"] == pytest.approx((5 / 2) / 2, rel=0.1)


@pytest.mark.slow
def test_any_format_gives_the_same_statistics(files, tmp_path):
    model, _, x = files
    rows = x[:1500]
    files = {
        "x.jsonl": [json.dumps({"x": row, "clicked": 1}) for row in rows.tolist()],
        "x.csv": ["clicked,x", *("1," + "|".join(map(repr, row)) for row in rows.tolist())],
    }
    for name, lines in files.items():
        (tmp_path / name).write_text("\n".join(lines))
        options = ["--examples", tmp_path / name, "--output", tmp_path / "new.keras"]
        assert run("recalibrate", model, *options) == 0
        layer = keras.models.load_model(tmp_path / "new.keras").get_layer("bn")
        np.testing.assert_allclose(layer.moving_mean, rows.mean(0, float), rtol=1e-6)
        np.testing.assert_allclose(layer.moving_variance, rows.var(0, float), rtol=1e-5)


_MEASURED = """
import resource, sys
from tfnorm.cli import main
folder, largest = sys.argv[1], []
for name in ("small", "large"):
    try:
        main(["recalibrate", f"{folder}/wide.keras", "--examples", f"{folder}/{name}.npz",
              "--output", f"{folder}/new.keras"])
    except SystemExit as ended:
        assert ended.code == 0
    largest.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(*largest)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux alone")
def test_a_file_larger_than_what_may_be_held_is_streamed(tmp_path):
    """A file of 120 MB takes less than half of that beyond what one of 12 MB has taken."""
    inputs = keras.Input((1500, 1), name="x")
    largest = keras.layers.GlobalMaxPooling1D()(inputs)
    keras.Model(inputs, BatchNormalization()(largest)).save(tmp_path / "wide.keras")
    for name, rows in (("small", 2_000), ("large", 20_000)):
        np.savez(tmp_path / f"{name}.npz", x=np.broadcast_to(np.float32(1), (rows, 1500, 1)))
    assert (tmp_path / "large.npz").stat().st_size > 120e6
    (shown,) = apart(printed, (_MEASURED, str(tmp_path)))
    small, large = map(int, shown.split()[-2:])
    assert large - small < 60e3
