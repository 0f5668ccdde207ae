"""A signature laid open in its model's session, as the examples run through it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import node_def_pb2

from tfnorm.differences import are_equal
from tfnorm.errors import InputError
from tfnorm.graph.conditions import SELECTS, SWITCHES, decided, straightened
from tfnorm.graph.control_flow import BRANCHES, LOOPS
from tfnorm.graph.inline import BrokenGraph, Inlined, Inliner
from tfnorm.graph.nodes import add_nodes, data_inputs, producer
from tfnorm.graph.ops import is_stateful
from tfnorm.graph.varying import assigned, varying
from tfnorm.scorers.messages import one_line
from tfnorm.session import SavedModel
from tfnorm.statistics.watch import Arrays

_HERE = "tfnorm_statistics/"
"""What the names of the nodes begin with; in the session each copy has a number after it."""

OWN = f"{_HERE}tfnorm_own_"
"""What the names of nodes begin with that are added to the graph."""

_ROUNDS = 16
"""How deep branches may be in branches."""

Nodes = Mapping[str, node_def_pb2.NodeDef]


class Opened:
    """The graph of a signature without function calls, and without the branches that examples don't take.

    Args:
        model: a loaded SavedModel.
        signature: the name of the signature.
        batches: examples in batches of other sizes; a branch that all take alike is decided.
        constants: input name -> what it is in every batch, of those that examples lack.

    Attributes:
        graph: what was written out; its nodes may have branches that aren't decided, and loops.
        full: likewise, with those written out too: what it has, not what it computes.
        nodes: those that run, in topological order.
        varying: those whose tensors may differ from call to call.
        outputs: the signature's output -> tensor.
        inputs: the tensors that are fed, by input.

    Raises:
        InputError: the examples don't fit the signature, or the graph is damaged.
    """

    def __init__(
        self,
        model: SavedModel,
        signature: str,
        batches: Sequence[Arrays],
        constants: Arrays,
    ):
        model.signature(signature).check({**constants, **batches[0]})
        definition = model.signature_defs[signature]
        self.inputs = {name: info.name for name, info in definition.inputs.items()}
        self._model = model
        self._batches = batches
        self._constants = constants
        graph_def = model.graph.as_graph_def()
        self._graph_def = graph_def
        fed = {producer(tensor) for tensor in self.inputs.values()}
        stand = {n.name for n in graph_def.node if not n.input and is_stateful(n.op)}
        self._keep = frozenset(fed | stand)
        self._wanted = [info.name for info in definition.outputs.values()]
        self._taken: dict[str, int] = {}
        self._values: dict[str, np.ndarray | None] = {}
        try:
            self._decide()
        except BrokenGraph as error:
            raise InputError(f"{model.path}/saved_model.pb is damaged: {error}") from error
        self.full = self.graph
        if any(node.op in (*LOOPS, *BRANCHES) for node in self.nodes.values()):
            self.full = self._inlined(control_flow=True)
        self.varying = self._varying(self.nodes)
        self.outputs = dict(zip(definition.outputs, self.graph.outputs, strict=True))

    def _decide(self) -> None:
        """Write the graph out again and again, until all branches are decided that can be."""
        found: dict[str, np.ndarray | None] = {}
        root: dict[str, str] = {}

        def known(selector: str) -> np.ndarray | None:
            return found.get(root.get(selector, selector))

        for _ in range(_ROUNDS):
            self.graph = self._inlined(control_flow=False)
            choices = self.graph.choices
            self.nodes = straightened(self.graph.nodes, known, self._taken)
            self._prefix = self.add(self.nodes)
            selects = self._selects()
            live = [selector for name, selector in choices.items() if name in self.nodes]
            live += [*_predicates(self.nodes), *selects.values()]
            for selector in (*choices.values(), *_predicates(self.graph.nodes), *selects.values()):
                root[selector] = _root(self.graph.nodes, selector)
            asked = dict.fromkeys(root[s] for s in live if root[s] not in found)
            new = decided({**choices, **selects}, known).items() - self._taken.items()
            if not asked and not new:
                return
            self._taken |= dict(new)
            found |= self._asked(list(asked))

    def _selects(self) -> dict[str, str]:
        """Ops that give one of two tensors of the same shape -> the bool that chooses."""

        def shape(tensor: str) -> tf.TensorShape:
            return self._model.graph.get_tensor_by_name(self._named(tensor)).shape

        found = {}
        for name, node in self.nodes.items():
            if node.op in SELECTS:
                chooses, first, second = data_inputs(node)
                same = shape(first).is_fully_defined() and shape(first) == shape(second)
                if shape(chooses).rank == 0 and same:
                    found[name] = chooses
        return found

    def _inlined(self, *, control_flow: bool) -> Inlined:
        inliner = Inliner(self._graph_def, control_flow=control_flow, taken=self._taken)
        return inliner.graph(self._wanted, prefix=_HERE, keep=self._keep)

    def _asked(self, tensors: Sequence[str]) -> dict[str, np.ndarray | None]:
        """What chooses; None for what can't be told, as in a branch that isn't taken, or a loop."""
        try:
            found = [self.fetch(tensors, batch) for batch in self._batches]
        except InputError:
            if len(tensors) == 1:
                return {tensors[0]: None}
            return {tensor: self._asked([tensor])[tensor] for tensor in tensors}
        return {
            tensor: values[0] if all(are_equal(values[0], v) for v in values) else None
            for tensor, *values in zip(tensors, *found, strict=True)
        }

    def varying_of_full(self) -> frozenset[str]:
        """The nodes of `full` whose tensors may differ from call to call."""
        return self._varying(self.full.nodes)

    def _varying(self, nodes: Nodes) -> frozenset[str]:
        fed = frozenset(producer(tensor) for tensor in self.inputs.values())
        return fed | varying(nodes, fed, assigned(self.full.nodes))

    def add(self, nodes: Nodes) -> str:
        """Add a copy of the nodes to the session; the prefix that tells it from others."""
        prefix = f"{self._model.graph.unique_name(_HERE[:-1])}/"
        add_nodes(_renamed(nodes.values(), prefix), self._model.graph)
        return prefix

    def dtype(self, tensor: str) -> tf.DType:
        """The type of a tensor."""
        return self._model.graph.get_tensor_by_name(self._named(tensor)).dtype.base_dtype

    def values(self, tensors: Sequence[str], prefix: str | None = None) -> list[np.ndarray | None]:
        """What tensors hold that no input flows into; None where that can't be told.

        A session goes through the whole graph at each run, so they are read in one, and kept.
        """
        names = [self._named(tensor, prefix) for tensor in tensors]
        new = [name for name in dict.fromkeys(names) if name not in self._values]
        self._values |= self._read(new)
        return [self._values[name] for name in names]

    def _read(self, names: Sequence[str]) -> dict[str, np.ndarray | None]:
        if not names:
            return {}
        try:
            return dict(zip(names, map(np.asarray, self._model.session.run(names)), strict=True))
        except tf.errors.OpError:
            if len(names) == 1:
                return {names[0]: None}
            return {name: self._read([name])[name] for name in names}

    def fetch(
        self,
        tensors: Sequence[str],
        features: Arrays,
        replaced: Mapping[str, np.ndarray] | None = None,
        prefix: str | None = None,
    ) -> list[np.ndarray]:
        """Run the graph on examples, without what it changes.

        Args:
            tensors: what is wanted.
            features: input name -> array.
            replaced: tensors that are given in the place of what the graph computes.
            prefix: of the copy to run; None for that of `nodes`.

        Raises:
            InputError: the model refuses them.
        """
        fed = {self._named(t, prefix): value for t, value in (replaced or {}).items()}
        given = {**self._constants, **features}
        fed |= {self.inputs[name]: array for name, array in given.items()}
        try:
            found = self._model.session.run([self._named(t, prefix) for t in tensors], fed)
        except tf.errors.OpError as error:
            raise InputError(
                f"{self._model.path} refuses the examples: {one_line(error)}"
            ) from error
        return [np.asarray(value) for value in found]

    def _named(self, tensor: str, prefix: str | None = None) -> str:
        return _elsewhere(tensor, self._prefix if prefix is None else prefix)


def _predicates(nodes: Nodes) -> list[str]:
    """The tensors that decide the switches of TF 1, those that end loops apart."""
    selectors = [data_inputs(node)[1] for node in nodes.values() if node.op in SWITCHES]
    ends = {name for name, node in nodes.items() if node.op == "LoopCond"}
    return [selector for selector in dict.fromkeys(selectors) if producer(selector) not in ends]


def _root(nodes: Nodes, tensor: str) -> str:
    """The tensor that comes out of a row of identities."""
    while (node := nodes.get(producer(tensor))) is not None and node.op == "Identity":
        tensor = data_inputs(node)[0]
    return tensor


def _renamed(nodes: Iterable[node_def_pb2.NodeDef], prefix: str) -> list[node_def_pb2.NodeDef]:
    copies = []
    for node in nodes:
        copied = node_def_pb2.NodeDef()
        copied.CopyFrom(node)
        copied.name = _elsewhere(node.name, prefix)
        del copied.input[:]
        copied.input.extend(
            f"^{_elsewhere(name[1:], prefix)}" if name[0] == "^" else _elsewhere(name, prefix)
            for name in node.input
        )
        copies.append(copied)
    return copies


def _elsewhere(name: str, prefix: str) -> str:
    return prefix + name.removeprefix(_HERE) if name.startswith(_HERE) else name
