"""Click logs: read from files a part at a time, or in memory, as NumPy arrays and as tf.data."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from tfnorm.datasets.amazon import amazon
from tfnorm.datasets.click_log import ClickLog, Examples
from tfnorm.datasets.draft import draft
from tfnorm.datasets.logs.arrays import arrays, as_logs
from tfnorm.datasets.logs.log import Log
from tfnorm.datasets.logs.parquet import parquet
from tfnorm.datasets.logs.read import read
from tfnorm.datasets.logs.text import csv, jsonl
from tfnorm.datasets.logs.tf_records import tfrecord
from tfnorm.datasets.negatives import with_negatives
from tfnorm.datasets.s3rec import download
from tfnorm.datasets.split import split_by_user
from tfnorm.datasets.splits import Splits, as_splits
from tfnorm.datasets.standardize import standardize
from tfnorm.datasets.synthetic import synthetic
from tfnorm.errors import InputError

__all__ = [
    "ClickLog",
    "Examples",
    "Log",
    "Splits",
    "amazon",
    "arrays",
    "as_logs",
    "as_splits",
    "csv",
    "download",
    "draft",
    "jsonl",
    "load",
    "parquet",
    "read",
    "split_by_user",
    "standardize",
    "synthetic",
    "tfrecord",
    "with_negatives",
]

_LOADERS: dict[str, Callable[..., ClickLog]] = {"synthetic": synthetic, "amazon": amazon}


def load(name: str, **options: Any) -> ClickLog:
    """The click log called `name`.

    Args:
        name: `synthetic` or `amazon`.
        **options: the arguments of the function of that name.

    Returns:
        The click log.

    Raises:
        InputError: there is no such click log, the options aren't its, or it can't be read.

    Example:

        >>> load("synthetic", train_size=100, test_size=100).name
        'synthetic'
    """
    if name not in _LOADERS:
        raise InputError(
            f"there is no dataset {name!r}; there are {', '.join(map(repr, _LOADERS))}"
        )
    try:
        inspect.signature(_LOADERS[name]).bind(**options)
    except TypeError as error:
        raise InputError(f"dataset {name!r}: {error}") from error
    return _LOADERS[name](**options)
