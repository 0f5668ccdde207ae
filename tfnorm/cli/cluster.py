"""The options of commands that can do their work on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tfnorm.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


def cluster_options(command: _Decorated) -> _Decorated:
    """Those of `on_cluster`."""
    for option in (
        click.option(
            "--skip-damaged",
            is_flag=True,
            help="With --ray, leave out a file that can't be read or doesn't fit, and say so.",
        ),
        click.option(
            "--workers",
            type=int,
            show_default="one for each core",
            help="With --ray, how many processes work.",
        ),
        click.option(
            "--ray",
            "address",
            metavar="ADDRESS",
            help="Have the files read by workers of a Ray cluster: local starts one here; auto, HOST:PORT or "
            "ray://HOST:PORT is one that runs.",
        ),
    ):
        command = option(command)
    return command


def on_cluster(options: dict[str, Any]) -> dict[str, Any] | None:
    """What the options say of a cluster, as `tfnorm.cluster` takes it; None where none is named.

    They are taken out of `options`.
    """
    from tfnorm.cli.custom import custom_setup

    found = {name: options.pop(name) for name in ("address", "workers", "skip_damaged")}
    if found["address"] is not None:
        return {**found, "setup": custom_setup(click.get_current_context())}
    for option, given in (
        ("--workers", found["workers"]),
        ("--skip-damaged", found["skip_damaged"]),
    ):
        if given:
            raise InputError(f"{option} needs --ray, which says where the workers are")
    return None


def refuse_on_cluster(instead: Mapping[str, str], **given: Any) -> None:
    """Raise InputError where an option is given that has no meaning on a cluster.

    Args:
        instead: name of an option -> what to do, where there is more to say than to leave it out.
        **given: name of an option -> what it is given.
    """
    for name, value in given.items():
        if value:
            option = f"--{name.replace('_', '-')}"
            accepted = instead.get(name, "one of them")
            raise InputError(f"{option} is given with --ray; accepted: {accepted}")


def add_skipped(table: Table, skipped: Mapping[str, str]) -> None:
    """How many files were left out, and of the first few why."""
    if skipped:
        table.add_row("files", f"{len(skipped)} left out")
    add_files(table, "skipped", list(skipped.values()))


def add_files(table: Table, label: str, files: Sequence[str]) -> None:
    """The first few of what may be thousands."""
    for file in files[:3]:
        table.add_row(label, file)
    if len(files) > 3:
        table.add_row(label, f"and {len(files) - 3} files more")
