"""What a model is given, batch by batch, from whatever holds a dataset."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from tfnorm.errors import InputError

Dataset: TypeAlias = (
    tf.data.Dataset
    | keras.utils.PyDataset
    | Iterable[Any]
    | Callable[[], Iterable[Any]]
    | Mapping[str, np.ndarray]
    | np.ndarray
)
"""Batches as `keras.Model.predict` takes them, or all examples: an array, or arrays by name."""

ROWS = 1024
"""Examples a batch, where arrays are given."""


class Batches:
    """The inputs in each batch of a dataset, which can be run through again and again.

    Args:
        dataset: batches of x, (x, y) or (x, y, sample_weight), of which x alone is used, or a function
            that gives them anew at each call; or arrays.
        steps: how many batches to take at most; None for all.

    Raises:
        InputError: there are no batches in it, or no end of them.
    """

    def __init__(self, dataset: Dataset, steps: int | None):
        if steps is not None and (not isinstance(steps, int | np.integer) or steps < 1):
            raise InputError(f"steps is {steps!r}; accepted: 1 or more, or None for all batches")
        if isinstance(dataset, Mapping | np.ndarray | tf.Tensor):
            dataset = _rows(dataset)
        if callable(dataset) and not isinstance(dataset, Iterable | type):
            dataset = _Called(dataset)
        if not isinstance(dataset, Iterable | keras.utils.PyDataset) or isinstance(dataset, str):
            raise InputError(
                f"dataset is a {type(dataset).__name__}; accepted: a tf.data.Dataset, or anything "
                "else that gives batches"
            )
        self._dataset: Iterable[Any] | keras.utils.PyDataset = dataset
        self._steps = steps
        self._length: int | None = _length(dataset)
        self._seen: int | None = None
        if steps is None and self._length == tf.data.INFINITE_CARDINALITY:
            raise InputError("the dataset has no end; give steps, the number of batches to take")

    def __iter__(self) -> Iterator[Any]:
        count = 0
        for batch in itertools.islice(_batches(self._dataset), self._steps):
            count += 1
            if isinstance(batch, tuple | list) and not 1 <= len(batch) <= 3:
                raise InputError(
                    f"a batch is a {type(batch).__name__} of {len(batch)}; accepted: x, (x,), (x, y) or "
                    "(x, y, sample_weight), where x may be a dict"
                )
            yield keras.utils.unpack_x_y_sample_weight(batch)[0]
        self._seen = count

    def count(self) -> int | None:
        """How many batches there are; None where that isn't known until they have all come once."""
        if self._seen is not None:
            return self._seen
        known = [n for n in (self._steps, self._length) if n is not None and n >= 0]
        return min(known, default=None)

    def first(self) -> list[Any]:
        """The inputs in the first batch, in a list that is empty where there is none."""
        return list(itertools.islice(self, 1))

    def keep(self) -> None:
        """Hold a generator's batches in memory: it can be run through only once."""
        if isinstance(self._dataset, Iterator):
            self._dataset = list(itertools.islice(self._dataset, self._steps))
            self._length = len(self._dataset)


class _Called:
    """What a function gives, anew in each pass."""

    def __init__(self, function: Callable[[], Iterable[Any]]):
        self._function = function

    def __iter__(self) -> Iterator[Any]:
        batches = self._function()
        if not isinstance(batches, Iterable):
            raise InputError(
                f"dataset is a function that gives a {type(batches).__name__}; accepted: one that gives "
                "batches, as a generator function does"
            )
        return iter(batches)


def _rows(arrays: Mapping[str, np.ndarray] | np.ndarray | tf.Tensor) -> tf.data.Dataset:
    try:
        return tf.data.Dataset.from_tensor_slices(arrays).batch(ROWS)
    except ValueError as error:
        raise InputError(f"the arrays can't be cut in batches: {error}") from error


def _batches(dataset: Iterable[Any] | keras.utils.PyDataset) -> Iterable[Any]:
    if not isinstance(dataset, keras.utils.PyDataset):
        return dataset
    batches = dataset.num_batches
    return (dataset[i] for i in (itertools.count() if batches is None else range(batches)))


def _length(dataset: Iterable[Any] | keras.utils.PyDataset) -> int | None:
    if isinstance(dataset, tf.data.Dataset):
        return int(dataset.cardinality())
    if isinstance(dataset, keras.utils.PyDataset):
        batches = dataset.num_batches
        return int(tf.data.INFINITE_CARDINALITY if batches is None else batches)
    return len(dataset) if isinstance(dataset, Sized) else None
