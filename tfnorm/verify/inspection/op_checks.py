"""What is wrong or risky about single ops."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tensorflow.core.framework import node_def_pb2

from tfnorm._tensorflow import op_definition
from tfnorm.differences import are_equal, epsilon, same_bits
from tfnorm.graph.nodes import data_inputs, needed, producer
from tfnorm.graph.ops import CLOCKS, advice, is_assignment, is_random
from tfnorm.verify.inspection.axes.crossings import crossing
from tfnorm.verify.inspection.counts import counting
from tfnorm.verify.inspection.findings import Finding
from tfnorm.verify.inspection.opened import Opened
from tfnorm.verify.inspection.settings import chosen_by

_PYTHON = ("PyFunc", "EagerPyFunc", "PyFuncStateless")
_VERIFY = "Verify with examples, which needs no such thing."


def check_ops(opened: Opened) -> Iterator[Finding]:
    """Ops that a server doesn't have, that draw or change state, or that reach across the batch.

    What inputs without rows can switch off, such as `is_training`, is a warning, unless in every setting
    of theirs something else is wrong instead.
    """
    found = list(_found_ops(opened))
    wrong = {node.name: node.op for node, finding in found if finding.severity == "error"}
    counts = [sum(one.counts(*each) for each in wrong.items()) for one in opened.settings]
    best = [one for one, n in zip(opened.settings, counts, strict=True) if n == min(counts)]
    for node, finding in found:
        certain = finding.severity == "error" and any(s.counts(node.name, node.op) for s in best)
        choosing = chosen_by(node.name, node.op, opened.settings)
        if finding.severity == "error" and best and not certain:
            # Several together, where none of them does it alone.
            choosing = choosing or frozenset(best[0].values)
        if certain or not choosing or not _is_served(node):
            yield finding
            continue
        inputs = " and ".join(map(repr, sorted(choosing)))
        says = "say" if len(choosing) > 1 else "says"
        message = f"{finding.message}, where input {inputs} {says} so"
        yield replace(finding, severity="warning", message=message)


def _found_ops(opened: Opened) -> Iterator[tuple[node_def_pb2.NodeDef, Finding]]:
    nodes = opened.graph.nodes
    read = {
        tensor
        for name, node in nodes.items()
        if name in opened.scoring and not is_assignment(node.op)
        for tensor in data_inputs(node)
    }
    counted = counting(opened)
    yield from _decided_by_size(opened)
    for name, node in nodes.items():
        scored = name in opened.scoring
        if not _is_served(node):
            yield (
                node,
                _found(
                    opened,
                    "error",
                    node,
                    f"{node.op} is no op of TensorFlow Serving",
                    "Build the layer from TensorFlow's own ops, or serve with a build that has it.",
                ),
            )
        elif is_random(node.op):
            if scored and (what := _drawn(node, opened)):
                yield node, _found(opened, "error", node, f"{node.op} {what}", advice(node.op))
        elif node.op in CLOCKS:
            if scored:
                message = f"{node.op} is another at every call, and the scores use it"
                yield node, _found(opened, "error", node, message, advice(node.op))
        elif is_assignment(node.op) and name in opened.running:
            yield (
                node,
                _assigned(opened, node, scored or not read.isdisjoint(data_inputs(node)[:1])),
            )
        elif name in counted:
            text = "Count on the training data and look the count up."
            message = f"{node.op} counts over the batch axis, and the scores use the number"
            yield node, _found(opened, "error", node, message, text)
        elif scored and (finding := _crossed(opened, node)):
            yield node, finding


def _is_served(node: node_def_pb2.NodeDef) -> bool:
    """Whether TensorFlow Serving has the op, which it must have to load the model."""
    return op_definition(node.op) is not None and node.op not in _PYTHON


def _decided_by_size(opened: Opened) -> Iterator[tuple[node_def_pb2.NodeDef, Finding]]:
    """Branches that are chosen by the batch size, and not by the turn of a loop."""
    nodes = opened.graph.nodes
    for selector in dict.fromkeys(opened.graph.choices.values()):
        if producer(selector) not in nodes or opened.axes.value(selector) is None:
            continue
        before = needed(nodes.values(), [selector])
        if not opened.graph.carried.isdisjoint(node.name for node in before):
            continue
        if any(_grows(opened, node) for node in before):
            node = nodes[producer(selector)]
            message = f"{node.op} chooses a branch by the shape of the batch"
            yield node, _found(opened, "warning", node, message, _VERIFY)


def _grows(opened: Opened, node: node_def_pb2.NodeDef) -> bool:
    """Whether the batch size is in what an op gives; of a whole shape, in what is not picked out of it."""
    wholes = ("Shape", "ShapeN")
    given = [] if node.op in wholes else [f"{node.name}:0"]
    if node.op not in ("StridedSlice", "Slice", "Gather", "GatherV2"):
        given += [t for t in data_inputs(node) if opened.graph.nodes[producer(t)].op in wholes]
    values = ([opened.axes.value(tensor, which) for which in range(2)] for tensor in given)
    return any(
        first is not None and second is not None and not are_equal(first, second)
        for first, second in values
    )


def _drawn(node: node_def_pb2.NodeDef, opened: Opened) -> str | None:
    """What a random op does; None where it gives the same to each row of each batch."""
    axes, inputs = opened.axes, data_inputs(node)
    if node.op.startswith("Stateless") and inputs[1:] and axes.constant(inputs[1]) is not None:
        grows = axes.axes(f"{node.name}:0")
        return "draws by the row's place in the batch, and the scores use it" if grows else None
    return "draws at every call, and the scores use it"


def _assigned(opened: Opened, node: node_def_pb2.NodeDef, scored: bool) -> Finding:
    message = f"{node.op} changes the model at every call"
    if scored:
        message += ", and the scores read what it changes"
    return _found(opened, "error" if scored else "warning", node, message, advice(node.op))


def _crossed(opened: Opened, node: node_def_pb2.NodeDef) -> Finding | None:
    axes = opened.axes
    if node.name in axes.refused:
        message = f"{node.op} takes batches of one size alone: {axes.refused[node.name]}"
        text = "Take the batch size from an input's shape, or leave it open (-1)."
        return _found(opened, "warning", node, message, text)
    if seen := crossing(node, axes):
        if seen.certain:
            return _found(opened, "error", node, f"{node.op} {seen.what}", advice(node.op))
        return _found(opened, "warning", node, f"{node.op} {seen.what}", _uncertain(opened, node))
    if what := _taken(opened, node):
        message = f"the {what} flows into {node.op}"
        text = "Leave the batch size out of the scores: use a constant, or a size of each example."
        return _found(opened, "warning", node, message, text)
    return None


def _uncertain(opened: Opened, node: node_def_pb2.NodeDef) -> str:
    dtype = opened.axes.dtype(data_inputs(node)[0])
    if dtype is not None and not epsilon(dtype):
        return (
            f"Harmless where numbers of type {dtype.name} decide on shapes alone, such as the longest "
            "history of a batch. " + _VERIFY
        )
    return _VERIFY


def _taken(opened: Opened, node: node_def_pb2.NodeDef) -> str | None:
    """Which floating numbers, of no example, rows are computed with: the batch size, or their places."""
    axes = opened.axes
    if not axes.axes(f"{node.name}:0"):
        return None
    for tensor in data_inputs(node):
        first, second = (axes.value(tensor, which) for which in range(2))
        dtype = axes.dtype(tensor)
        if first is None or second is None or dtype is None or not epsilon(dtype):
            continue
        if first.shape == second.shape and not same_bits(first, second).all():
            return "batch size"
        rows = (first.take([0], axis) for axis in axes.axes(tensor))
        if not all(same_bits(first, row).all() for row in rows):
            return "place in the batch"
    return None


def _found(
    opened: Opened, severity: str, node: node_def_pb2.NodeDef, message: str, what_to_do: str
) -> Finding:
    name = opened.graph.origins[node.name].name
    return Finding(severity, name, node.op, opened.layers.layer(name), message, what_to_do)
