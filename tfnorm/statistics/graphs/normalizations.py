"""Where a graph normalizes with statistics that no example changes.

    fused:             FusedBatchNorm*(x, scale, offset, mean, variance), is_training=False
    subtracted first:  (x - mean) * s * gamma + beta
    subtracted last:   x * (s * gamma) + (beta - mean * (s * gamma))

where s is rsqrt(variance + epsilon), or what divides by sqrt(variance + epsilon), with casts, reshapes and
identities anywhere in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from tensorflow.core.framework import node_def_pb2

from tfnorm.graph.nodes import data_inputs, producer
from tfnorm.graph.ops import NORMALIZATIONS, ROOTS, STATE_READS

Nodes = Mapping[str, node_def_pb2.NodeDef]
Values = Callable[[Sequence[str]], list[np.ndarray | None]]

CASTS = frozenset(("Cast", "Identity", "StopGradient", "PreventGradient", "Snapshot"))
"""They give what they are given, but for its type."""

_RESHAPES = CASTS | {"Reshape", "ExpandDims", "Squeeze", "Enter"}
_SPREADS = _RESHAPES | {"BroadcastTo", "Tile"}
_SUMS = frozenset(("Add", "AddV2", "BiasAdd"))
_QUOTIENTS = frozenset(("RealDiv", "Div"))
_INVERSES = frozenset(("Reciprocal", "Inv"))
_OF_SCALES = _SPREADS | _QUOTIENTS | _INVERSES | {"Mul"}
_OF_OFFSETS = _SPREADS | _SUMS | {"Sub", "Neg"}
_MEAN, _VARIANCE = 3, 4


@dataclass(frozen=True)
class Slot:
    """An input of a node."""

    node: str
    index: int


@dataclass(frozen=True)
class Normalization:
    """One place where a graph normalizes.

    Attributes:
        node: the op in which x meets the statistics.
        x: the tensor that is normalized.
        mean, variance: where the statistics come in.
        sources: the variables, or constants, that they come from: the mean's and the variance's.
        epsilon: what is added to the variance.
        like: a tensor that x is computed with element by element: where its shape has ones, or no
            axis, the values are of one channel; None for `axis`.
        axis: of the channels.
    """

    node: str
    x: str
    mean: Slot
    variance: Slot
    sources: tuple[str, str]
    epsilon: float
    like: str | None
    axis: int = -1


def normalizations(nodes: Nodes, varying: frozenset[str], values: Values) -> list[Normalization]:
    """The normalizations in a graph, in its order.

    Args:
        nodes: in topological order.
        varying: those that examples flow into.
        values: gives what tensors hold that no example flows into; None where that can't be told.
    """
    finder = _Finder(nodes, varying, values)
    found: dict[tuple[str, Slot], Normalization] = {}
    for one in finder.find():
        found.setdefault((one.x, one.mean), one)
    place = {name: i for i, name in enumerate(nodes)}
    return sorted(found.values(), key=lambda one: place[one.node])


@dataclass(frozen=True)
class _Variance:
    slot: Slot
    epsilon: float


class _Finder:
    def __init__(self, nodes: Nodes, varying: frozenset[str], values: Values):
        self._nodes = nodes
        self._varying = varying
        self._values = values
        self._readers: dict[str, list[Slot]] = {}
        for name, node in nodes.items():
            for index, tensor in enumerate(data_inputs(node)):
                self._readers.setdefault(tensor, []).append(Slot(name, index))

    def find(self) -> Iterator[Normalization]:
        roots = {n for n, v in self._nodes.items() if v.op in ROOTS and self._fixed(f"{n}:0")}
        self._values([tensor for name in roots for tensor in self._under(name)])
        for name, node in self._nodes.items():
            if node.op in NORMALIZATIONS:
                yield from self._fused(node)
            elif name in roots:
                yield from self._decomposed(node)

    def _under(self, root: str) -> list[str]:
        """What a root is taken of, or the parts of that sum."""
        tensor = self._read(self._behind(Slot(root, 0), _RESHAPES))
        if self._op(tensor) in (*_SUMS, "Maximum"):
            return [self._read(slot) for slot in self._inputs(tensor)]
        return [tensor]

    def _value(self, tensor: str) -> np.ndarray | None:
        return self._values([tensor])[0]

    def _fixed(self, tensor: str) -> bool:
        name = producer(tensor)
        # What stands outside is a variable, a table or an input, which `varying` has.
        return name not in self._varying

    def _read(self, slot: Slot) -> str:
        return data_inputs(self._nodes[slot.node])[slot.index]

    def _op(self, tensor: str) -> str:
        node = self._nodes.get(producer(tensor))
        return "" if node is None else str(node.op)

    def _inputs(self, tensor: str) -> list[Slot]:
        name = producer(tensor)
        return [Slot(name, i) for i in range(len(data_inputs(self._nodes[name])))]

    def _fused(self, node: node_def_pb2.NodeDef) -> Iterator[Normalization]:
        inputs = data_inputs(node)
        # TensorFlow takes True for an attribute that isn't there.
        training = "is_training" not in node.attr or node.attr["is_training"].b
        fixed = all(self._fixed(tensor) for tensor in inputs[_MEAN:])
        if training or self._fixed(inputs[0]) or not fixed:
            return
        epsilon = node.attr["epsilon"].f if "epsilon" in node.attr else 1e-4
        first = node.attr["data_format"].s.startswith(b"NC")
        mean, variance = Slot(node.name, _MEAN), Slot(node.name, _VARIANCE)
        sources = self._source(mean), self._source(variance)
        yield Normalization(
            node.name, inputs[0], mean, variance, sources, epsilon, None, 1 if first else -1
        )

    def _decomposed(self, root: node_def_pb2.NodeDef) -> Iterator[Normalization]:
        variance = self._variance(root)
        if variance is None:
            return
        scales, variance = self._scales(f"{root.name}:0", variance)
        for scale in scales:
            for slot in self._readers.get(scale, ()):
                if slot.node not in self._varying:
                    continue
                x = self._scaled(slot)
                met = None if x is None else self._met(x, slot.node, scale, scales)
                if met is None:
                    continue
                given, mean, like = met
                sources = self._source(mean), self._source(variance.slot)
                yield Normalization(
                    slot.node, given, mean, variance.slot, sources, variance.epsilon, like
                )

    def _variance(self, root: node_def_pb2.NodeDef) -> _Variance | None:
        """What a root is taken of: a variance, and what is added to it."""
        if root.op == "Pow":
            exponent = self._value(data_inputs(root)[1])
            if exponent is None or exponent.size != 1 or abs(float(exponent.item())) != 0.5:
                return None
        slot = self._behind(Slot(root.name, 0), _RESHAPES)
        summed = self._read(slot)
        if self._op(summed) in (*_SUMS, "Maximum"):
            split = self._split(summed)
            if split is None:
                return None
            slot, epsilon = split
            slot = self._behind(slot, CASTS)
        else:
            epsilon = 0.0
        value = self._value(self._read(slot))
        # A root of a number, such as that of a size, is no standard deviation.
        if value is None or (value.size == 1 and not self._is_variable(slot)):
            return None
        return _Variance(slot, epsilon)

    def _split(self, summed: str) -> tuple[Slot, float] | None:
        """The two parts of a sum: what has channels, and the number that is added to it."""
        parts = [(slot, self._value(self._read(slot))) for slot in self._inputs(summed)]
        numbers = [
            (float(value.item()), slot)
            for slot, value in parts
            if value is not None and value.size == 1
        ]
        if len(numbers) == 2 and sum(self._is_variable(slot) for slot, _ in parts) == 1:
            numbers = [one for one in numbers if not self._is_variable(one[1])]
        if not numbers:
            return None
        epsilon, number = min(numbers, key=lambda one: one[0])
        (slot,) = (slot for slot, _ in parts if slot != number)
        return slot, epsilon

    def _scales(self, root: str, variance: _Variance) -> tuple[list[str], _Variance]:
        """What is made of a root with other numbers that no example changes."""
        scales, pending = [root], [root]
        while pending:
            for slot in self._readers.get(pending.pop(), ()):
                node = self._nodes[slot.node]
                given = f"{slot.node}:0"
                if slot.node in self._varying or given in scales:
                    continue
                if self._op(root) == "Sqrt" and node.op in (*_SUMS, "Maximum"):
                    split = self._split(given)
                    if split is None or split[0] != slot:
                        continue
                    # Of sqrt(variance) + epsilon, or the larger of the two.
                    variance = _Variance(variance.slot, split[1] ** 2)
                elif node.op not in _OF_SCALES:
                    continue
                scales.append(given)
                pending.append(given)
        return scales, variance

    def _scaled(self, slot: Slot) -> str | None:
        """What is multiplied by the scale, or divided."""
        op, inputs = self._nodes[slot.node].op, data_inputs(self._nodes[slot.node])
        if op == "Mul" or (op in _QUOTIENTS and slot.index == 1):
            other = inputs[1 - slot.index]
            return None if self._fixed(other) else other
        return None

    def _met(
        self, scaled: str, node: str, scale: str, scales: list[str]
    ) -> tuple[str, Slot, str] | None:
        """x, where the mean comes in, and what has the shape of the channels."""
        before = self._before(scaled)
        if before is not None:
            return before
        offset = self._offset(f"{node}:0")
        mean = None if offset is None else self._mean_in(offset, scales)
        return None if mean is None else (scaled, mean, scale)

    def _before(self, scaled: str) -> tuple[str, Slot, str] | None:
        """x, the mean, and its shape, where it is subtracted before anything is scaled."""
        while (op := self._op(scaled)) in CASTS or op == "Mul" or op in _QUOTIENTS:
            inputs = [self._read(slot) for slot in self._inputs(scaled)]
            if op == "Mul" and self._fixed(inputs[0]):
                inputs.reverse()
            if self._fixed(inputs[0]) or not all(map(self._fixed, inputs[1:])):
                return None
            scaled = inputs[0]
        if op != "Sub" and op not in _SUMS:
            return None
        x, mean = self._inputs(scaled)
        if op in _SUMS and self._fixed(self._read(x)):
            x, mean = mean, x
        if self._fixed(self._read(x)) or not self._fixed(self._read(mean)):
            return None
        like, mean = self._read(mean), self._behind(mean, CASTS)
        if op in _SUMS:
            negated = self._behind(mean, _RESHAPES)
            if self._op(self._read(negated)) != "Neg":
                return None
            mean = Slot(producer(self._read(negated)), 0)
        return self._read(x), mean, like

    def _offset(self, scaled: str) -> str | None:
        """What is added to x once it is scaled."""
        for slot in self._readers.get(scaled, ()):
            node = self._nodes[slot.node]
            if node.op in _SUMS or (node.op == "Sub" and slot.index == 0):
                other = data_inputs(node)[1 - slot.index]
                if self._fixed(other):
                    return other
            elif node.op in (*CASTS, "Mul"):
                found = self._offset(f"{slot.node}:0")
                if found is not None:
                    return found
        return None

    def _mean_in(self, offset: str, scales: list[str]) -> Slot | None:
        """The mean that an offset holds, times the scale."""
        pending, seen = [offset], {offset}
        while pending:
            tensor = pending.pop()
            op = self._op(tensor)
            slots = self._inputs(tensor) if op else []
            if (op == "Mul" or op in _QUOTIENTS) and tensor in scales:
                others = [slot for slot in slots if self._read(slot) not in scales]
                if len(others) == 1:
                    return self._behind(others[0], CASTS | {"Neg"})
            if op in _OF_OFFSETS:
                new = [self._read(slot) for slot in slots]
                pending += [each for each in new if each not in seen]
                seen.update(new)
        return None

    def _behind(self, slot: Slot, ops: frozenset[str]) -> Slot:
        """The input in front of ops that hand their first input on."""
        while (op := self._op(tensor := self._read(slot))) and op in ops:
            slot = Slot(producer(tensor), 0)
        return slot

    def _source(self, slot: Slot) -> str:
        slot = self._behind(slot, _SPREADS | STATE_READS | {"Neg"})
        return self._read(slot)

    def _is_variable(self, slot: Slot) -> bool:
        """Whether it comes from what stands outside the graph."""
        return producer(self._source(slot)) not in self._nodes
