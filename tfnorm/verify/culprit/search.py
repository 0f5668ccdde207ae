"""Search a signature's graph for the first op whose rows move although its inputs' rows don't."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from tfnorm.errors import InputError
from tfnorm.graph.control_flow import BRANCHES, LOOPS, loop_body, loop_condition
from tfnorm.graph.nodes import data_inputs, producer
from tfnorm.graph.ops import SHAPES
from tfnorm.verify.culprit.pairs import Pair
from tfnorm.verify.culprit.probe import Probe
from tfnorm.verify.culprit.region import Region
from tfnorm.verify.culprit.rounding import EQUAL_SHAPES, OTHER_SHAPES
from tfnorm.verify.culprit.walk import walk_back

FETCHED_BYTES = 256 * 1024**2
_STRING_BYTES = 32
_MOST_TURNS = 64

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Found:
    """An op to blame.

    Args:
        region: where it stands.
        node: its name there.
        path: the ops through which its movement reaches the outputs, it included.
        lost_batch: its outputs have no batch axis.
    """

    region: Region
    node: str
    path: frozenset[str]
    lost_batch: bool


@dataclass(frozen=True)
class _View:
    """A region as a pair of batches shows it.

    Args:
        region: the region.
        alone: each tensor's shape for the watched rows alone.
        full: its shape in the first batch.
        lengths: the tensors that padding changes though they hold no rows.
    """

    region: Region
    alone: Shapes
    full: Shapes
    lengths: frozenset[str]


class Search:
    """Compares the tensors of two batches, region by region.

    Args:
        probe: the signature laid open.
        pair: the two batches.
        fetched_bytes: how much of one batch to fetch at once; a graph with more is bisected.
    """

    def __init__(self, probe: Probe, pair: Pair, *, fetched_bytes: int = FETCHED_BYTES):
        self._probe = probe
        self._fetched_bytes = fetched_bytes
        shapes = [probe.shapes(probe.base, feeds) for feeds in pair.feeds]
        if shapes[0] != shapes[1] and pair.rounding == EQUAL_SHAPES:
            pair = replace(pair, rounding=OTHER_SHAPES)
        self._pair = pair

    def find(self) -> Found | None:
        """The op to blame; None if no output moves."""
        return self._find(self._view(self._probe.base))

    def _find(self, view: _View) -> Found | None:
        region = view.region
        nodes, targets = list(region.nodes), region.outputs
        cuts = self._cuts(view)
        if len(cuts) > 2:
            low, high = self._bisect(view, cuts)
            if high < len(nodes):
                targets = self._moved(view, _crossing(region, high))
            nodes = nodes[low:high]
        inside = set(nodes)
        moved = self._moved(view, [t for t in region.tensors if producer(t) in inside])
        walk = walk_back(region, targets, inside=inside, moved=set(moved))
        for node in walk.roots:
            if region.caller and region.nodes[node].op.startswith("TensorList"):
                # The loop takes the batch row by row, so it is the loop that mixes them.
                continue
            if region.nodes[node].op in SHAPES:
                second = self._probe.shapes(region, self._pair.feeds[1])
                node = _reshaping(region, node, view.full, second)
            outputs = [t for t in region.tensors if producer(t) == node]
            lost_batch = bool(outputs) and all(view.alone[t] == view.full[t] for t in outputs)
            found = Found(region, node, walk.path, lost_batch)
            return self._inside(view, found) or found
        return None

    def _inside(self, view: _View, found: Found) -> Found | None:
        """The op to blame within a branch or a loop."""
        op_type = found.region.nodes[found.node].op
        if op_type in BRANCHES:
            branch = self._probe.taken_branch(found.region, found.node, self._pair.feeds[0])
            return self._find(self._view(branch, view))
        if op_type in LOOPS:
            return self._in_turns(view, found.node)
        return None

    def _in_turns(self, view: _View, name: str) -> Found | None:
        node = view.region.nodes[name]
        state, around = data_inputs(node), view
        for _ in range(_MOST_TURNS):
            region = around.region
            condition = self._probe.inside(region, name, loop_condition(node), state)
            go_on = [bool(self._probe.run(f, condition.outputs)[0]) for f in self._pair.feeds]
            if not all(go_on):
                if self._pair.longer or not any(go_on):
                    return None
                return self._find(self._view(condition, around))
            turn = self._view(self._probe.inside(region, name, loop_body(node), state), around)
            if self._gives_moved(turn):
                return self._find(turn)
            # The next turn reads what this one gives.
            region = replace(region, varying=turn.region.varying)
            around = replace(around, region=region, lengths=turn.lengths)
            state = turn.region.outputs
        return None

    def _gives_moved(self, turn: _View) -> bool:
        """Whether a turn of a loop moves its state, or what it writes to a list."""
        region = turn.region
        given = set(region.outputs)
        for output in region.outputs:
            if output not in region.tensors and producer(output) in region.nodes:
                given.update(data_inputs(region.nodes[producer(output)]))
        return bool(self._moved(turn, [tensor for tensor in region.tensors if tensor in given]))

    def _view(self, region: Region, outside: _View | None = None) -> _View:
        """The region as the two batches show it; `outside` is the one around it."""
        full = self._probe.shapes(region, self._pair.feeds[0])
        # Padding changes the lengths that a graph computes with: only what they do to rows counts.
        known = outside.lengths if outside else frozenset[str]()
        if self._pair.longer:
            known = lengths(region, known)
        return _View(region, self._alone(region, full), full, known)

    def _alone(self, region: Region, full: Shapes) -> Shapes:
        if self._pair.alone is not None:
            try:
                return self._probe.shapes(region, self._pair.alone)
            except InputError:
                # A loop over the rows, at a turn that the watched ones alone don't reach.
                pass
        watched, size = self._pair.alignment.watched, self._pair.alignment.sizes[0]
        return {t: _first_axis_cut(shape, watched, size) for t, shape in full.items()}

    def _moved(self, view: _View, tensors: Iterable[str]) -> list[str]:
        tensors = [tensor for tensor in tensors if tensor not in view.lengths]
        first, second = (self._probe.run(feeds, tensors) for feeds in self._pair.feeds)
        return [
            tensor
            for tensor, a, b in zip(tensors, first, second, strict=True)
            if self._pair.moved(view.alone[tensor], np.asarray(a), np.asarray(b))
        ]

    def _cuts(self, view: _View) -> list[int]:
        """Where to cut the list of ops so that each piece can be fetched at once."""
        sizes = dict.fromkeys(view.region.nodes, 0)
        for tensor, shape in view.full.items():
            element = self._probe.dtype(tensor).size or _STRING_BYTES
            sizes[producer(tensor)] += math.prod(shape) * element
        cuts, fetched = [0], 0
        for place, size in enumerate(sizes.values()):
            if fetched and fetched + size > self._fetched_bytes:
                cuts.append(place)
                fetched = 0
            fetched += size
        return [*cuts, len(sizes)]

    def _bisect(self, view: _View, cuts: list[int]) -> tuple[int, int]:
        """The piece at whose start no tensor has moved, and at whose end one has."""
        low, high = 0, len(cuts) - 1
        while high - low > 1:
            middle = (low + high) // 2
            if self._moved(view, _crossing(view.region, cuts[middle])):
                high = middle
            else:
                low = middle
        return cuts[low], cuts[high]


def lengths(region: Region, outside: frozenset[str] = frozenset()) -> frozenset[str]:
    """The tensors that depend on shapes alone; `outside` are those of the regions around."""
    found = set(outside)
    for tensor in region.tensors:
        node = region.nodes[producer(tensor)]
        varying = {t for t in data_inputs(node) if region.varies(t)}
        if node.op in SHAPES or (varying and varying <= found):
            found.add(tensor)
    return frozenset(found)


def _reshaping(region: Region, name: str, first: Shapes, second: Shapes) -> str:
    """For an op that only reads a shape that moved, the op that gave its input that shape."""
    while name in region.nodes:
        changed = [t for t in data_inputs(region.nodes[name]) if first.get(t) != second.get(t)]
        before = [producer(t) for t in changed if producer(t) in region.nodes]
        if not before:
            break
        name = before[0]
    return name


def _crossing(region: Region, cut: int) -> list[str]:
    """The tensors made before a cut that are read after it, or are outputs."""
    names = list(region.nodes)
    before = set(names[:cut])
    read = {t for name in names[cut:] for t in data_inputs(region.nodes[name])}
    read.update(region.outputs)
    return [t for t in region.tensors if t in read and producer(t) in before]


def _first_axis_cut(shape: tuple[int, ...], watched: int, size: int) -> tuple[int, ...]:
    """A tensor's shape for the watched rows, guessed where the batch size can't be changed."""
    for axis, length in enumerate(shape):
        if length and length % size == 0:
            return (*shape[:axis], length // size * watched, *shape[axis + 1 :])
    return shape
