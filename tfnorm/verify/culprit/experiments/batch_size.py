"""The same rows in batches of other sizes: what the batch size flows into."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfnorm.differences import are_equal
from tfnorm.graph.nodes import data_inputs, producer
from tfnorm.verify.culprit.experiments.experiment import Accusation, Subject
from tfnorm.verify.culprit.pairs import Pair
from tfnorm.verify.culprit.rounding import Rounding, other_blocks
from tfnorm.verify.culprit.rows import Alignment
from tfnorm.verify.culprit.search import Found, Search, Shapes, lengths
from tfnorm.verify.culprit.size_flow import SizeFlow
from tfnorm.verify.culprit.walk import walk_back

BATCH_SIZES = (1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 256, 257)

_SIZES_SEARCHED = 3


class BatchSize:
    """The batch's size differs.

    Args:
        sizes: those to compare.
    """

    def __init__(self, sizes: Sequence[int]):
        self._sizes = sizes

    def find(self, subject: Subject) -> Accusation | None:
        """Whatever the batch size flows into, tried with the sizes that move the outputs most."""
        if subject.batches.fixed_size:
            return None
        small = subject.batches.take(0, subject.watched)
        expected = subject.scores(small)
        if expected is None:
            return None
        moves = []
        for size in self._sizes:
            scores = subject.scores(subject.batches.take(0, size))
            if scores is None:
                if refused := _without_batch(subject, size):
                    return refused
                continue
            if any(map(_other_rank, expected, scores)) and (lost := _without_batch(subject, size)):
                return lost
            if any(np.shape(array)[:1] not in ((), (size,)) for array in scores):
                other_rows = _with_other_rows(subject, size)
                if other_rows is not None:
                    return other_rows
            moves.append((_largest_move(expected, scores), size))
        searched = [(m, size) for m, size in sorted(moves, reverse=True)[:_SIZES_SEARCHED] if m]
        flow = SizeFlow(subject.probe, small)
        for _, size in searched:
            if mixed := flow.find(subject.batches.take(0, size)):
                came = f", from {mixed.region.origins[mixed.source].name}" if mixed.source else ""
                return Accusation(
                    mixed.region,
                    mixed.node,
                    f"the batch size flows in here{came}",
                    "Leave the batch size out of the scores: use a constant, or a size of each "
                    "example.",
                )
        rounding = other_blocks(subject.probe.epsilon)
        for move, size in searched:
            # A row alone may be near nothing, and then its rounding is much of it.
            if move <= rounding.units * subject.probe.epsilon:
                continue
            if found := Search(subject.probe, _grown(subject, size, rounding)).find():
                return _with_longest(found)
        return None


def _grown(subject: Subject, size: int, rounding: Rounding) -> Pair:
    """The watched rows, and a batch of another size with the same first rows."""
    sizes = sorted((subject.watched, size))
    fewer, more = (subject.batches.take(0, count) for count in sizes)
    alignment = Alignment(sizes[0], (sizes[0], sizes[1]))
    return Pair((fewer, more), fewer, alignment, rounding)


def _with_longest(found: Found) -> Accusation:
    """A graph that pads its examples to the longest of the batch, and takes the padding in."""
    return Accusation(
        found.region,
        found.node,
        f"{found.region.nodes[found.node].op} takes in what the batch is filled up with",
        "Mask what an example is padded with, so that it scores the same whatever the longest of "
        "its batch is.",
    )


def _with_other_rows(subject: Subject, size: int) -> Accusation | None:
    """The first op from which on the first axis is not the batch's; None if what is fed has it nowhere."""
    region = subject.probe.base
    first, second = _shapes(subject, size)
    sizes = [(subject.watched,), (size,)]
    other = {t for t in first if [first[t][:1], second[t][:1]] != sizes}
    roots = walk_back(
        region, region.outputs, inside=region.nodes, moved=other - lengths(region)
    ).roots
    if not roots:
        return None
    op_type = region.nodes[roots[0]].op
    rows = next(second[t][:1] for t in region.tensors if producer(t) == roots[0])
    return Accusation(
        region,
        roots[0],
        f"{op_type} gives {rows[0] if rows else 'no'} rows for a batch of {size}",
        "Give a row for each example, on the first axis: what serves batches splits an output along it.",
    )


def _shapes(subject: Subject, size: int) -> tuple[Shapes, Shapes]:
    """The shapes of all tensors for the watched rows, and in a batch of `size`."""
    probe, batches = subject.probe, subject.batches
    counts = (subject.watched, size)
    first, second = (probe.shapes(probe.base, batches.take(0, count)) for count in counts)
    return first, second


def _without_batch(subject: Subject, size: int) -> Accusation | None:
    """The first op whose result has fewer, or more, axes in a batch of `size`.

    Where an op refuses that batch, one before it is sought: it may refuse what has lost an axis.
    """
    region, probe = subject.probe.base, subject.probe
    first = probe.shapes(region, subject.batches.take(0, subject.watched))
    second, refused = probe.shapes_up_to_a_refusal(region, subject.batches.take(0, size))
    other = {tensor for tensor in second if len(first[tensor]) != len(second[tensor])}
    targets = data_inputs(region.nodes[refused]) if refused else region.outputs
    roots = walk_back(region, targets, inside=region.nodes, moved=other).roots
    if not roots:
        return None
    node = roots[0]
    op_type = region.nodes[node].op
    return Accusation(
        region,
        node,
        f"{op_type} loses the batch dimension in a batch of {size}",
        "Name the axis that goes, such as tf.squeeze(x, axis=-1), so that one example keeps the "
        "batch dimension."
        if op_type == "Squeeze"
        else "",
    )


def _other_rank(expected: np.ndarray, scores: np.ndarray) -> bool:
    return np.ndim(expected) != np.ndim(scores)


def _largest_move(expected: list[np.ndarray], scores: list[np.ndarray]) -> float:
    """How far the first rows' scores are from `expected`, relative to the largest of either."""
    largest = 0.0
    for all_rows, second in zip(
        map(np.atleast_1d, expected), map(np.atleast_1d, scores), strict=True
    ):
        first = all_rows
        if first.shape[1:] == second.shape[1:]:
            rows = min(len(first), len(second))
            first, second = first[:rows], second[:rows]
        if first.shape != second.shape or first.dtype.kind not in "fiub":
            largest = max(largest, float(not are_equal(first, second)))
            continue
        first, second = first.astype(np.float64), second.astype(np.float64)
        with np.errstate(invalid="ignore"):
            move = np.nan_to_num(np.abs(first - second), nan=0.0)
        move[np.isnan(first) != np.isnan(second)] = np.inf
        sizes = np.abs(np.concatenate([all_rows.astype(np.float64), second]))
        scale = np.max(sizes, initial=0.0, where=np.isfinite(sizes)) or 1.0
        largest = max(largest, float(move.max(initial=0.0) / scale))
    return largest
