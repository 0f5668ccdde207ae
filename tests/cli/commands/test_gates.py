"""The three gates: what stops a model whose moving statistics are those of a training that was too short."""

import json
from xml.etree import ElementTree

import keras
import numpy as np
import pytest
from command_line import run

import tfnorm
from tfnorm.statistics import recalibrate_statistics

pytestmark = pytest.mark.slow

ITEMS, LENGTH = 60, 6


def clicks(rows, seed):
    rng = np.random.default_rng(seed)
    return {
        "item": rng.integers(1, ITEMS, rows).astype(np.int32),
        "history": rng.integers(1, ITEMS, (rows, LENGTH)).astype(np.int32),
        "profile": (rng.normal(size=(rows, 6)) * 3 + 2).astype(np.float32),
    }


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A model like a DIN with the layers' defaults after 120 steps, as files; and it recalibrated."""
    folder = tmp_path_factory.mktemp("gates")
    keras.utils.set_random_seed(0)
    shapes = {"item": (), "history": (LENGTH,), "profile": (6,)}
    inputs = {
        name: keras.Input(shape, name=name, dtype="float32" if name == "profile" else "int32")
        for name, shape in shapes.items()
    }
    embedding = keras.layers.Embedding(ITEMS, 8)
    item, history = embedding(inputs["item"]), embedding(inputs["history"])
    weights = keras.layers.Softmax()(keras.layers.Dot((2, 1))([history, item]))
    interest = keras.layers.Dot((1, 1))([weights, history])
    x = keras.layers.Concatenate()([item, interest, inputs["profile"]])
    x = tfnorm.BatchNormalization(name="features")(x)
    for units in (16, 8):
        x = tfnorm.Dice(name=f"dice_{units}")(keras.layers.Dense(units)(x))
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(x))
    model.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy", jit_compile=False)
    rows = clicks(120 * 64, 1)
    model.fit(rows, (rows["item"] + rows["history"][:, 0]) % 2, batch_size=64, verbose=0)
    np.savez(folder / "examples.npz", **clicks(128, 2))
    model.save(folder / "short.keras")
    model.export(str(folder / "keras_export"), verbose=False)
    forced = ["--examples", folder / "examples.npz", "--allow-misfit-statistics"]
    assert run("export", folder / "short.keras", folder / "forced", *forced) == 0
    assert run("export", folder / "short.keras", folder / "unfolded", "--no-fold", *forced) == 0
    recalibrate_statistics(model, clicks(4000, 3))
    model.save(folder / "right.keras")
    model.export(str(folder / "right_keras_export"), verbose=False)
    return folder


@pytest.fixture
def examples(files):
    return ["--examples", files / "examples.npz"]


def test_the_export_stops_it_and_lets_it_go_once_it_is_recalibrated(
    files, examples, tmp_path, capsys
):
    assert run("export", files / "short.keras", tmp_path, *examples) == 2
    said = capsys.readouterr().err
    assert "do not fit the 128 examples: layer 'features' has in channel" in said
    assert "tfnorm recalibrate MODEL --examples FILE --output NEW" in said
    assert run("export", files / "right.keras", tmp_path, *examples) == 0


def gated(gate, *arguments):
    """The exit status of a gate; of all sizes of batches one is tried."""
    return run(gate, *arguments, *(["--batch-size", 7] if gate == "verify" else []))


SHORT = ["short.keras", "keras_export", "forced", "unfolded"]


# The gates ask the same of a file, so that a form of each kind is enough for two of them.
@pytest.mark.parametrize(
    ("gate", "target"),
    [("statistics", target) for target in SHORT]
    + [(gate, target) for gate in ("inspect", "verify") for target in ("short.keras", "forced")],
)
def test_each_gate_stops_it_in_every_form(gate, target, files, examples, capsys):
    options = [] if target in ("forced", "unfolded") else examples
    assert gated(gate, files / target, *options) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "the moving statistics do not fit the 128 examples: layer 'features' has in channel" in said
    )
    assert "where the examples have" in said
    assert "tfnorm recalibrate MODEL --examples FILE --output NEW" in said


@pytest.mark.parametrize(
    ("gate", "target"),
    [
        ("statistics", "right.keras"),
        ("statistics", "right_keras_export"),
        ("inspect", "right.keras"),
        ("verify", "right_keras_export"),
    ],
)
def test_each_gate_lets_it_go_once_it_is_recalibrated(gate, target, files, examples, capsys):
    assert gated(gate, files / target, *examples) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "PASSED" in said and "fit the 128 examples" in said


@pytest.mark.parametrize("gate", ["inspect", "verify"])
def test_a_user_may_go_on(gate, files, examples, capsys):
    assert gated(gate, files / "keras_export", *examples, "--allow-misfit-statistics") == 0
    said = capsys.readouterr().out.lower()
    assert "warning" in said and "do not fit" in said


@pytest.mark.parametrize("target", ["short.keras", "keras_export"])
def test_without_examples_nothing_is_looked_at_nor_claimed(target, files, capsys):
    assert run("inspect", files / target) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "the moving statistics were not looked at: there are no examples" in said
    assert gated("verify", files / target, "--random", "8") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "were not looked at: the examples were drawn at random" in said


def test_random_examples_do_not_hide_what_the_export_says(files, capsys):
    assert gated("verify", files / "forced", "--random", "8") == 1
    assert "do not fit the 128 examples" in capsys.readouterr().out


def test_the_reports_say_what_was_wrong(files, examples, tmp_path, capsys):
    reports = ["--json", tmp_path / "r.json", "--junit", tmp_path / "r.xml"]
    assert gated("verify", files / "keras_export", *examples, *reports) == 1
    document = json.loads((tmp_path / "r.json").read_text())
    assert document["passed"] is False
    assert all(composition["passed"] for composition in document["compositions"])
    assert document["statistics"]["verdict"] == "off"
    assert tfnorm.verify.InvarianceReport.from_dict(document).misfit
    (failure,) = ElementTree.parse(tmp_path / "r.xml").getroot().iter("failure")
    assert "do not fit" in failure.get("message") and "FAILED" in failure.text
    assert run("inspect", files / "keras_export", *examples, "--json", tmp_path / "i.json") == 1
    (error,) = [
        finding
        for finding in json.loads((tmp_path / "i.json").read_text())["findings"]
        if finding["severity"] == "error"
    ]
    assert error["layer"] == "features" and "recalibrate" in error["advice"]
