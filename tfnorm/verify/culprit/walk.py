"""Go back from moved outputs, through moved tensors, to where the movement starts."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from tfnorm.graph.control_flow import BRANCHES, LOOPS
from tfnorm.graph.nodes import data_inputs, producer
from tfnorm.verify.culprit.region import Region


@dataclass(frozen=True)
class Walk:
    """What was passed.

    Args:
        roots: the ops with moved outputs and unmoved inputs, in topological order.
        path: all ops through which the movement reaches the outputs, the roots included.
    """

    roots: list[str]
    path: frozenset[str]


def walk_back(
    region: Region, outputs: Iterable[str], *, inside: Collection[str], moved: Collection[str]
) -> Walk:
    """Go back from `outputs` as far as tensors moved.

    Args:
        region: the graph.
        outputs: where to start; those that didn't move lead nowhere.
        inside: the nodes to stay within.
        moved: of the tensors that could be compared there, those that moved.
    """
    has_moved = _Moved(region, inside, moved)
    pending = [producer(output) for output in outputs if has_moved(output)]
    path, roots = set(), set()
    while pending:
        name = pending.pop()
        if name in path:
            continue
        path.add(name)
        before = [tensor for tensor in data_inputs(region.nodes[name]) if has_moved(tensor)]
        pending += map(producer, before)
        if not before:
            roots.add(name)
    return Walk([name for name in region.nodes if name in roots], frozenset(path))


class _Moved:
    """What can't be compared has moved if an input has, or if it leaves a loop or a branch."""

    def __init__(self, region: Region, inside: Collection[str], moved: Collection[str]):
        self._region = region
        self._inside = inside
        self._moved = moved
        self._compared = set(region.tensors)
        self._guessed: dict[str, bool] = {}

    def __call__(self, tensor: str) -> bool:
        name = producer(tensor)
        if name not in self._inside:
            return False
        if tensor in self._compared:
            return tensor in self._moved
        if tensor not in self._guessed:
            # A loop of TF 1 comes back to where it began.
            self._guessed[tensor] = False
            node = self._region.nodes[name]
            self._guessed[tensor] = self._region.varies(tensor) and (
                node.op in (*LOOPS, *BRANCHES) or any(map(self, data_inputs(node)))
            )
        return self._guessed[tensor]
