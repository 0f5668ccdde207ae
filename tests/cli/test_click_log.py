from pathlib import Path

import click
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
