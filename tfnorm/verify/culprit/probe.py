"""A signature laid open in its model's session: any tensor can be fetched, any op tried alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2

from tfnorm.differences import epsilon
from tfnorm.errors import InputError
from tfnorm.graph.control_flow import branches
from tfnorm.graph.inline import Inlined, Inliner
from tfnorm.graph.nodes import add_nodes, control_inputs, data_inputs, producer
from tfnorm.graph.ops import is_stateful
from tfnorm.graph.varying import assigned, hidden, varying
from tfnorm.session import SavedModel
from tfnorm.verify.culprit.batches import Feeds
from tfnorm.verify.culprit.region import Region

_OPAQUE = (tf.resource, tf.variant)


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
        self._model = model
        self._session = model.session
        self._graph = model.graph
        self._shapes: dict[Region, list[str]] = {}
        graph_def = self._graph.as_graph_def()
        self._inliner = Inliner(graph_def)
        fed = {producer(tensor) for tensor in self._placeholders.values()}
        keep = fed | {n.name for n in graph_def.node if not n.input and is_stateful(n.op)}
        outputs = [info.name for info in definition.outputs.values()]
        inlined = self._inliner.graph(outputs, prefix=self._prefix(), keep=frozenset(keep))
        self._effects = inlined.effects
        self.base = self._region(inlined, frozenset(fed), assigned(inlined.nodes))

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
            found = self._session.run([list(tensors), self._effects], {**fed, **(replaced or {})})
        except tf.errors.OpError as error:
            raise InputError(
                f"{self.signature.name!r} refuses these inputs: {error.message}"
            ) from error
        return list(found[0])

    def inside(self, region: Region, caller: str, function: str, values: Sequence[str]) -> Region:
        """A function of a control flow op in `region`, called with the tensors `values`."""
        inlined = self._inliner.function(
            function,
            values,
            prefix=self._prefix(),
            caller=region.origins[caller].name,
            control=control_inputs(region.nodes[caller]),
        )
        return self._region(inlined, region.varying, region.assigned, caller)

    def taken_branch(self, region: Region, name: str, feeds: Feeds) -> Region:
        """The branch that an `If` or a `Case` takes for a batch."""
        node = region.nodes[name]
        selector, *values = data_inputs(node)
        chosen = np.asarray(self.run(feeds, [selector])[0])
        functions = branches(node)
        if node.op.endswith("If"):
            place = 0 if (chosen.item() if chosen.ndim == 0 else chosen.size) else 1
        else:
            place = int(chosen) if 0 <= int(chosen) < len(functions) else len(functions) - 1
        return self.inside(region, name, functions[place], values)

    def shapes(self, region: Region, feeds: Feeds) -> dict[str, tuple[int, ...]]:
        """The shape of each of a region's tensors."""
        if region not in self._shapes:
            self._shapes[region] = self._add_shapes(region.tensors)
        shapes = self.run(feeds, self._shapes[region])
        return {t: tuple(shape.tolist()) for t, shape in zip(region.tensors, shapes, strict=True)}

    def shapes_up_to_a_refusal(
        self, region: Region, feeds: Feeds
    ) -> tuple[dict[str, tuple[int, ...]], str | None]:
        """The shapes that can be told of a batch, and the first op that refuses it; None where none does."""
        computed, low, high = self._shapes[region], 0, len(region.tensors)
        found: list[np.ndarray] = []
        while low < high:
            middle = (low + high + 1) // 2
            try:
                found = self.run(feeds, computed[:middle])
                low = middle
            except InputError:
                high = middle - 1
        shapes = {t: tuple(s.tolist()) for t, s in zip(region.tensors, found, strict=False)}
        return shapes, producer(region.tensors[low]) if low < len(region.tensors) else None

    def _add_shapes(self, tensors: Iterable[str]) -> list[str]:
        prefix = self._prefix()
        graph_def = graph_pb2.GraphDef()
        for number, tensor in enumerate(tensors):
            node = graph_def.node.add(name=f"{prefix}{number}", op="Shape", input=[tensor])
            node.attr["T"].type = self.dtype(tensor).as_datatype_enum
            node.attr["out_type"].type = tf.int64.as_datatype_enum
        add_nodes(graph_def.node, self._model.graph)
        return [f"{node.name}:0" for node in graph_def.node]

    def add_copies(self, region: Region, nodes: Iterable[node_def_pb2.NodeDef]) -> dict[str, Copy]:
        """Add a copy of each node of a region, fed by placeholders instead of what varies."""
        added, copies = [], {}
        for node in nodes:
            prefix = self._prefix()
            fed = [t for t in data_inputs(node) if region.varies(t) and self._fetchable(t)]
            placeholders = {t: f"{prefix}{i}:0" for i, t in enumerate(dict.fromkeys(fed))}
            for tensor, placeholder in placeholders.items():
                taken = node_def_pb2.NodeDef(name=producer(placeholder), op="Placeholder")
                taken.attr["dtype"].type = self.dtype(tensor).as_datatype_enum
                taken.attr["shape"].shape.unknown_rank = True
                added.append(taken)
            copied = node_def_pb2.NodeDef()
            copied.CopyFrom(node)
            copied.name = f"{prefix}copy"
            del copied.input[:]
            copied.input.extend(placeholders.get(t, t) for t in data_inputs(node))
            added.append(copied)
            copies[node.name] = Copy(copied.name, placeholders)
        add_nodes(added, self._model.graph)
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
        return list(self._session.run([f"{copied.name}:{i}" for i in outputs], fed))

    def _fetchable(self, tensor: str) -> bool:
        return self.dtype(tensor) not in _OPAQUE

    def _region(
        self,
        inlined: Inlined,
        outside: frozenset[str],
        changed: frozenset[str],
        caller: str | None = None,
    ) -> Region:
        add_nodes(inlined.nodes.values(), self._model.graph)
        inside = varying(inlined.nodes, outside, changed)
        unseen = hidden(inlined.nodes)
        tensors = [
            output.name
            for name in inlined.nodes
            if name in inside and name not in unseen
            for output in self._graph.get_operation_by_name(name).outputs
            if self._fetchable(output.name)
        ]
        return Region(
            inlined.nodes,
            inlined.origins,
            inlined.outputs,
            tensors,
            outside | inside,
            changed,
            caller,
        )

    def _prefix(self) -> str:
        # Another probe may have been at the same model.
        return f"{self._graph.unique_name('tfnorm_probe')}/"
