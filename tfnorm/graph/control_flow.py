"""Ops that call functions: which ones there are, and which functions they call."""

from __future__ import annotations

from tensorflow.core.framework import node_def_pb2

CALLS = ("PartitionedCall", "StatefulPartitionedCall")
BRANCHES = ("If", "StatelessIf", "Case", "StatelessCase")
LOOPS = ("While", "StatelessWhile")


def branches(node: node_def_pb2.NodeDef) -> list[str]:
    """The functions that an `If` (the true one first) or a `Case` chooses from."""
    if node.op.endswith("If"):
        return [node.attr[name].func.name for name in ("then_branch", "else_branch")]
    return [function.name for function in node.attr["branches"].list.func]


def loop_body(node: node_def_pb2.NodeDef) -> str:
    """The function that a `While` repeats."""
    return str(node.attr["body"].func.name)


def loop_condition(node: node_def_pb2.NodeDef) -> str:
    """The function that a `While` asks before each turn."""
    return str(node.attr["cond"].func.name)
