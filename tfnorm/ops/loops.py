"""The same sums in loops, for XLA on a CPU.

There, large tensors are a matter of memory: `Loops` is a form that XLA makes loops of which read their inputs
once and write next to nothing. Where the model is not compiled by XLA, the formula is, once for each number
of rows. Whatever is here could be replaced by `Exact`, and only the time of a step would change.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfnorm._tensorflow import functions_are_inlined, in_xla_context, ops_are_watched
from tfnorm.ops.moments import Exact, Function, Tensors

# From so many elements on, `Loops` are the faster ones, and save in some hundred steps what it costs to
# compile them where nobody else compiles: 0.3 s for a number of rows.
_LARGE = 2**16
# Up to so many elements, `Loops` write what is summed as well: that is faster than to compute for each sum
# anew what they share. Beyond, it would take twice the memory of a step for a seventh of its time.
_WRITTEN = 2**20
# More rows than that are written where they are wide, and summed in blocks of up to so many rows: one sum
# after the other would be rounded too often in float32.
_LONG = 2**13
_WIDE = 32
_BLOCK = 64


class Loops:
    """Sums over the rows of `[A, C]` that XLA does not take apart: it would first write what is summed."""

    @staticmethod
    def total(function: Function, *flats: tf.Tensor) -> tf.Tensor:
        # Sixteen equal numbers have an exact sum, so that a constant channel is normalized to 0.
        return _sum_of_blocks(function, *flats, rows=16, dtype=tf.float64)

    @staticmethod
    def several(parts: Function, summands: Function, *flats: tf.Tensor) -> tuple[Tensors, Tensors]:
        found = parts(*flats)
        count, channels = len(summands(*found)), flats[0].shape[1]
        place = tf.range(count)[:, tf.newaxis]

        def results(*flats: tf.Tensor) -> tf.Tensor:
            """`[rows, count, C]` by one expression: what the results share, XLA would keep in memory."""
            repeated = (tf.tile(x[:, tf.newaxis], (1, count, 1)) for x in flats)
            values = summands(*parts(*(tf.reshape(x, (-1, channels)) for x in repeated)))
            first, *others = (tf.reshape(v, (-1, count, channels)) for v in values)
            for i, other in enumerate(others, start=1):
                first = tf.where(place == i, other, first)
            return first

        sums = _by_shape(
            lambda size, rows: (
                (size <= _WRITTEN) & (rows <= _LONG * (_block(rows) if channels >= _WIDE else 1))
            ),
            flats[0],
            lambda: [_sum_of_written(v) for v in summands(*found)],
            lambda: tf.unstack(_sum_of_blocks(results, *flats, rows=8, dtype=flats[0].dtype)),
        )
        return sums, found


def by_size(formula: Callable[..., Any], *inputs: Any) -> Any:
    """`formula` by the sums that suit the size of its first input."""
    # Eager tapes look into a custom gradient's function, and make a tf.function keep what it computes.
    inputs = tf.nest.map_structure(lambda v: tf.stop_gradient(v) if tf.is_tensor(v) else v, inputs)
    x = inputs[0]
    if not loops_suit(x):
        return formula(Exact, *inputs)
    loops = formula if in_xla_context() else _compiled(formula, x.shape[1])
    return _by_shape(
        lambda size, rows: size >= _LARGE,
        x,
        lambda: loops(Loops, *inputs),
        lambda: formula(Exact, *inputs),
    )


def loops_suit(x: tf.Tensor) -> bool:
    """Whether there is nothing but CPUs, and XLA can compile the loops."""
    return (
        x.shape.rank == 2
        and tf.test.is_built_with_xla()
        and all(device.device_type == "CPU" for device in tf.config.list_logical_devices())
        # tf.debugging.enable_check_numerics puts ops into every graph that XLA doesn't know.
        and not ops_are_watched()
        and not functions_are_inlined()
    )


def _sum_of_blocks(function: Function, *flats: tf.Tensor, rows: int, dtype: tf.DType) -> tf.Tensor:
    """The sum of `function(*flats)`: of so many rows, a power of 2, by pairs, then of those in `dtype`."""
    # Traced once for all the rows of a block: that takes longer than to compile it.
    function = tf.function(function, autograph=False)
    whole = tf.shape(flats[0])[0] // rows * rows
    blocks = (tf.reshape(x[:whole], (-1, rows, x.shape[1])) for x in flats)
    sums = [function(*row) for row in zip(*(tf.unstack(b, axis=1) for b in blocks), strict=True)]
    while len(sums) > 1:
        sums = [a + b for a, b in zip(sums[::2], sums[1::2], strict=True)]
    rest = function(*(x[whole:] for x in flats))
    return tf.reduce_sum(tf.cast(sums[0], dtype), 0) + tf.reduce_sum(tf.cast(rest, dtype), 0)


def _sum_of_written(v: tf.Tensor) -> tf.Tensor:
    """The sum over the rows, in two steps that XLA takes all columns through at once."""
    blocks = tf.reshape(v, (-1, _block(tf.shape(v)[0]), v.shape[1]))
    return tf.reduce_sum(tf.reduce_sum(blocks, 1), 0)


def _block(rows: Any) -> Any:
    """The greatest power of 2, up to `_BLOCK`, that so many rows are a multiple of."""
    return (rows | _BLOCK) & -(rows | _BLOCK)


def _by_shape(
    condition: Callable[..., bool], x: tf.Tensor, yes: Callable[[], Any], no: Callable[[], Any]
) -> Any:
    """`yes()` or `no()`, by `condition(size, rows)` of `x`."""
    size = x.shape.num_elements()
    if size is not None:
        return yes() if condition(size, x.shape[0]) else no()
    # XLA knows the shape when it compiles, and leaves the other branch out.
    return tf.cond(condition(tf.size(x), tf.shape(x)[0]), yes, no)


@functools.cache
def _compiled(formula: Callable[..., Any], channels: int) -> Callable[..., Any]:
    """One function for each number of channels, which takes any number of rows without a new trace."""
    compiled: Callable[..., Any] = tf.function(
        formula, jit_compile=True, reduce_retracing=True, autograph=False
    )
    return compiled
