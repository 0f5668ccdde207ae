"""SavedModels that are watched while they score: what their normalizations are given."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from tensorflow.core.framework import node_def_pb2

from tfnorm.differences import is_floating
from tfnorm.errors import InputError
from tfnorm.graph.nodes import data_inputs, needed, producer
from tfnorm.graph.ops import STATE_READS
from tfnorm.graph.origins import Layers
from tfnorm.graph.varying import hidden
from tfnorm.session import SavedModel
from tfnorm.statistics.graphs.batch_moments import reductions
from tfnorm.statistics.graphs.normalizations import Normalization, Slot, normalizations
from tfnorm.statistics.graphs.opened import OWN, Nodes, Opened
from tfnorm.statistics.judgement import Moments, Used, merged
from tfnorm.statistics.watch import Arrays, Watched

_FEW = (4, 6)
"""How many examples are run to learn which axes grow with their number."""

_MOVING, _MEAN = ("moving_mean", "running_mean"), "mean"


@dataclass(frozen=True, eq=False)
class _Call:
    """A normalization, what its statistics are called by, and where those of others may be fed."""

    found: Normalization
    layer: Watched
    like: tuple[int, ...] | None

    def moments(self, x: np.ndarray) -> Moments:
        """Those of each channel of x."""
        if self.like is None:
            channels = [self.found.axis % x.ndim]
        else:
            shape = (1,) * (x.ndim - len(self.like)) + self.like
            channels = [axis for axis, size in enumerate(shape) if size > 1]
        values = np.moveaxis(x.astype(np.float64), channels, range(len(channels)))
        values = values.reshape(math.prod(values.shape[: len(channels)]), -1)
        count = np.full(len(values), values.shape[1], np.float64)
        if not values.size:
            return Moments(count, np.zeros(len(values)), np.zeros(len(values)))
        mean = values.mean(axis=1)
        return Moments(count, mean, np.square(values - mean[:, None]).sum(axis=1))


class GraphWatch:
    """Runs a signature, and keeps what its normalizations with fixed statistics are given.

    Args:
        model: a loaded SavedModel.
        signature: the name of the signature.
        examples: input name -> `[examples, ...]`, which decide what branches are taken.
        constants: input name -> what it is in every batch, of those that examples lack.
        frozen: the names of layers to leave out.

    Attributes:
        called: the layers that normalize, in the order of the graph.
        by_batch: the names of those that normalize by moments of the batch.
        unseen: the names of those that stand in loops and undecided branches.

    Raises:
        InputError: the examples don't fit the signature, or statistics can't be read.
    """

    def __init__(
        self,
        model: SavedModel,
        signature: str,
        examples: Arrays,
        constants: Arrays = MappingProxyType({}),
        frozen: Collection[str] = (),
    ):
        few = [{name: array[:count] for name, array in examples.items()} for count in _FEW]
        self._opened = Opened(model, signature, [*few, examples], constants)
        self._layers = Layers(self._opened.graph.nodes.values(), self._opened.graph.origins)
        self._hidden = hidden(self._opened.nodes)
        found = normalizations(self._opened.nodes, self._opened.varying, self._opened.values)
        found = [one for one in found if self._name(one) not in frozen]
        seen = [one for one in found if self._hidden.isdisjoint((one.node, producer(one.x)))]
        self.by_batch = self._by_batch(few)
        self.unseen = [self._name(one) for one in found if one not in seen]
        self.unseen += self._in_loops(found)
        self._calls = self._with_layers(seen)
        self.called = list(dict.fromkeys(call.layer for call in self._calls))
        self._given = {
            slot: f"{OWN}{i}:0"
            for i, slot in enumerate(dict.fromkeys(s for c in self._calls for s in _slots(c)))
        }
        self._prefix = self._opened.add(self._open_to_others())
        self._levels = self._in_levels()

    def used(self, features: Arrays) -> tuple[dict[str, np.ndarray], dict[Watched, Moments]]:
        inputs = [call.found.x for call in self._calls]
        names = list(self._opened.outputs)
        tensors = [*self._opened.outputs.values(), *inputs]
        values = self._opened.fetch(tensors, features, prefix=self._prefix)
        seen: dict[Watched, list[Moments]] = {}
        for call, x in zip(self._calls, values[len(names) :], strict=True):
            seen.setdefault(call.layer, []).append(call.moments(x))
        outputs = _floating(names, values[: len(names)])
        return outputs, {layer: merged(parts) for layer, parts in seen.items()}

    def own(self, features: Arrays) -> dict[str, np.ndarray]:
        fed: dict[str, np.ndarray] = {}
        for level in self._levels:
            inputs = list(dict.fromkeys(call.found.x for calls in level for call in calls))
            values = self._opened.fetch(inputs, features, fed, self._prefix)
            given = dict(zip(inputs, values, strict=True))
            for calls in level:
                own = merged([call.moments(given[call.found.x]) for call in calls])
                for call in calls:
                    fed |= self._statistics(call, own)
                # What comes before is not computed again, but where one call feeds another.
                x = calls[0].found.x
                if len(calls) == 1 and x not in self._opened.inputs.values():
                    fed[x] = given[x]
        tensors = list(self._opened.outputs.values())
        values = self._opened.fetch(tensors, features, fed, self._prefix)
        return _floating(list(self._opened.outputs), values)

    def _statistics(self, call: _Call, own: Moments) -> dict[str, np.ndarray]:
        """What is fed to a call in the place of its statistics; a channel without values keeps its own."""
        fed = {}
        used = call.layer.used.mean, call.layer.used.variance
        for slot, value, kept in zip(_slots(call), (own.mean, own.variance), used, strict=True):
            was = self._value(slot)
            new = np.where(own.count > 0, value, kept).reshape(was.shape)
            fed[self._given[slot]] = new.astype(was.dtype)
        return fed

    def _with_layers(self, seen: Sequence[Normalization]) -> list[_Call]:
        layers: dict[tuple[str, str], Watched] = {}
        calls = []
        slots = [slot for one in seen for slot in (one.mean, one.variance)]
        shapes = [one.like for one in seen if one.like is not None]
        self._opened.values([*map(self._tensor, slots), *shapes])
        for one in seen:
            mean, variance = (
                self._value(slot).astype(np.float64).ravel() for slot in (one.mean, one.variance)
            )
            like = None if one.like is None else self._opened.values([one.like])[0]
            shape = None if like is None else like.shape
            channels = len(mean) if shape is None else math.prod(shape)
            if not len(mean) == len(variance) == channels:
                self.unseen.append(self._name(one))
                continue
            used = Used(mean, variance)
            if self._is_moving(one):
                initial = np.zeros_like(mean), np.ones_like(mean)
                used = Used(mean, variance, *initial, settled=self._is_settled(one))
            layer = Watched(self._name(one), used, one.epsilon)
            calls.append(_Call(one, layers.setdefault(one.sources, layer), shape))
        return calls

    def _value(self, slot: Slot) -> np.ndarray:
        """What comes in there, which no example changes."""
        (value,) = self._opened.values([self._tensor(slot)])
        if value is None:
            raise InputError(f"the statistics that {slot.node} reads can't be told")
        return value

    def _tensor(self, slot: Slot) -> str:
        return data_inputs(self._opened.nodes[slot.node])[slot.index]

    def _is_moving(self, one: Normalization) -> bool:
        """Whether the mean was a moving one, which begins at 0, and not computed from data at once."""
        name = self._readable(producer(one.sources[0])).rpartition("/")[2]
        variable = producer(one.sources[0]) not in self._opened.nodes
        return name.startswith(_MOVING) or (variable and name != _MEAN)

    def _is_settled(self, one: Normalization) -> bool:
        """Whether no variable has a part in what is given there, in a graph that has its weights in those."""
        nodes = self._opened.nodes
        above = needed(nodes.values(), [one.x])
        read = {producer(tensor) for node in above for tensor in data_inputs(node)}
        fed = {producer(tensor) for tensor in self._opened.inputs.values()}
        alone = not any(node.op in STATE_READS for node in above) and read <= nodes.keys() | fed
        return producer(one.sources[0]) not in nodes and alone

    def _name(self, one: Normalization) -> str:
        owner, _, last = self._readable(producer(one.sources[0])).rpartition("/")
        if owner and last.startswith((*_MOVING, _MEAN)):
            return owner
        return self._layer(self._readable(one.node))

    def _readable(self, node: str) -> str:
        origins = self._opened.graph.origins
        return origins[node].name if node in origins else node

    def _layer(self, op: str) -> str:
        return self._layers.path(op) or op

    def _by_batch(self, few: Sequence[Arrays]) -> list[str]:
        opened = self._opened
        found = [
            one
            for one in reductions(opened.nodes, opened.varying, opened.values)
            if self._hidden.isdisjoint((one.node, producer(one.x)))
        ]
        inputs = [one.x for one in found]
        fewer, more = ([x.shape for x in opened.fetch(inputs, rows)] for rows in few)
        names = [
            self._layer(self._readable(one.node))
            for one, first, second in zip(found, fewer, more, strict=True)
            if one.axes is None or any(first[axis] != second[axis] for axis in one.axes)
        ]
        return list(dict.fromkeys(names))

    def _in_loops(self, seen: Sequence[Normalization]) -> list[str]:
        """The names of what normalizes inside of loops and branches that aren't decided."""
        opened, full = self._opened, self._opened.full
        if full is opened.graph:
            return []
        prefix = opened.add(full.nodes)
        layers = Layers(full.nodes.values(), full.origins)
        found = normalizations(
            full.nodes, opened.varying_of_full(), lambda tensors: opened.values(tensors, prefix)
        )
        ops = [full.origins[one.node].name for one in found if one not in seen]
        return list(dict.fromkeys(layers.path(op) or op for op in ops))

    def _open_to_others(self) -> Nodes:
        """The graph with a node of its own wherever statistics come in, which can be fed."""
        nodes = {}
        for name, node in self._opened.nodes.items():
            nodes[name] = node_def_pb2.NodeDef()
            nodes[name].CopyFrom(node)
        for slot, given in self._given.items():
            tensor = data_inputs(nodes[slot.node])[slot.index]
            nodes[slot.node].input[slot.index] = given
            own = nodes[producer(given)] = node_def_pb2.NodeDef(
                name=producer(given), op="Identity", input=[tensor]
            )
            own.attr["T"].type = self._opened.dtype(tensor).as_datatype_enum
        return nodes

    def _in_levels(self) -> list[list[list[_Call]]]:
        """The calls, those that share statistics together, after those that they depend on."""
        groups: list[list[_Call]] = []
        for call in self._calls:
            for group in groups:
                if any(not set(_slots(call)).isdisjoint(_slots(other)) for other in group):
                    group.append(call)
                    break
            else:
                groups.append([call])
        levels: list[list[list[_Call]]] = []
        for group in groups:
            inputs = [call.found.x for call in group]
            before = {node.name for node in needed(self._opened.nodes.values(), inputs)}
            depth = 0
            for number, level in enumerate(levels):
                if any(call.found.node in before for calls in level for call in calls):
                    depth = number + 1
            levels[depth : depth + 1] = [[*(levels[depth] if depth < len(levels) else ()), group]]
        return levels


def _slots(call: _Call) -> tuple[Slot, Slot]:
    return call.found.mean, call.found.variance


def _floating(names: Sequence[str], values: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    return {
        name: value.astype(np.float64)
        for name, value in zip(names, values, strict=True)
        if is_floating(value)
    }
