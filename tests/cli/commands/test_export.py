import json
import xml.etree.ElementTree as ET

import keras
import numpy as np
import pytest
import tensorflow as tf
from command_line import run

from tfnorm.examples.records import records
from tfnorm.session import SavedModel


def test_an_export_can_be_asked_for_the_same_bits_in_every_batch(
    clean_file, few_examples, exported, folder
):
    directory = folder / "bitwise"
    options = ["--examples", few_examples, "--batch-invariance", "bitwise"]
    assert run("export", clean_file, directory, *options) == 0
    assert run("verify", directory, "--bitwise") == 0
    assert run("verify", exported, "--bitwise") == 1


@pytest.mark.slow
def test_the_whole_of_an_export_is_had_at_once(
    clean_file, few_examples, tmp_path, capsys, exported
):
    spec = tmp_path / "records.json"
    form = {"kind": "FixedLenFeature", "shape": [4], "dtype": "float32", "default_value": [0] * 4}
    spec.write_text(json.dumps({"x": form}))
    options = ["--signature", "tf_example", "--signature", "regress", "--feature-spec", spec]
    options += ["--warmup-batch-size", 1, "--warmup-batch-size", 8, "--examples", few_examples]
    reports = {kind: tmp_path / f"verify.{kind}" for kind in ("json", "junit", "html")}
    options += [part for kind, file in reports.items() for part in (f"--{kind}", file)]
    assert run("export", clean_file, tmp_path / "all", *options) == 0
    printed = capsys.readouterr().out
    assert "PASSED" in printed and "tf_example, regress" in printed
    assert json.loads(reports["json"].read_text())["passed"]
    assert ET.parse(reports["junit"]).getroot().get("failures") == "0"
    assert "<html" in reports["html"].read_text()
    warmup = tmp_path / "all" / "1" / "assets.extra" / "tf_serving_warmup_requests"
    assert sum(1 for _ in tf.data.TFRecordDataset(str(warmup))) == 2 * 3

    x = np.load(few_examples)["x"][:3]
    # What a record lacks is as the specification has it.
    written = [*records({"x": x}), tf.train.Example()]
    serialized = np.array([record.SerializeToString() for record in written], object)
    with SavedModel(exported) as plain, SavedModel(tmp_path / "all") as saved:
        expected = plain.run({"x": np.concatenate([x, np.zeros((1, 4), x.dtype)])})["score"]
        scores = saved.run({"examples": serialized}, signature="tf_example")["score"]
        values = saved.run({"inputs": serialized}, signature="regress")["outputs"]
    np.testing.assert_array_equal(scores, expected)
    np.testing.assert_array_equal(values, expected[:, 0])


def test_an_export_that_fails_verification_leaves_its_report_and_no_version(tmp_path, capsys):
    model = tmp_path / "dependent.keras"
    inputs = keras.Input((4,), name="x")
    keras.Model(inputs, inputs - keras.ops.mean(inputs, axis=0, keepdims=True)).save(model)
    examples, report = tmp_path / "examples.npz", tmp_path / "verify.json"
    np.savez(examples, x=np.random.default_rng(0).standard_normal((40, 4)).astype(np.float32))
    options = ["--examples", examples, "--json", report]
    assert run("export", model, tmp_path / "exports", *options) == 1
    assert "FAILED" in capsys.readouterr().out
    assert json.loads(report.read_text())["passed"] is False
    assert not (tmp_path / "exports").exists()


def test_a_verification_needs_examples(clean_file, tmp_path, capsys):
    assert run("export", clean_file, tmp_path / "exports", "--verify") == 2
    assert "need --examples" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_name_in_a_deployment_needs_a_deployment(clean_file, tmp_path, capsys):
    assert run("export", clean_file, tmp_path / "exports", "--name", "ranker") == 2
    assert "it needs --serving-config" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nowhere.keras", "exports"], "nowhere.keras"),
        (["m.keras", "exports", "--batch-invariance", "exact"], "'exact' is not one of"),
    ],
)
def test_bad_input_gets_one_line_and_exit_status_2(
    arguments, reason, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert run("export", *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("tfnorm: ") and reason in error
    assert len(error.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())
