"""Name the op that makes a score depend on the batch around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from tfnorm.errors import InputError
from tfnorm.graph.inline import LOOPS, data_inputs
from tfnorm.graph.ops import STATE_READS, advice, is_assignment, is_random
from tfnorm.graph.origins import Layers, Sources
from tfnorm.session import DEFAULT_SIGNATURE, SavedModel
from tfnorm.verify.culprit.pairs import Batches, Pair
from tfnorm.verify.culprit.probe import Probe, Region
from tfnorm.verify.culprit.rows import Tolerance
from tfnorm.verify.culprit.search import Found, Search
from tfnorm.verify.culprit.size_flow import SizeFlow
from tfnorm.verify.results import Culprit

BATCH_SIZES = (1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 256, 257)

# A batch must be larger than what the model takes of it (a top-k over the batch needs k rows).
_WATCHED_AND_SIZE = ((8, 21), (64, 150), (512, 1100))
_SIZES_SEARCHED = 3
# Where rows stand and how long they are padded changes the kernels' blocks, and so the rounding.
_OTHER_BLOCKS = 256


def find_culprit(
    model: str | Path | SavedModel,
    examples: Mapping[str, np.ndarray],
    *,
    signature: str = DEFAULT_SIGNATURE,
    batch_sizes: Sequence[int] = BATCH_SIZES,
) -> Culprit | None:
    """Find the first op whose rows change with the batch although its inputs' rows do not.

    The first examples are watched in pairs of batches that differ in one thing: in nothing (hidden
    state, dropout), in the neighbours, in the batch's size, in the rows' place, in the padding of
    variable-length inputs. In the first pair whose outputs differ by more than rounding, the tensors
    between inputs and outputs are compared row by row, inside functions, branches and loops too.

    Args:
        model: a SavedModel, its directory, or the folder of its versions. What its signature assigns
            is assigned, in memory.
        examples: input name -> array, the first axis being the example.
        signature: the signature to look into.
        batch_sizes: the sizes to compare, for a score that moves with the batch's size alone.

    Returns:
        The op to blame, or None where no score depends on the batch.

    Raises:
        InputError: the model can't be loaded, has no such signature, or the examples don't fit it.

    Example:

        >>> culprit = find_culprit("exports/ranker", examples)  # doctest: +SKIP
        >>> print(culprit.op, culprit.explanation)              # doctest: +SKIP
        functional_1/dice_1/Mean Mean over the batch axis
    """
    with nullcontext(model) if isinstance(model, SavedModel) else SavedModel(model) as loaded:
        return _Investigation(loaded, signature, examples).culprit(batch_sizes)


class _Investigation:
    """The pairs of batches, one kind after the other, until one moves the outputs."""

    def __init__(self, model: SavedModel, signature: str, examples: Mapping[str, np.ndarray]):
        self._probe = Probe(model, signature)
        self._batches = Batches(self._probe.signature, examples)
        self._layers = Layers(self._probe.base.nodes.values(), self._probe.base.origins)
        self._sources = Sources(model.path)
        self._watched, self._size = self._sizes()

    def culprit(self, batch_sizes: Sequence[int]) -> Culprit | None:
        """The op to blame."""
        repeat = self._batches.repeat(self._size)
        if found := Search(self._probe, repeat).find():
            return self._unsteady(found)
        for pair in self._batches.neighbours(self._watched, self._size):
            if self._moves(pair) and (found := Search(self._probe, pair).find()):
                return self._mixing(found)
        if not self._batches.fixed_size and (culprit := self._batch_size(batch_sizes)):
            return culprit
        tolerance = Tolerance(_OTHER_BLOCKS, epsilon=self._probe.epsilon)
        position = self._batches.position(self._watched, self._size, tolerance)
        if found := Search(self._probe, position).find():
            return self._name(
                found.region, found.node, "the row's place in the batch flows in here"
            )
        for pair in self._batches.padding(self._size, tolerance):
            if self._moves(pair) and (found := Search(self._probe, pair).find()):
                op_type = found.region.nodes[found.node].op
                return self._name(
                    found.region,
                    found.node,
                    f"{op_type} takes the padding for values",
                    "Mask the padding, so that an example scores the same whatever the longest of "
                    "its batch is.",
                )
        return None

    def _sizes(self) -> tuple[int, int]:
        """How many rows to watch, in batches of which size."""
        if fixed := self._batches.fixed_size:
            return max(1, fixed // 2), fixed
        refusals = []
        for watched, size in _WATCHED_AND_SIZE:
            try:
                self._probe.run(self._batches.take(0, watched), self._probe.base.outputs)
                return watched, size
            except InputError as error:
                refusals.append(error)
        raise refusals[0]

    def _moves(self, pair: Pair) -> bool:
        """Whether an output may have moved; not where the model refuses the second batch."""
        outputs = self._probe.base.outputs
        first = self._probe.run(pair.feeds[0], outputs)
        try:
            second = self._probe.run(pair.feeds[1], outputs)
        except InputError:
            return False
        watched = slice(-self._watched, None) if pair.alignment.last[0] else slice(self._watched)
        return any(
            not np.array_equal(np.atleast_1d(a)[watched], np.atleast_1d(b)[watched])
            for a, b in zip(first, second, strict=True)
        )

    def _batch_size(self, batch_sizes: Sequence[int]) -> Culprit | None:
        """Whatever the batch size flows into, tried with the sizes that move the outputs most."""
        small = self._batches.take(0, self._watched)
        outputs = self._probe.base.outputs
        expected = self._probe.run(small, outputs)
        moves = []
        for size in batch_sizes:
            large = self._batches.take(0, size)
            try:
                scores = self._probe.run(large, outputs)
            except InputError:
                continue
            moves.append((_largest_move(expected, scores), size))
        flow = SizeFlow(self._probe, small)
        for move, size in sorted(moves, reverse=True)[:_SIZES_SEARCHED]:
            if move and (mixed := flow.find(self._batches.take(0, size))):
                region, source = mixed.region, mixed.source
                came = f", from {region.origins[source].name}" if source else ""
                return self._name(
                    region,
                    mixed.node,
                    f"the batch size flows in here{came}",
                    "Leave the batch size out of the scores: use a constant, or a size of each "
                    "example.",
                )
        return None

    def _mixing(self, found: Found) -> Culprit:
        op_type = found.region.nodes[found.node].op
        over = found.lost_batch and op_type not in LOOPS
        what = "over the batch axis" if over else "mixes the rows of the batch"
        return self._name(found.region, found.node, f"{op_type} {what}")

    def _unsteady(self, found: Found) -> Culprit:
        """The op that draws, or that changes the state which moved; a seed's reader draws nothing."""
        nodes = found.region.nodes
        node = nodes[found.node]
        if node.op in STATE_READS:
            drawing = [name for name in nodes if name in found.path and is_random(nodes[name].op)]
            resource = data_inputs(node)[0]
            changing = [
                name
                for name in nodes
                if is_assignment(nodes[name].op) and resource in data_inputs(nodes[name])
            ]
            node = nodes[(drawing + changing + [found.node])[0]]
        what = "draws at every call" if is_random(node.op) else "changes from call to call"
        return self._name(found.region, node.name, f"{node.op} {what}")

    def _name(self, region: Region, node: str, explanation: str, what_to_do: str = "") -> Culprit:
        origin = region.origins[node]
        op_type = region.nodes[node].op
        return Culprit(
            op=origin.name,
            op_type=op_type,
            layer=self._layers.layer(origin.name),
            source=self._sources.line(origin),
            explanation=explanation,
            advice=what_to_do or advice(op_type),
        )


def _largest_move(expected: list[np.ndarray], scores: list[np.ndarray]) -> float:
    """How far the first rows' scores are from `expected`, relative to the largest of them."""
    largest = 0.0
    for first, second in zip(map(np.asarray, expected), map(np.asarray, scores), strict=True):
        if first.ndim and first.shape[1:] == second.shape[1:]:
            rows = min(len(first), len(second))
            first, second = first[:rows], second[:rows]
        if first.shape != second.shape or first.dtype.kind not in "fiub":
            largest = max(largest, float(not np.array_equal(first, second)))
            continue
        first, second = first.astype(np.float64), second.astype(np.float64)
        move = np.nan_to_num(np.abs(first - second), nan=0.0)
        scale = np.nan_to_num(np.abs(first), posinf=0.0).max(initial=0.0) or 1.0
        largest = max(largest, float(move.max(initial=0.0) / scale))
    return largest
