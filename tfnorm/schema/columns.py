"""What a log and a model's inputs have in common: named columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True)
class Column:
    """One column of a log, which is one input of a model.

    Attributes:
        name: the name of the column, and of the input.
        dtype: what the input takes: `int32`, `int64`, `string` or `float32`.
        feature: the feature that it belongs to.
        size: ids are in [0, size); None where any value is taken.
        shape: what a row has: `()`, `(n,)` for a vector of n numbers, `(None,)` for a list.
        limit: the most elements of a list that are kept; None for all.
        keep: which of a longer list are kept, `newest` (its last) or `oldest`.
        partner: the column whose list has as many elements, and whose padding tells the end; None
            for the column that decides that itself.

    Example:

        >>> schema = tfnorm.Schema([tfnorm.schema.Id("item", size=9)], target=["item"])
        >>> schema.columns["item"].dtype, schema.columns["item"].shape
        ('int64', ())
    """

    name: str
    dtype: str
    feature: str
    size: int | None = None
    shape: tuple[int | None, ...] = ()
    limit: int | None = None
    keep: str = "newest"
    partner: str | None = None

    @property
    def is_list(self) -> bool:
        """Whether its rows are lists of any length."""
        return self.shape == (None,)

    @property
    def padding(self) -> bytes | int:
        """What stands where a list has ended, and for a value that is missing."""
        return b"" if self.dtype == "string" else 0

    @property
    def spec(self) -> tf.TensorSpec:
        """The input's dtype and shape, the batch free."""
        import tensorflow as tf

        return tf.TensorSpec((None, *self.shape), self.dtype, self.name)

    @property
    def record(self) -> tf.io.FixedLenFeature | tf.io.FixedLenSequenceFeature:
        """How a `tf.Example` holds it."""
        import tensorflow as tf

        dtype = tf.int64 if self.dtype.startswith("int") else self.spec.dtype
        if self.is_list:
            return tf.io.FixedLenSequenceFeature([], dtype, allow_missing=True)
        return tf.io.FixedLenFeature(self.shape, dtype)

    def empty(self, rows: int, length: int) -> np.ndarray:
        """This many rows of padding."""
        shape = (rows, length) if self.is_list else (rows, *(n or 0 for n in self.shape))
        return np.zeros(shape, "S1" if self.dtype == "string" else self.dtype)
