"""Code of one's own that a `.keras` file needs."""

import sys
import textwrap

import keras
import numpy as np
import pytest
from command_line import run
from releases import release

SOURCE = """
import keras

{register}
class Doubled(keras.layers.Layer):
    def call(self, x):
        return 2 * x
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a model, examples and the modules that its layer is in; nothing of it imported."""
    modules = {
        "registers_doubled": "@keras.saving.register_keras_serializable(package='mine')",
        "has_doubled": "",
    }
    for name, register in modules.items():
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(SOURCE.format(register=register)))
    (tmp_path / "fails.py").write_text("raise RuntimeError('not today')")
    (tmp_path / "exits.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    known = dict(keras.saving.get_custom_objects())
    yield tmp_path
    for name in (*modules, "fails"):
        sys.modules.pop(name, None)
    keras.saving.get_custom_objects().clear()
    keras.saving.get_custom_objects().update(known)


def save(folder, module):
    found = __import__(module)
    inputs = keras.Input((3,), name="x")
    model = keras.Model(inputs, keras.layers.Dense(1)(found.Doubled()(inputs)))
    model.save(folder / "m.keras")
    np.savez(folder / "x.npz", x=np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32))
    for name in ("mine>Doubled", "Doubled"):
        keras.saving.get_custom_objects().pop(name, None)
    sys.modules.pop(module)


KERAS_IMPORTS = release(keras) < (3, 9)
"""Whether Keras itself imports whatever module a file names."""

VERIFY = ("verify", "m.keras", "--examples", "x.npz", "--batch-size", 4)


@pytest.mark.parametrize(
    ("module", "options"),
    [
        ("registers_doubled", ["--import", "registers_doubled"]),
        ("has_doubled", ["--custom-object", "Doubled=has_doubled:Doubled"]),
    ],
)
def test_what_is_named_is_imported_and_nothing_otherwise(folder, module, options, capsys):
    save(folder, module)
    if KERAS_IMPORTS:
        assert run(*VERIFY) == 0
        sys.modules.pop(module)
    else:
        assert run(*VERIFY) == 2
        assert "m.keras needs the class" in capsys.readouterr().err
    assert module not in sys.modules
    assert run(*VERIFY, *options) == 0
    assert module in sys.modules


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--import", "nowhere"], "--import nowhere can't be imported: No module named 'nowhere'"),
        (["--import", "fails"], "--import fails can't be imported: not today"),
        (["--import", "exits"], "--import exits can't be imported: SystemExit"),
        (
            ["--custom-object", "Doubled"],
            "--custom-object is 'Doubled'; accepted: NAME=MODULE:CLASS",
        ),
        (["--custom-object", "A=has_doubled:B"], "module 'has_doubled' has no class 'B'"),
    ],
)
def test_what_can_not_be_imported_is_told_in_one_line(folder, options, reason, capsys):
    assert run(*VERIFY, *options) == 2
    error = capsys.readouterr().err
    assert error.startswith("tfnorm: ") and reason in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "command", ["verify", "replay", "export", "recalibrate", "statistics", "inspect"]
)
def test_each_command_that_loads_a_keras_file_has_both(command, capsys):
    assert run(command, "--help") == 0
    said = capsys.readouterr().out
    assert "--import MODULE" in said and "--custom-object NAME=MODULE:CLASS" in said
