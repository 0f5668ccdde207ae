"""Find where the batch size itself flows into the rows, by putting another size in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import node_def_pb2

from tfnorm.differences import are_equal
from tfnorm.graph.control_flow import BRANCHES
from tfnorm.graph.nodes import data_inputs, producer
from tfnorm.graph.ops import SHAPES
from tfnorm.verify.culprit.batches import Feeds
from tfnorm.verify.culprit.probe import Copy, Probe
from tfnorm.verify.culprit.region import Region
from tfnorm.verify.culprit.rounding import EQUAL_SHAPES


@dataclass(frozen=True)
class Mixed:
    """The op that mixes the batch size into the rows, and the one that the size comes from."""

    region: Region
    node: str
    source: str | None


class SizeFlow:
    """Tells a small batch that it is a large one, and looks at what moves.

    Both run the same kernels on the same shapes, so that no rounding is mistaken for the size.

    Args:
        probe: the signature laid open.
        small: the batch.
    """

    def __init__(self, probe: Probe, small: Feeds):
        self._probe = probe
        self._small = small
        self._copies: dict[str, Copy] = {}

    def find(self, large: Feeds) -> Mixed | None:
        """The first op that takes the size of `large` in and passes it on to the outputs."""
        return self._find(self._probe.base, large, {})

    def _find(
        self, region: Region, large: Feeds, outside: Mapping[str, np.ndarray]
    ) -> Mixed | None:
        shapes = self._probe.shapes(region, self._small), self._probe.shapes(region, large)
        same = [tensor for tensor in region.tensors if shapes[0][tensor] == shapes[1][tensor]]
        values = self._probe.run(self._small, same), self._probe.run(large, same)
        sizes = dict(outside)
        for tensor, first, second in zip(same, *values, strict=True):
            if not are_equal(first, second):
                sizes[tensor] = second
        rows: dict[str, list[str]] = {}
        for tensor in set(region.tensors).difference(same):
            rows.setdefault(producer(tensor), []).append(tensor)
        readers = [
            node
            for name, node in region.nodes.items()
            if name in rows and not sizes.keys().isdisjoint(data_inputs(node))
        ]
        new = [node for node in readers if node.name not in self._copies]
        self._copies |= self._probe.add_copies(region, new)
        known = self._known([t for node in readers for t in rows[node.name]], readers)
        for name, node in region.nodes.items():
            if name not in rows:
                continue
            passing = [
                tensor
                for tensor in dict.fromkeys(data_inputs(node))
                if tensor in sizes
                and self._passes_on(
                    region, name, {**known, tensor: sizes[tensor]}, known, rows[name]
                )
            ]
            if node.op in BRANCHES and data_inputs(node)[0] not in passing:
                branch = self._probe.taken_branch(region, name, self._small)
                if found := self._find(branch, large, sizes):
                    return found
            if passing:
                source = _source(region, passing[0], sizes)
                if source and region.nodes[source].op not in SHAPES:
                    return Mixed(region, source, None)
                return Mixed(region, name, source)
        return None

    def _known(self, rows: list[str], readers: list[node_def_pb2.NodeDef]) -> Feeds:
        """The values, in the small batch, of what the readers read and give."""
        read = [t for node in readers for t in self._copies[node.name].placeholders]
        tensors = list(dict.fromkeys([*rows, *read]))
        return dict(zip(tensors, self._probe.run(self._small, tensors), strict=True))

    def _passes_on(
        self, region: Region, name: str, changed: Feeds, known: Feeds, rows: list[str]
    ) -> bool:
        """Whether an op with a changed input moves its rows and, with them, the outputs.

        An op that refuses the change, or gives another shape, takes the size for shapes alone.
        """
        indices = [int(row.rpartition(":")[2]) for row in rows]
        before = [known[row] for row in rows]
        try:
            after = self._probe.run_copy(self._copies[name], self._small, changed, indices)
        except tf.errors.OpError:
            return False
        if any(np.shape(a) != np.shape(b) for a, b in zip(before, after, strict=True)):
            return False
        if not _differ(before, after):
            return False
        outputs = [tensor for tensor in region.outputs if tensor in region.tensors]
        replaced = dict(zip(rows, after, strict=True))
        return _differ(
            self._probe.run(self._small, outputs), self._probe.run(self._small, outputs, replaced)
        )


def _differ(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> bool:
    pairs = zip(map(np.asarray, first), map(np.asarray, second), strict=True)
    return any(EQUAL_SHAPES.differ(a, b) for a, b in pairs)


def _source(region: Region, tensor: str, sizes: Mapping[str, np.ndarray]) -> str | None:
    """The op of the region that the size comes from; None if it comes from outside."""
    name = producer(tensor)
    while name in region.nodes:
        before = [t for t in data_inputs(region.nodes[name]) if t in sizes]
        if not before:
            return name
        name = producer(before[0])
    return None
