"""The options that name a click log, and the log that they name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tfnorm.errors import InputError

if TYPE_CHECKING:
    from tfnorm.datasets import Splits

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])

_FILES = "Parquet, TFRecord of tf.Example, CSV or JSON lines: a path, a folder or a quoted pattern."
_OPTIONS = (
    click.option(
        "--dataset",
        type=click.Choice(["synthetic", "amazon"]),
        default="synthetic",
        help="A click log that is made up, or a published one, to use where there is no --schema.",
    ),
    click.option(
        "--data-dir",
        type=click.Path(path_type=Path),
        help="The folder with the two files of the amazon category.",
    ),
    click.option("--category", help="The amazon category, such as Beauty."),
    click.option("--download", is_flag=True, help="Fetch the amazon files into --data-dir first."),
    click.option(
        "--schema",
        type=click.Path(path_type=Path),
        help="The features of your own log, as tfnorm schema drafts them; it needs --train and --test.",
    ),
    click.option(
        "--train",
        "train_files",
        multiple=True,
        metavar="FILES",
        help=f"What to train on. {_FILES} It may be repeated.",
    ),
    click.option(
        "--test",
        "test_files",
        multiple=True,
        metavar="FILES",
        help="What to test on; files as for --train.",
    ),
    click.option(
        "--validation",
        "validation_files",
        multiple=True,
        metavar="FILES",
        show_default="a share of the users of --train",
        help="What early stopping measures the AUC on; files as for --train.",
    ),
    click.option(
        "--nulls",
        type=click.Choice(["error", "missing", "drop"]),
        default="error",
        help="What is done with a null: it is an error, a missing value, or its row is dropped.",
    ),
)


def click_log_options(command: _Decorated) -> _Decorated:
    """Those of `load_click_log`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def load_click_log(options: dict[str, Any], seed: int) -> Splits:
    """The click log that the options name, which are taken out of `options`."""
    from tfnorm import datasets

    name, directory, category = (options.pop(k) for k in ("dataset", "data_dir", "category"))
    download, schema, nulls = (options.pop(k) for k in ("download", "schema", "nulls"))
    files = {k: options.pop(f"{k}_files") for k in ("train", "test", "validation")}
    if schema is not None:
        return _of_files(schema, files, nulls)
    for split, given in files.items():
        if given:
            raise InputError(f"--{split} needs --schema, which says what its columns are")
    if name == "synthetic":
        return datasets.as_splits(datasets.synthetic(seed=seed))
    for option, value in (("--data-dir", directory), ("--category", category)):
        if value is None:
            raise InputError(f"--dataset {name} needs {option}")
    if download:
        datasets.download(directory, category)
    return datasets.as_splits(datasets.amazon(directory, category, seed=seed))


def _of_files(path: Path, files: dict[str, tuple[str, ...]], nulls: str) -> Splits:
    from tfnorm import datasets
    from tfnorm.schema import Schema

    for split in ("train", "test"):
        if not files[split]:
            raise InputError(f"--schema needs --{split}, the files of that part of the log")
    schema = Schema.load(path)
    train, test, validation = (
        datasets.read(list(files[split]), schema, nulls=nulls) if files[split] else None
        for split in ("train", "test", "validation")
    )
    assert train is not None and test is not None
    return datasets.Splits(path.stem, train, test, validation)
