"""A signature laid open in its model's session: any tensor can be fetched, any op tried alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2

from tfnorm._tensorflow import import_graph
from tfnorm.errors import InputError
from tfnorm.graph.inline import (
    BRANCHES,
    LOOPS,
    Inlined,
    Inliner,
    control_inputs,
    data_inputs,
    producer,
    stateful,
)
from tfnorm.graph.ops import STATE_READS
from tfnorm.session import SavedModel
from tfnorm.verify.culprit.pairs import Feeds
from tfnorm.verify.culprit.rows import epsilon

_OPAQUE = (tf.resource, tf.variant)


class Region:
    """Ops that run together: the signature's, a branch's, or those of one turn of a loop.

    `tensors` are the ones that can be fetched and that may differ from call to call, in topological
    order. `caller` is the control flow op that the region is the inside of.
    """

    def __init__(self, probe: Probe, inlined: Inlined, caller: str | None = None):
        self.nodes = inlined.nodes
        self.origins = inlined.origins
        self.outputs = inlined.outputs
        self.caller = caller
        self.tensors = probe.varying_tensors(inlined)
        self._probe = probe
        self._shapes: list[str] | None = None

    def shapes(self, feeds: Feeds) -> dict[str, tuple[int, ...]]:
        """The shape of each of `tensors`."""
        if self._shapes is None:
            self._shapes = self._probe.add_shapes(self.tensors)
        shapes = self._probe.run(feeds, self._shapes)
        return {t: tuple(shape.tolist()) for t, shape in zip(self.tensors, shapes, strict=True)}


@dataclass(frozen=True)
class Copy:
    """An op that runs by itself: its name, and the placeholder of each tensor it reads."""

    name: str
    placeholders: dict[str, str]


class Probe:
    """Adds an inlined copy of a signature to the session of a loaded SavedModel.

    Args:
        model: the loaded SavedModel. What the signature assigns, it assigns here too.
        signature: the name of the signature.

    Raises:
        InputError: there is no such signature.
    """

    def __init__(self, model: SavedModel, signature: str):
        self.signature = model.signature(signature)
        definition = model.signature_defs[signature]
        self._placeholders = {name: info.name for name, info in definition.inputs.items()}
        self._session = model.session
        self._graph = model.graph
        self._regions = 0
        graph_def = self._graph.as_graph_def()
        self._inliner = Inliner(graph_def)
        self._varying = set(self._placeholders.values())
        fed = {producer(tensor) for tensor in self._varying}
        keep = fed | {n.name for n in graph_def.node if not n.input and stateful(n.op)}
        outputs = [info.name for info in definition.outputs.values()]
        inlined = self._inliner.graph(outputs, prefix=self._prefix(), keep=frozenset(keep))
        self._assigned = _assigned(inlined)
        self._effects = inlined.effects
        self.base = self._region(inlined)

    @property
    def epsilon(self) -> float:
        """The coarsest rounding among the tensors that the inputs flow through."""
        return max((epsilon(self.dtype(t)) for t in self.base.tensors), default=0.0)

    def dtype(self, tensor: str) -> tf.DType:
        """The type of a tensor."""
        return self._graph.get_tensor_by_name(tensor).dtype.base_dtype

    def run(
        self, feeds: Feeds, tensors: Sequence[str], replaced: Feeds | None = None
    ) -> list[np.ndarray]:
        """Call the signature with its effects, and fetch tensors of any region.

        Args:
            feeds: input name -> array.
            tensors: their names.
            replaced: tensor name -> the value that its readers see in its place.

        Raises:
            InputError: the model refuses the values.
        """
        fed = {self._placeholders[name]: array for name, array in feeds.items()}
        try:
            return self._session.run([list(tensors), self._effects], {**fed, **(replaced or {})})[0]
        except tf.errors.InvalidArgumentError as error:
            raise InputError(
                f"{self.signature.name!r} refuses these inputs: {error.message}"
            ) from error

    def inside(self, region: Region, caller: str, function: str, values: Sequence[str]) -> Region:
        """A function of a control flow op in `region`, called with the tensors `values`."""
        inlined = self._inliner.function(
            function,
            values,
            prefix=self._prefix(),
            caller=region.origins[caller].name,
            control=control_inputs(region.nodes[caller]),
        )
        return self._region(inlined, caller)

    def add_shapes(self, tensors: Iterable[str]) -> list[str]:
        """Add ops that give the shapes of `tensors`."""
        prefix = self._prefix()
        graph_def = graph_pb2.GraphDef()
        for number, tensor in enumerate(tensors):
            node = graph_def.node.add(name=f"{prefix}{number}", op="Shape", input=[tensor])
            node.attr["T"].type = self.dtype(tensor).as_datatype_enum
            node.attr["out_type"].type = tf.int64.as_datatype_enum
        self._import(graph_def.node)
        return [f"{node.name}:0" for node in graph_def.node]

    def add_copies(self, nodes: Iterable[node_def_pb2.NodeDef]) -> dict[str, Copy]:
        """Add a copy of each node, fed by placeholders instead of what varies."""
        added, copies = [], {}
        for node in nodes:
            prefix = self._prefix()
            varying = dict.fromkeys(t for t in data_inputs(node) if self._is_fed(t))
            placeholders = {tensor: f"{prefix}{i}:0" for i, tensor in enumerate(varying)}
            for tensor, placeholder in placeholders.items():
                fed = node_def_pb2.NodeDef(name=producer(placeholder), op="Placeholder")
                fed.attr["dtype"].type = self.dtype(tensor).as_datatype_enum
                fed.attr["shape"].shape.unknown_rank = True
                added.append(fed)
            copied = node_def_pb2.NodeDef()
            copied.CopyFrom(node)
            copied.name = f"{prefix}copy"
            del copied.input[:]
            copied.input.extend(placeholders.get(t, t) for t in data_inputs(node))
            added.append(copied)
            copies[node.name] = Copy(copied.name, placeholders)
        self._import(added)
        return copies

    def run_copy(
        self, copied: Copy, feeds: Feeds, values: Feeds, outputs: Iterable[int]
    ) -> list[np.ndarray]:
        """Run a copied op alone on the `values` of its inputs.

        Raises:
            tf.errors.OpError: the op refuses them.
        """
        fed = {self._placeholders[name]: array for name, array in feeds.items()}
        fed |= {placeholder: values[t] for t, placeholder in copied.placeholders.items()}
        return self._session.run([f"{copied.name}:{i}" for i in outputs], fed)

    def varies(self, tensor: str) -> bool:
        """Whether a tensor may differ from call to call."""
        return tensor in self._varying

    def varying_tensors(self, inlined: Inlined) -> list[str]:
        """The tensors to look at; remembers them, for the regions inside this one."""
        hidden = _hidden(inlined.nodes)
        found = []
        for name, node in inlined.nodes.items():
            inputs = data_inputs(node)
            if node.op in STATE_READS:
                varies = not self._varying.isdisjoint(inputs) or inputs[0] in self._assigned
            else:
                varies = not self._varying.isdisjoint(inputs) or stateful(node.op)
            if varies:
                outputs = self._graph.get_operation_by_name(name).outputs
                self._varying.update(output.name for output in outputs)
                if name not in hidden:
                    found += self._fetchable(name)
        return found

    def _is_fed(self, tensor: str) -> bool:
        return tensor in self._varying and self.dtype(tensor) not in _OPAQUE

    def _fetchable(self, name: str) -> list[str]:
        outputs = self._graph.get_operation_by_name(name).outputs
        return [output.name for output in outputs if output.dtype.base_dtype not in _OPAQUE]

    def _region(self, inlined: Inlined, caller: str | None = None) -> Region:
        self._import(inlined.nodes.values())
        return Region(self, inlined, caller)

    def _import(self, nodes: Iterable[node_def_pb2.NodeDef]) -> None:
        graph_def = graph_pb2.GraphDef(node=nodes)
        added = {node.name for node in graph_def.node}
        read = {tensor for node in graph_def.node for tensor in data_inputs(node)}
        waited_for = {name for node in graph_def.node for name in control_inputs(node)}
        import_graph(
            graph_def,
            self._graph,
            reads=[tensor for tensor in read if producer(tensor) not in added],
            waits=waited_for - added,
        )

    def _prefix(self) -> str:
        self._regions += 1
        return f"tfnorm_probe_{self._regions}/"


def _assigned(inlined: Inlined) -> set[str]:
    """The resources that may change: assigned, or given to control flow that has effects."""
    return {
        tensor
        for node in inlined.nodes.values()
        if node.op.startswith("Assign") or node.op in (*LOOPS, *BRANCHES)
        for tensor in data_inputs(node)
        if not node.op.startswith("Stateless")
    }


def _hidden(nodes: Mapping[str, node_def_pb2.NodeDef]) -> set[str]:
    """Nodes inside the branches and loops of TF 1, which can't be fetched."""
    back = {name for name, node in nodes.items() if node.op == "NextIteration"}
    depths: dict[str, int] = {}
    headers = set()
    for name, node in nodes.items():
        producers = [producer(tensor) for tensor in data_inputs(node)]
        depth = max((depths.get(name, 0) for name in producers), default=0)
        if node.op == "Merge" and not back.isdisjoint(producers):
            headers.add(name)
        elif node.op in ("Merge", "Exit"):
            depth -= 1
        elif node.op == "Enter" or (node.op == "Switch" and headers.isdisjoint(producers)):
            depth += 1
        depths[name] = depth
    return {name for name, depth in depths.items() if depth > 0}
