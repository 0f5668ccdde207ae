"""Ops that run together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tensorflow.core.framework import node_def_pb2

from tfnorm.graph.inline import Origin
from tfnorm.graph.nodes import producer


@dataclass(frozen=True, eq=False)
class Region:
    """The signature's ops, a branch's, or those of one turn of a loop.

    Args:
        nodes: in topological order.
        origins: where each of them came from.
        outputs: the tensors that the region gives.
        tensors: those that can be fetched and that may differ from call to call, in topological order.
        varying: the nodes whose tensors may differ from call to call, those outside included.
        assigned: the variables that a call may change.
        caller: the control flow op that the region is the inside of; None for the signature's.
    """

    nodes: Mapping[str, node_def_pb2.NodeDef]
    origins: Mapping[str, Origin]
    outputs: list[str]
    tensors: list[str]
    varying: frozenset[str]
    assigned: frozenset[str]
    caller: str | None = None

    def varies(self, tensor: str) -> bool:
        """Whether a tensor may differ from call to call."""
        return producer(tensor) in self.varying
