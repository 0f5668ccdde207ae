from pathlib import Path

import click
import click_rows as clicks
import pytest
from click.testing import CliRunner

from tfnorm import datasets
from tfnorm.cli.click_log import click_log_options, load_click_log
from tfnorm.errors import InputError


@pytest.fixture
def calls(monkeypatch):
    """What is asked of `datasets`, whose functions give their names."""
    made = []
    for name in ("synthetic", "amazon", "download"):

        def function(*arguments, name=name, **options):
            made.append((name, *arguments, options))
            return name

        monkeypatch.setattr(datasets, name, function)
    monkeypatch.setattr(datasets, "as_splits", lambda log: log)
    return made


def load(*arguments, seed=7):
    @click.command()
    @click_log_options
    @click.option("--epochs", default=1)
    def command(**options):
        click.echo(load_click_log(options, seed))
        click.echo(sorted(options))

    return CliRunner().invoke(command, arguments, catch_exceptions=False).output.splitlines()


def test_the_synthetic_log_is_the_default_and_drawn_by_the_seed(calls):
    assert load() == ["synthetic", "['epochs']"]
    assert calls == [("synthetic", {"seed": 7})]


AMAZON = ("--dataset", "amazon", "--data-dir", "data", "--category", "Beauty")


def test_amazon_is_read_from_the_folder_of_its_category(calls):
    assert load(*AMAZON) == ["amazon", "['epochs']"]
    assert calls == [("amazon", Path("data"), "Beauty", {"seed": 7})]


def test_amazon_is_fetched_first_where_that_is_asked_for(calls):
    load(*AMAZON, "--download")
    assert [call[0] for call in calls] == ["download", "amazon"]
    assert calls[0][1:3] == (Path("data"), "Beauty")


@pytest.mark.parametrize("missing", ["--data-dir", "--category"])
def test_amazon_needs_its_folder_and_category(calls, missing):
    given = [*AMAZON]
    del given[given.index(missing) : given.index(missing) + 2]
    with pytest.raises(InputError, match=f"--dataset amazon needs {missing}"):
        load(*given)
    assert not calls


def test_a_schema_names_a_log_of_files(tmp_path):
    clicks.SCHEMA.save(tmp_path / "march.json")
    for name, start in (("a", 0), ("b", 8), ("c", 16)):
        clicks.write_parquet(tmp_path / f"{name}.parquet", clicks.rows(8, start=start))
    given = {"dataset": "synthetic", "data_dir": None, "category": None, "download": False}
    files = {
        "train_files": (str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")),
        "test_files": (str(tmp_path / "c.*"),),
        "validation_files": (),
    }
    options = {**given, "schema": tmp_path / "march.json", "nulls": "drop", "epochs": 3, **files}
    splits = load_click_log(options, 0)
    assert options == {"epochs": 3}
    assert (splits.name, len(splits.train), len(splits.test)) == ("march", 16, 8)
    assert splits.validation is None and splits.train.nulls == "drop"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--train", "x.parquet"], "--train needs --schema"),
        (["--schema", "s.json", "--train", "x.parquet"], "--schema needs --test"),
        (["--schema", "s.json", "--test", "x.parquet"], "--schema needs --train"),
        (
            ["--schema", "s.json", "--train", "x", "--test", "x"],
            "s.json can't be read: No such file",
        ),
    ],
)
def test_half_a_log_is_refused(calls, arguments, reason):
    with pytest.raises(InputError, match=reason):
        load(*arguments)
