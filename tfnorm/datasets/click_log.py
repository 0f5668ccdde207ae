"""What every dataset of clicks is made of."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tfnorm.errors import InputError
from tfnorm.schema import Schema, item_schema

if TYPE_CHECKING:
    import tensorflow as tf

_PART = 8_192
"""Examples that are put into their order at once."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Impressions: who was shown what, with which history, and whether they clicked.

    Args:
        features: input name -> array, the first axis being the example; a list is padded at its end.
            Those of a `ClickLog` are `item` and `category` `[N]`, `history_items` and
            `history_categories` `[N, T]`, all int32, oldest first. `with_negatives` adds
            `negative_items` and `negative_categories` `[N, T]`.
        labels: float32 `[N]`, 1 for a click.
        users: `[N]`, whose impression each is; None where it isn't known.
        weights: float32 `[N]`, how much each example counts; None where all count the same.

    Example:

        >>> examples = Examples({"item": np.array([3, 4])}, labels=np.array([1.0, 0.0], np.float32))
        >>> len(examples)
        2
    """

    features: dict[str, np.ndarray]
    labels: np.ndarray
    users: np.ndarray | None = None
    weights: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice | np.ndarray) -> Examples:
        """Some of them."""
        return Examples(
            {name: column[rows] for name, column in self.features.items()},
            self.labels[rows],
            None if self.users is None else self.users[rows],
            None if self.weights is None else self.weights[rows],
        )

    def batches(
        self, batch_size: int, *, shuffle_seed: int | None = None, epoch: int = 0
    ) -> tf.data.Dataset:
        """The examples as `(features, labels)`, for `fit`, `evaluate` and `predict`.

        Every pass over the dataset is the next epoch. An epoch's order depends on the seed and on its
        number alone.

        Args:
            batch_size: examples in a batch; the last one has what is left.
            shuffle_seed: None for the examples' own order; else every epoch has another order.
            epoch: the number of the first pass.

        Returns:
            A dataset of known cardinality.

        Raises:
            InputError: `batch_size` is less than 1.

        Example:

            >>> log = synthetic(train_size=10, test_size=10)
            >>> [len(labels) for _, labels in log.train.batches(4, shuffle_seed=0)]
            [4, 4, 2]
        """
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}; it must be 1 or more")
        epochs = itertools.count(epoch)

        size = -(-_PART // batch_size) * batch_size

        def parts() -> Iterator[tuple[Examples, np.ndarray]]:
            number, order = next(epochs), np.arange(len(self))
            if shuffle_seed is not None:
                np.random.default_rng([shuffle_seed, number]).shuffle(order)
            for start in range(0, len(self), size):
                part = self[order[start : start + size]]
                yield part, ends(len(part), batch_size)

        return as_batches(parts, self._spec(), -(-len(self) // batch_size))

    def parts(self) -> Iterator[Examples]:
        """The examples in their order, some thousands at a time."""
        for start in range(0, len(self), _PART):
            yield self[start : start + _PART]

    def _spec(self, *, free: bool = False) -> tuple[Any, ...]:
        """Of the batches; `free` where lists differ in length from part to part."""
        import tensorflow as tf

        def spec(array: np.ndarray) -> tf.TensorSpec:
            dtype = tf.string if array.dtype.kind in "SO" else array.dtype
            return tf.TensorSpec([None, *(None if free else n for n in array.shape[1:])], dtype)

        found: tuple[Any, ...] = tf.nest.map_structure(spec, self._columns())
        return found

    def _columns(self) -> tuple[Any, ...]:
        columns = (self.features, self.labels)
        return columns if self.weights is None else (*columns, self.weights)


_wrong: list[InputError] = []


@contextmanager
def wrong_rows_told() -> Iterator[None]:
    """Raise what is wrong with a row as it is, where TensorFlow puts an error of its own around it.

    Raises:
        InputError: reading batches has come upon a row that isn't as it should be.
    """
    import tensorflow as tf

    _wrong.clear()
    try:
        yield
    except tf.errors.OpError as error:
        if not _wrong:
            raise
        raise _wrong[-1] from error


def _noted(parts: Iterator[tuple[Examples, np.ndarray]]) -> Iterator[Any]:
    try:
        for part, batch_ends in parts:
            yield batch_ends, *part._columns()
    except InputError as error:
        _wrong.append(error)
        raise


def ends(rows: int, batch_size: int) -> np.ndarray:
    """Where each batch of so many rows ends; the last one has what is left."""
    return np.minimum(np.arange(batch_size, rows + batch_size, batch_size), rows)


def as_batches(
    parts: Callable[[], Iterator[tuple[Examples, np.ndarray]]], spec: tuple[Any, ...], batches: int
) -> tf.data.Dataset:
    """Parts of several batches as `(features, labels)`, and weights if any.

    Args:
        parts: gives the parts of a pass, each with where its batches end.
        spec: of a batch.
        batches: how many a pass has.
    """
    import tensorflow as tf

    signature = (tf.TensorSpec([None], tf.int64), *spec)
    chunks = tf.data.Dataset.from_generator(lambda: _noted(parts()), output_signature=signature)

    def cut(batch_ends: tf.Tensor, *columns: Any) -> tf.data.Dataset:
        starts = tf.concat([tf.zeros(1, tf.int64), batch_ends[:-1]], axis=0)
        # Whole batches are cut out: to go example by example would slow the training.
        return tf.data.Dataset.from_tensor_slices((starts, batch_ends)).map(
            lambda start, end: tf.nest.map_structure(lambda column: column[start:end], columns)
        )

    options = tf.data.Options()
    # Its thread would be waited for at the end of each pass, for up to a second or two.
    options.autotune.enabled = False
    # Workers are given shards of their own.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return (
        chunks.prefetch(1)
        .flat_map(cut)
        .apply(tf.data.experimental.assert_cardinality(batches))
        .prefetch(2)
        .with_options(options)
    )


@dataclass(frozen=True, eq=False)
class ClickLog:
    """A click log, split for training and testing.

    Args:
        name: what it is called in tables.
        train: the examples to train on.
        test: the examples to test on.
        item_count: item ids are in [0, item_count); 0 is padding.
        category_count: category ids are in [0, category_count), likewise.
        history_length: T, the most items that a history has.
        best_auc: the AUC of the true click probabilities on `test`; None if they aren't known.

    Example:

        >>> log = tfnorm.datasets.synthetic(train_size=100, test_size=50)
        >>> log.name, len(log.train), bool(log.train.features["item"].max() < log.item_count)
        ('synthetic', 100, True)
    """

    name: str
    train: Examples
    test: Examples
    item_count: int
    category_count: int
    history_length: int
    best_auc: float | None

    @property
    def schema(self) -> Schema:
        """Its features as data."""
        return item_schema(self.item_count, self.category_count, length=self.history_length)
