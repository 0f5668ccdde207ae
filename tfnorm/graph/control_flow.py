"""Ops that call functions: which ones there are, and which functions they call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tensorflow.core.framework import function_pb2, node_def_pb2

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


def called_by(node: node_def_pb2.NodeDef) -> list[str]:
    """The functions that a node calls, whatever it is."""
    functions = [attribute.func for attribute in node.attr.values() if attribute.func.name]
    functions += [inner for attribute in node.attr.values() for inner in attribute.list.func]
    return [node.op, *(function.name for function in functions)]


def inner_nodes(
    node: node_def_pb2.NodeDef, functions: Mapping[str, function_pb2.FunctionDef]
) -> Iterator[node_def_pb2.NodeDef]:
    """The nodes of the functions that a node calls, and of those that these call."""
    pending, seen = [node], set[str]()
    while pending:
        for name in called_by(pending.pop()):
            if name in functions and name not in seen:
                seen.add(name)
                pending += functions[name].node_def
                yield from functions[name].node_def
