"""Which ops the scores depend on, by what is fed to inputs that have no rows, such as `is_training`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfnorm.differences import epsilon
from tfnorm.graph.conditions import COMPARED, DRAWN, SUMS, SWITCHES, Constant, heeded
from tfnorm.graph.inline import Inlined
from tfnorm.graph.nodes import data_inputs, needed, producer
from tfnorm.graph.ops import SHAPES, is_assignment
from tfnorm.verify.inspection.axes.batch_axes import BatchAxes

_MOST, _MOST_VALUES = 16, 8
"""Settings that are looked into, and values of an input."""

_USUAL: Mapping[str, Sequence[object]] = {
    "b": (False, True),
    "i": (0, 1, 2),
    "u": (0, 1, 2),
    "f": (1.0, 0.0, 0.5),
    "V": (1.0, 0.0, 0.5),
    "O": (b"",),
}
"""What is fed to an input, by the kind of its type, beside what it is compared with."""

_EQUAL = ("Equal", "NotEqual")

Depends = Mapping[str, frozenset[str]]
Values = Mapping[str, np.ndarray]
Ways = Mapping[str, Mapping[int, Sequence[str]]]


@dataclass(frozen=True)
class Setting:
    """What happens where inputs without rows are fed these values.

    Args:
        values: input name -> value.
        running: the nodes that run.
        scoring: the nodes that the scores depend on.
    """

    values: Values
    running: frozenset[str]
    scoring: frozenset[str]

    def counts(self, name: str, op: str) -> bool:
        """Whether what a node does matters here."""
        return name in (self.running if is_assignment(op) else self.scoring)


def unset(graph: Inlined, axes: BatchAxes) -> Setting:
    """What happens whatever the inputs are fed; constants are folded."""
    return _setting(graph, _ways(graph), {}, axes.fixed, axes.fixed)


def settings(graph: Inlined, axes: BatchAxes, inputs: Mapping[str, tf.TensorSpec]) -> list[Setting]:
    """What happens for values of the inputs without rows; nothing where there is no such input.

    Args:
        graph: the graph, branches written out.
        axes: where its batch axis goes.
        inputs: tensor -> the signature's input.
    """
    depends = _dependences(graph, inputs)
    scalars = _scalars(graph, inputs, depends)
    without_rows = {tensor: spec for tensor, spec in inputs.items() if spec.name in scalars}
    candidates = [
        [(tensor, value) for value in _candidates(graph, axes, spec, depends, scalars)]
        for tensor, spec in without_rows.items()
    ]
    found, ways = [], _ways(graph)
    for chosen in _combinations(candidates) if candidates else ():
        fed = dict(chosen)
        fixed, quantities = axes.fixed_by(fed), _quantities(graph, axes, fed)
        found.append(
            _setting(
                graph,
                ways,
                {inputs[tensor].name: value for tensor, value in fed.items()},
                fixed.get,
                {t: value for t, value in fixed.items() if t not in quantities}.get,
            )
        )
    return found


def chosen_by(name: str, op: str, found: Sequence[Setting]) -> frozenset[str]:
    """The inputs without rows that say whether what a node does matters."""
    return frozenset(
        different[0]
        for one, other in itertools.combinations(found, 2)
        if one.counts(name, op) != other.counts(name, op)
        and len(different := [k for k in one.values if one.values[k] != other.values[k]]) == 1
    )


def _setting(
    graph: Inlined, ways: Ways, values: Values, constant: Constant, flag: Constant
) -> Setting:
    running = heeded(graph.nodes, constant, flag)
    for choice, selector in graph.choices.items():
        if (chosen := constant(selector)) is None:
            continue
        taken = int(chosen) if chosen.dtype.kind in "iu" else int(not chosen)
        if chosen.dtype.kind in "iu" and taken not in ways[choice]:
            taken = max(ways[choice], default=0)
        for way, inside in ways[choice].items():
            for name in inside if way != taken else ():
                running.pop(name, None)
    scoring = needed(running.values(), [*graph.outputs, *graph.decisions])
    return Setting(values, frozenset(running), frozenset(node.name for node in scoring))


def _ways(graph: Inlined) -> Ways:
    """For each choice, the branches that are written out: their numbers, and the nodes in them."""
    ways: dict[str, dict[int, list[str]]] = {choice: {} for choice in graph.choices}
    for name in graph.nodes:
        for end in (place for place, sign in enumerate(name) if sign == "/"):
            number = name[end + 1 :].partition("/")[0]
            if name[:end] in ways and number.isdecimal():
                ways[name[:end]].setdefault(int(number), []).append(name)
    return ways


def _dependences(graph: Inlined, inputs: Mapping[str, tf.TensorSpec]) -> Depends:
    """For each node, the inputs whose values have a part in what it gives."""
    fed = {producer(tensor): frozenset({spec.name}) for tensor, spec in inputs.items()}
    depends: dict[str, frozenset[str]] = {}
    for name, node in graph.nodes.items():
        before = [] if node.op in SHAPES else map(producer, data_inputs(node))
        given = (depends.get(made, frozenset()) for made in before)
        depends[name] = fed.get(name, frozenset()).union(*given)
    return depends


def _scalars(
    graph: Inlined, inputs: Mapping[str, tf.TensorSpec], depends: Depends
) -> frozenset[str]:
    """The inputs without rows: scalars, and those of any rank that stand where only a scalar can."""
    scalars, open_ranks = set[str](), set[str]()
    for spec in inputs.values():
        if spec.shape.rank is None:
            open_ranks.add(spec.name)
        elif spec.shape.rank == 0 or (spec.dtype == tf.bool and spec.shape.num_elements() == 1):
            scalars.add(spec.name)
    for tensor in _where_scalars_stand(graph) if open_ranks else ():
        found = depends.get(producer(tensor), frozenset())
        if found <= scalars | open_ranks:
            scalars |= found
    return frozenset(scalars)


def _where_scalars_stand(graph: Inlined) -> Iterator[str]:
    """What chooses a branch, and what dropout compares with its draw."""
    yield from graph.choices.values()
    drawn: set[str] = set()
    for name, node in graph.nodes.items():
        read = data_inputs(node)
        if node.op in SWITCHES:
            yield read[1]
        of_draw = [tensor for tensor in read if producer(tensor) in drawn]
        if node.op in DRAWN or (of_draw and node.op in (*SUMS, "Mul")):
            drawn.add(name)
        if of_draw and node.op in (*SUMS, *COMPARED):
            yield from (tensor for tensor in read if tensor not in of_draw)


def _quantities(graph: Inlined, axes: BatchAxes, fed: Values) -> set[str]:
    """The tensors that are computed of numbers that are fed, and not of what these decide."""
    found = {tensor for tensor, value in fed.items() if value.dtype.kind in "fV"}
    for name, node in graph.nodes.items() if found else ():
        if not found.isdisjoint(data_inputs(node)):
            kinds = {tensor: axes.dtype(tensor) for tensor in axes.given(name)}
            found |= {tensor for tensor, kind in kinds.items() if kind is None or epsilon(kind)}
    return found


def _candidates(
    graph: Inlined,
    axes: BatchAxes,
    spec: tf.TensorSpec,
    depends: Depends,
    scalars: frozenset[str],
) -> list[np.ndarray]:
    """The values of an input that are tried: usual ones, and those around what it is compared with."""
    dtype = np.dtype(spec.dtype.as_numpy_dtype)
    values = list(_USUAL.get(dtype.kind, ()))

    def concerned(tensor: str) -> bool:
        found = depends.get(producer(tensor), frozenset())
        return spec.name in found and found <= scalars

    for node in graph.nodes.values():
        read = data_inputs(node)
        if node.op not in (*_EQUAL, *COMPARED):
            continue
        for tensor, other in itertools.permutations(read, 2):
            bound = axes.fixed(other)
            if bound is not None and bound.size == 1 and concerned(tensor):
                value = bound.reshape(-1)[0]
                values += [value] if dtype.kind == "O" else [value, value - 1, value + 1]
    for choice, branches in _ways(graph).items() if dtype.kind in "iu" else ():
        if concerned(graph.choices[choice]):
            values += sorted(branches)
    shape = spec.shape if spec.shape.is_fully_defined() else []
    arrays = [np.full(shape, value, dtype) for value in dict.fromkeys(values)]
    return arrays[: 2 if dtype.kind == "b" else _MOST_VALUES]


def _combinations(
    candidates: Sequence[Sequence[tuple[str, np.ndarray]]],
) -> Iterator[Sequence[tuple[str, np.ndarray]]]:
    """All values with all others; where that is too many, all at once, and one at a time, are others."""
    if np.prod([len(values) for values in candidates], dtype=float) <= _MOST:
        yield from itertools.product(*candidates)
        return
    first = [values[0] for values in candidates]
    others = (
        [*first[:place], value, *first[place + 1 :]]
        for place, values in enumerate(candidates)
        for value in values[1:]
    )
    last = [values[-1] for values in candidates]
    yield from itertools.islice(itertools.chain([first, last], others), _MOST)
