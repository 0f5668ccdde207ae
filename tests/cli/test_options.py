"""Options that are made of a dataclass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import click
import pytest
from click.testing import CliRunner

from tfnorm.cli.options import options_of, take
from tfnorm.errors import InputError


@dataclass(frozen=True)
class Trip:
    """How to go somewhere.

    Args:
        vehicle: `bike` or `boat`; how the trip is made.
        max_days: how long it may take, and not
            longer; None for no limit.
        speed: kilometres an hour.
        at_night: go on in the dark.
        map_file: a file with the way; None to ask for it.
        names: who comes along.
        insured: pay for what may break.
    """

    vehicle: Literal["bike", "boat"] = "bike"
    max_days: int | None = None
    speed: float = 12.5
    at_night: bool = False
    map_file: str | Path | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    insured: bool = True


@click.command(context_settings={"show_default": True})
@options_of(Trip)
@click.option("--season")
def go(**options):
    click.echo(repr(take(Trip, options)))
    click.echo(sorted(options))


@click.command()
@options_of(Trip, "speed", "vehicle")
def ride(**options):
    click.echo(repr(take(Trip, options)))


def run(command, *arguments):
    return CliRunner().invoke(command, arguments, catch_exceptions=False, env={"COLUMNS": "200"})


def test_what_is_on_by_default_can_be_turned_off():
    assert "insured=False" in run(go, "--no-insured").output
    assert "insured=True" in run(go, "--insured").output


def test_what_is_not_given_is_the_dataclass_s_own_default():
    assert run(go).output.splitlines() == [repr(Trip()), "['season']"]


def test_each_field_has_an_option_of_its_type():
    arguments = ["--vehicle", "boat", "--max-days", "3", "--speed", "8", "--at-night"]
    arguments += ["--map-file", "way.gpx", "--name", "Ann: 12", "--name", "Bob : a: b"]
    expected = Trip("boat", 3, 8.0, True, Path("way.gpx"), {"Ann": "12", "Bob": "a: b"})
    assert run(go, *arguments).output.splitlines()[0] == repr(expected)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--vehicle", "car"], "'car' is not one of 'bike', 'boat'"),
        (["--max-days", "x"], "'x' is not a valid integer"),
        (["--speed", "x"], "'x' is not a valid float"),
    ],
)
def test_a_value_of_another_type_is_refused(arguments, reason):
    found = run(go, *arguments)
    assert found.exit_code == 2 and reason in found.output


def test_a_pair_without_a_colon_is_refused():
    with pytest.raises(InputError, match="--name is 'Ann'; accepted: 'NAME: VALUE'"):
        run(go, "--name", "Ann")


def test_the_help_is_that_of_the_docstring():
    shown = " ".join(run(go, "--help").output.split())
    assert (
        " ".join(
            [
                "Options:",
                "--vehicle [bike|boat] bike or boat; how the trip is made. [default: bike]",
                "--max-days INTEGER How long it may take, and not longer. [default: (no limit)]",
                "--speed FLOAT Kilometres an hour. [default: 12.5]",
                "--at-night Go on in the dark.",
                "--map-file PATH A file with the way. [default: (ask for it)]",
                "--name 'NAME: VALUE' Who comes along. It may be repeated.",
                "--insured / --no-insured Pay for what may break. [default: insured]",
                "--season TEXT",
            ]
        )
        in shown
    )


def test_only_the_fields_that_are_named_have_options():
    assert run(ride, "--speed", "5").output.strip() == repr(Trip(speed=5.0))
    assert run(ride, "--at-night").exit_code == 2
