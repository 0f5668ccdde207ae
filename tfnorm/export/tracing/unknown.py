"""Which rows ask an embedding table for an id that it lacks, in the graph of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.graph.ops import SHAPES, SIZED_BY_VALUES

# What they give follows from the shape of what they are given.
_OF_SHAPES = SHAPES | {"OnesLike", "ZerosLike"}
# It gives rows of equal length again.
_ROWS_AGAIN = "RaggedTensorToTensor"


@dataclass(frozen=True, eq=False)
class Lookup:
    """One look-up, as it is traced.

    Attributes:
        layer: the name of the layer of the table.
        unknown: for each id that it is asked for, whether the table lacks it.
    """

    layer: str
    unknown: tf.Tensor


@dataclass(frozen=True, eq=False)
class UnknownRows:
    """The look-ups of a model, gathered while it is traced.

    Attributes:
        lookups: those that have been traced since they were last taken.
    """

    lookups: list[Lookup] = field(default_factory=list)

    def add(self, layer: str, unknown: tf.Tensor) -> None:
        """Add a look-up; `unknown` has True for each id that the table lacks."""
        self.lookups.append(Lookup(layer, unknown))

    def begin(self) -> None:
        """Forget what another trace has left."""
        self.lookups.clear()

    def take(self, inputs: Mapping[str, tf.Tensor], rows: tf.Tensor) -> list[tf.Tensor]:
        """For each look-up, `[rows]`: whether it was asked for an unknown id for the row.

        A row may have several places one after the other on the first axis, such as the steps of a history
        that were made rows. What depends on no value of the inputs, such as the numbers of the steps, is
        asked for all rows.

        Args:
            inputs: what the function that is traced takes.
            rows: how many rows there are.

        Raises:
            InputError: nothing tells which row a look-up is for.
        """
        sources = {tensor.ref() for tensor in inputs.values()}
        taken = [_by_row(lookup, sources, rows) for lookup in self.lookups]
        self.lookups.clear()
        return taken


def spoilt(outputs: Mapping[str, tf.Tensor], unknown: Sequence[tf.Tensor]) -> dict[str, tf.Tensor]:
    """The outputs with NaN for the rows that any of `unknown`, each `[rows]`, is True of.

    Raises:
        InputError: an output has no row for each example, or can't be NaN.
    """
    if not unknown:
        return dict(outputs)
    for name, output in outputs.items():
        if not (output.dtype.is_floating or output.dtype.is_complex):
            raise InputError(
                f"unknown_ids is 'nan', and output {name!r} is {output.dtype.name}, which can't be NaN; "
                "accepted: floating-point outputs, 'error', or the number of a row"
            )
        if not output.shape.rank or output.shape[0] is not None:
            raise InputError(
                f"unknown_ids is 'nan', and output {name!r} has the shape {output.shape}, in which no row is "
                "an example's; accepted: outputs of a row for each example, 'error', or the number of a row"
            )
    bad = tf.reduce_any(tf.stack(unknown), axis=0)
    return {name: _with_nan(output, bad) for name, output in outputs.items()}


def with_bad_id(
    rows: Mapping[str, np.ndarray], name: str, place: int | tuple[int, ...], number: int
) -> dict[str, np.ndarray]:
    """Rows of which one has a bad id wherever the input has one."""
    changed = rows[name].copy()
    changed[place] = number
    return {**rows, name: changed}


def _with_nan(output: tf.Tensor, bad: tf.Tensor) -> tf.Tensor:
    of_rows = tf.reshape(bad, [-1, *[1] * (output.shape.rank - 1)])
    nan = tf.cast(tf.constant(float("nan")), output.dtype)
    return tf.ensure_shape(tf.where(of_rows, nan, output), output.shape)


def _by_row(lookup: Lookup, sources: set[object], rows: tf.Tensor) -> tf.Tensor:
    unknown = lookup.unknown
    if unknown.graph is not rows.graph:
        raise _untold(lookup, "inside a loop, a branch or a tf.function of its own")
    before = _before(unknown)
    given = (tensor.ref() in sources for op in before for tensor in op.outputs)
    if not (any(given) or any(op.type == _ROWS_AGAIN for op in before)):
        return tf.fill([rows], tf.reduce_any(unknown))
    if sized := {op.type for op in before} & (SIZED_BY_VALUES - {_ROWS_AGAIN}):
        raise _untold(
            lookup, f"behind {min(sized)}, which gives more ids or fewer for other values"
        )
    each = tf.size(unknown) // tf.maximum(rows, 1)
    return tf.reduce_any(tf.reshape(unknown, [rows, each]), axis=1)


def _before(tensor: tf.Tensor) -> list[tf.Operation]:
    """The ops that the values of a tensor come from, as far as they have been rows all the way."""
    found: dict[tf.Operation, None] = {}
    pending = [tensor.op]
    while pending:
        op = pending.pop()
        if op in found or op.type in _OF_SHAPES:
            continue
        found[op] = None
        if op.type != _ROWS_AGAIN:
            pending += [before.op for before in op.inputs]
    return list(found)


def _untold(lookup: Lookup, where: str) -> InputError:
    return InputError(
        f"unknown_ids is 'nan', and layer {lookup.layer!r} looks up ids {where}, where nothing tells which "
        "row they are of; accepted: 'error', or the number of a row"
    )
