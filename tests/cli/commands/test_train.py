import json

import click_rows as clicks
import keras
import numpy as np
import pytest
import tensorflow as tf
from command_line import run

from tfnorm import datasets
from tfnorm.models import DIEN


@pytest.fixture(autouse=True)
def eager():
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(autouse=True)
def small_log(monkeypatch):
    log = datasets.synthetic(train_size=600, test_size=400)
    monkeypatch.setattr(datasets, "synthetic", lambda **options: log)


def test_train_follows_the_recipe_and_reports_it(tmp_path, capsys):
    output, report = tmp_path / "dien.keras", tmp_path / "report.json"
    options = ["--model", "dien", "--epochs", 2, "--batch-size", 300, "--linear-scaling"]
    options += ["--warmup", 0.5, "--decay", "--patience", 1, "--dropout", 0.1, "--seed", 3]
    options += ["--embedding-l2", 1e-6, "--positive-weight", 2, "--checkpoints", tmp_path / "kept"]
    assert run("train", *options, "--output", output, "--json", report) == 0
    model = keras.models.load_model(output)
    assert isinstance(model, DIEN) and model.dropout == 0.1
    found = json.loads(report.read_text())
    assert found["model"] == str(output)
    assert (found["seed"], found["recipe"]["model"]) == (3, "dien")
    assert found["recipe"]["embedding_l2"] == 1e-6
    assert len(found["history"]["val_auc"]) == 2
    assert not list((tmp_path / "kept").iterdir())
    shown = capsys.readouterr().out
    for name, value in (("AUC", "auc"), ("GAUC", "gauc"), ("log loss", "log_loss")):
        assert name in shown and f"{found[value]:.4f}" in shown


@pytest.mark.slow
def test_a_log_of_ones_own_is_trained_on_and_leaves_examples_to_export_with(tmp_path):
    clicks.write_parquet(tmp_path / "train.parquet", clicks.rows(64))
    clicks.write_parquet(tmp_path / "test.parquet", clicks.rows(30, start=64))
    clicks.SCHEMA.save(tmp_path / "schema.json")
    files = ["--train", tmp_path / "train.parquet", "--test", tmp_path / "test.parquet"]
    output, examples = tmp_path / "din.keras", tmp_path / "examples.npz"
    given = ["--schema", tmp_path / "schema.json", *files, "--epochs", 1, "--batch-size", 32]
    assert run("train", *given, "--output", output, "--examples", examples) == 0
    model = keras.models.load_model(output)
    assert model.schema == clicks.SCHEMA
    with np.load(examples) as kept:
        assert {name: len(array) for name, array in kept.items()} == dict.fromkeys(model.input, 30)
        assert kept["user"][0] == b"u1"
    directory = tmp_path / "exports"
    assert run("export", output, directory, "--examples", examples) == 0
    assert run("verify", directory) == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--examples", "examples.txt"], "accepted: a file that ends in .npz"),
        (["--schema", "none.json"], "--schema needs --train"),
        (["--output", "model.h5"], "accepted: a file that ends in .keras"),
        (["--dataset", "amazon"], "needs --data-dir"),
        (["--dataset", "amazon", "--data-dir", "nowhere"], "needs --category"),
        (["--model", "dnn"], "'dnn' is not one of 'din', 'dien', 'base'"),
        (["--patience", -1], "patience is -1; it must be 0 or more"),
        (["--warmup", 2], "warmup is 2.0; it must be from 0 to 1"),
        (["--dropout", 1], "dropout is 1.0"),
        (["--validation-share", 0.9999, "--patience", 1], "both parts need some"),
    ],
)
def test_bad_recipes_get_one_line_and_exit_status_2(
    arguments, reason, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert run("train", *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("tfnorm: ") and reason in error
    assert len(error.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())
