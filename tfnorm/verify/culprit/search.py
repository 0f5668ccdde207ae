"""Search a signature's graph for the first op whose rows move although its inputs' rows don't."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from tfnorm.errors import InputError
from tfnorm.graph.inline import (
    BRANCHES,
    LOOPS,
    branches,
    data_inputs,
    loop_body,
    loop_condition,
    producer,
)
from tfnorm.graph.ops import SHAPES
from tfnorm.verify.culprit.pairs import OTHER_KERNELS, SAME_KERNELS, Feeds, Pair
from tfnorm.verify.culprit.probe import Probe, Region

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
        self._pair = pair
        # Padding changes the lengths that a graph computes with: only what they do to rows counts.
        self._lengths: set[str] = set()
        shapes = [probe.base.shapes(feeds) for feeds in pair.feeds]
        if shapes[0] != shapes[1] and pair.tolerance == SAME_KERNELS:
            self._pair = replace(pair, tolerance=OTHER_KERNELS)

    def find(self) -> Found | None:
        """The op to blame; None if no output moves."""
        return self._find(self._probe.base)

    def _find(self, region: Region) -> Found | None:
        if self._pair.kind == "padding":
            self._lengths |= _lengths(self._probe, region, self._lengths)
        alone, full = self._shapes(region)
        nodes, targets = list(region.nodes), region.outputs
        cuts = self._cuts(region, full)
        if len(cuts) > 2:
            low, high = self._bisect(region, alone, cuts)
            if high < len(nodes):
                targets = self._moved(alone, _crossing(region, high))
            nodes = nodes[low:high]
        inside = set(nodes)
        moved = set(self._moved(alone, [t for t in region.tensors if producer(t) in inside]))
        walk = _Walk(self._probe, region, inside, moved)
        for node in walk.roots(targets):
            if region.caller and region.nodes[node].op.startswith("TensorList"):
                # The loop takes the batch row by row, so it is the loop that mixes them.
                continue
            if region.nodes[node].op in SHAPES:
                node = _reshaping(region, node, full, region.shapes(self._pair.feeds[1]))
            outputs = [t for t in region.tensors if producer(t) == node]
            lost_batch = bool(outputs) and all(alone[t] == full[t] for t in outputs)
            found = Found(region, node, frozenset(walk.path), lost_batch)
            return self._inside(found) or found
        return None

    def _inside(self, found: Found) -> Found | None:
        """The op to blame within a branch or a loop."""
        node = found.region.nodes[found.node]
        if node.op in BRANCHES:
            return self._find(
                taken_branch(self._probe, found.region, found.node, self._pair.feeds[0])
            )
        if node.op in LOOPS:
            return self._in_turns(found.region, found.node)
        return None

    def _in_turns(self, region: Region, name: str) -> Found | None:
        node = region.nodes[name]
        state = data_inputs(node)
        for _ in range(_MOST_TURNS):
            condition = self._probe.inside(region, name, loop_condition(node), state)
            go_on = [bool(self._probe.run(f, condition.outputs)[0]) for f in self._pair.feeds]
            if not all(go_on):
                longer = self._pair.kind == "padding" or not any(go_on)
                return None if longer else self._find(condition)
            turn = self._probe.inside(region, name, loop_body(node), state)
            if self._gives_moved(turn):
                return self._find(turn)
            state = turn.outputs
        return None

    def _gives_moved(self, turn: Region) -> bool:
        """Whether a turn of a loop moves its state, or what it writes to a list."""
        if self._pair.kind == "padding":
            self._lengths |= _lengths(self._probe, turn, self._lengths)
        given = set(turn.outputs)
        for output in turn.outputs:
            if output not in turn.tensors and producer(output) in turn.nodes:
                given.update(data_inputs(turn.nodes[producer(output)]))
        alone, _ = self._shapes(turn)
        return bool(self._moved(alone, [tensor for tensor in turn.tensors if tensor in given]))

    def _shapes(self, region: Region) -> tuple[Shapes, Shapes]:
        """Each tensor's shape for the watched rows alone, and in the whole batch."""
        full = region.shapes(self._pair.feeds[0])
        if self._pair.alone is not None:
            try:
                return region.shapes(self._pair.alone), full
            except InputError:
                # A loop over the rows, at a turn that the watched ones alone don't reach.
                pass
        watched, size = self._pair.alignment.watched, self._pair.alignment.sizes[0]
        return {t: _first_axis_cut(shape, watched, size) for t, shape in full.items()}, full

    def _moved(self, alone: Shapes, tensors: Iterable[str]) -> list[str]:
        tensors = [tensor for tensor in tensors if tensor not in self._lengths]
        first, second = (self._probe.run(feeds, tensors) for feeds in self._pair.feeds)
        return [
            tensor
            for tensor, a, b in zip(tensors, first, second, strict=True)
            if self._pair.moved(alone[tensor], np.asarray(a), np.asarray(b))
        ]

    def _cuts(self, region: Region, full: Shapes) -> list[int]:
        """Where to cut the list of ops so that each piece can be fetched at once."""
        sizes = dict.fromkeys(region.nodes, 0)
        for tensor, shape in full.items():
            element = self._probe.dtype(tensor).size or _STRING_BYTES
            sizes[producer(tensor)] += math.prod(shape) * element
        cuts, fetched = [0], 0
        for place, size in enumerate(sizes.values()):
            if fetched and fetched + size > self._fetched_bytes:
                cuts.append(place)
                fetched = 0
            fetched += size
        return [*cuts, len(sizes)]

    def _bisect(self, region: Region, alone: Shapes, cuts: list[int]) -> tuple[int, int]:
        """The piece at whose start no tensor has moved, and at whose end one has."""
        low, high = 0, len(cuts) - 1
        while high - low > 1:
            middle = (low + high) // 2
            if self._moved(alone, _crossing(region, cuts[middle])):
                high = middle
            else:
                low = middle
        return cuts[low], cuts[high]


class _Walk:
    """Goes back from moved outputs, through moved tensors, to where the movement starts."""

    def __init__(self, probe: Probe, region: Region, inside: set[str], moved: set[str]):
        self._probe = probe
        self._region = region
        self._inside = inside
        self._moved = moved
        self._fetched = set(region.tensors)
        self._known: dict[str, bool] = {}
        self.path: set[str] = set()

    def roots(self, outputs: Iterable[str]) -> list[str]:
        """The ops with moved outputs and unmoved inputs, in topological order."""
        pending = [producer(output) for output in outputs if self._has_moved(output)]
        roots = set()
        while pending:
            name = pending.pop()
            if name in self.path:
                continue
            self.path.add(name)
            moved = [t for t in data_inputs(self._region.nodes[name]) if self._has_moved(t)]
            pending += map(producer, moved)
            if not moved:
                roots.add(name)
        return [name for name in self._region.nodes if name in roots]

    def _has_moved(self, tensor: str) -> bool:
        """What can't be fetched has moved if an input has, or if it leaves a loop or a branch."""
        name = producer(tensor)
        if name not in self._inside:
            return False
        if tensor in self._fetched:
            return tensor in self._moved
        if tensor not in self._known:
            self._known[tensor] = False
            node = self._region.nodes[name]
            self._known[tensor] = self._probe.varies(tensor) and (
                node.op in (*LOOPS, *BRANCHES) or any(map(self._has_moved, data_inputs(node)))
            )
        return self._known[tensor]


def taken_branch(probe: Probe, region: Region, name: str, feeds: Feeds) -> Region:
    """The branch that an `If` or a `Case` takes for a batch."""
    node = region.nodes[name]
    selector, *values = data_inputs(node)
    chosen = np.asarray(probe.run(feeds, [selector])[0])
    functions = branches(node)
    if node.op.endswith("If"):
        place = 0 if (chosen.item() if chosen.ndim == 0 else chosen.size) else 1
    else:
        place = int(chosen) if 0 <= int(chosen) < len(functions) else len(functions) - 1
    return probe.inside(region, name, functions[place], values)


def _lengths(probe: Probe, region: Region, outside: set[str]) -> set[str]:
    """The tensors that depend on shapes alone; `outside` are those of the regions around."""
    lengths = set(outside)
    for tensor in region.tensors:
        node = region.nodes[producer(tensor)]
        varying = {t for t in data_inputs(node) if probe.varies(t)}
        if node.op in SHAPES or (varying and varying <= lengths):
            lengths.add(tensor)
    return lengths


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
