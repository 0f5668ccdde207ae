"""Whether what moved among other neighbours had another shape inside the model, and so rounded otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

import numpy as np

from tfnorm.errors import InputError
from tfnorm.graph.control_flow import inner_nodes
from tfnorm.graph.nodes import producer
from tfnorm.graph.ops import SIZED_BY_VALUES
from tfnorm.scorers.scorer import Scorer
from tfnorm.session import DEFAULT_SIGNATURE, SavedModel
from tfnorm.verify.culprit.probe import Probe
from tfnorm.verify.judgement.comparison import Comparison
from tfnorm.verify.judgement.judge import Compared

LOOKED_AT = 4
"""Batches of a composition that are looked into, those that moved most."""

Rows = Mapping[str, np.ndarray]


def look_at_shapes(
    scorer: Scorer, local: Scorer | None, compared: Sequence[Compared], rows: Rows
) -> None:
    """Tell the comparisons that hang on it whether shapes inside the model differed.

    Experts that are sent other rows, values that are made unique or ragged: kernels for other shapes round
    otherwise, though the batches are equally large.

    Args:
        scorer: what was verified.
        local: a model on this machine that the scorer should be equal to.
        compared: the compositions; those comparisons of them that are doubtful are told.
        rows: the rows that the compositions are made of.
    """
    doubts = [
        (one, comparison)
        for one in compared
        for comparison in one.comparisons.values()
        if comparison.doubtful
    ]
    if not doubts:
        return
    for model in (scorer,) if local is None else (scorer, local):
        try:
            with model.as_saved_model() as saved_model:
                if saved_model is not None:
                    signature = model.signature or DEFAULT_SIGNATURE
                    constants = {**model.defaults, **model.constants}
                    probe = Probe(saved_model, signature)
                    hidden = _hides_shapes(saved_model, probe)
                    _look(probe, doubts, rows, constants, hidden)
                    return
        except InputError:
            return


def _look(
    probe: Probe,
    doubts: Sequence[tuple[Compared, Comparison]],
    rows: Rows,
    constants: Rows,
    hidden: bool,
) -> None:
    """Look into the batches; `hidden` shapes may differ though none is seen to."""
    seen: dict[tuple[str, int, int], bool] = {}

    def differ(one: Compared, number: int) -> bool:
        key = (*one.composition.key, number)
        if key not in seen:
            first, second = (
                probe.shapes(probe.base, {**constants, **{n: a[batch] for n, a in rows.items()}})
                for batch in _pair(one, number)
            )
            seen[key] = first != second
        return seen[key]

    for one, comparison in doubts:
        others = [differ(one, number) for number in comparison.doubtful[:LOOKED_AT]]
        if all(others):
            comparison.same_shapes = False
        elif not hidden:
            comparison.same_shapes = True


def _pair(one: Compared, number: int) -> Iterator[np.ndarray]:
    """A batch, and that of the control."""
    control = one.composition.control
    yield np.asarray(one.composition.batches[number])
    if control is not None:
        yield np.asarray(control.batches[number])


def _hides_shapes(model: SavedModel, probe: Probe) -> bool:
    """Whether ops give other shapes for other values where no tensor can be fetched."""
    seen = {producer(tensor) for tensor in probe.base.tensors}
    unseen = [node for name, node in probe.base.nodes.items() if name not in seen]
    library = model.graph.as_graph_def().library.function
    functions = {function.signature.name: function for function in library}
    inside = (inner for node in probe.base.nodes.values() for inner in inner_nodes(node, functions))
    return any(node.op in SIZED_BY_VALUES for node in chain(unseen, inside))
