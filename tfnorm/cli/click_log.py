"""The options that name a click log, and the log that they name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tfnorm.errors import InputError

if TYPE_CHECKING:
    from tfnorm.datasets import ClickLog

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--dataset",
        type=click.Choice(["synthetic", "amazon"]),
        default="synthetic",
        help="The click log.",
    ),
    click.option(
        "--data-dir",
        type=click.Path(path_type=Path),
        help="amazon: the folder with the category's two files.",
    ),
    click.option("--category", help="amazon: the category, such as Beauty."),
    click.option("--download", is_flag=True, help="amazon: fetch the files into --data-dir first."),
)


def click_log_options(command: _Decorated) -> _Decorated:
    """Those of `load_click_log`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def load_click_log(options: dict[str, Any], seed: int) -> ClickLog:
    """The click log that the options name, which are taken out of `options`."""
    from tfnorm import datasets

    name, directory, category = (options.pop(k) for k in ("dataset", "data_dir", "category"))
    download = options.pop("download")
    if name == "synthetic":
        return datasets.synthetic(seed=seed)
    for option, value in (("--data-dir", directory), ("--category", category)):
        if value is None:
            raise InputError(f"--dataset {name} needs {option}")
    if download:
        datasets.download(directory, category)
    return datasets.amazon(directory, category, seed=seed)
