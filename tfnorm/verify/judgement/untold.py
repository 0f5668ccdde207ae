"""Of which outputs nothing can be told, though no score moves: those that would show no dependence."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tfnorm.errors import InputError
from tfnorm.graph.inline import BrokenGraph, Inliner
from tfnorm.graph.nodes import producer
from tfnorm.graph.ops import is_stateful
from tfnorm.graph.varying import assigned, by_values, varying
from tfnorm.scorers.scorer import Scorer
from tfnorm.session import DEFAULT_SIGNATURE, SavedModel
from tfnorm.verify.judgement.reference import Reference

_PLACES = 3
"""Places of an output that are named."""


@dataclass(frozen=True)
class Untold:
    """What the examples' scores do not tell.

    Attributes:
        outputs: output name -> why nothing, or not all, can be told of it.
        undecided: why no verdict can rest on them, as long as nothing moved; None where one can.
    """

    outputs: dict[str, str] = field(default_factory=dict)
    undecided: str | None = None


def untold(references: Mapping[str, Reference], models: Sequence[Scorer]) -> Untold:
    """What the examples' scores do not tell of the outputs.

    Outputs that are no floating-point numbers count where no other is: an id that is handed through, or a
    class, is no score beside one.

    Args:
        references: output name -> the examples scored one at a time.
        models: what was verified and, if there is one, the model on this machine, to look into.
    """
    scores = [name for name, one in references.items() if one.floating] or list(references)
    outputs = {name: said for name, one in references.items() if (said := _without_numbers(one))}
    numberless = [name for name, one in references.items() if _everywhere(one).any()]
    alike = [name for name, one in references.items() if one.alike and name not in numberless]
    told = set(scores) - set(alike) - set(numberless)
    constant = _constant_outputs(models) if told and alike else frozenset()
    for name in alike:
        outputs[name] = (
            "the same for all examples: it depends on no input"
            if name in (constant or ())
            else "the same for all examples, so that it would not show if rows were mixed up"
        )
    count = next(iter(references.values())).count
    reasons = []
    if numberless:
        reasons.append(
            f"{_names(numberless)} is NaN or infinite for all of {count:,} examples"
            + _where(references, numberless)
            + ", so that nothing shows there; look for what is wrong in them, or in the weights"
        )
    if lacking := [name for name in scores if name in alike and name not in (constant or ())]:
        or_else = ", or the SavedModel by --against, in which it may depend on no input"
        of = f" by {_names(lacking)}" if len(references) > 1 else ""
        reasons.append(
            f"all of {count:,} examples score alike{of}, so that it would not show if rows were mixed "
            f"up; give examples that the model tells apart{or_else if constant is None else ''}"
        )
    if not reasons:
        return Untold(outputs)
    return Untold(
        outputs, "it can't be told whether scores depend on the batch: " + "; and ".join(reasons)
    )


def _without_numbers(reference: Reference) -> str | None:
    numberless = reference.numberless
    if not numberless.any():
        return None
    everywhere = _everywhere(reference)
    if everywhere.all():
        return "NaN or infinite for all examples"
    if everywhere.any():
        return f"NaN or infinite for all examples in {_places(everywhere)}"
    rows = int(numberless.reshape(len(numberless), -1).any(axis=1).sum())
    return (
        f"NaN or infinite for {rows:,} of {reference.count:,} examples, of which that tells nothing"
    )


def _everywhere(reference: Reference) -> np.ndarray:
    """The places of an output that are NaN or infinite for all examples: `[...]`."""
    return np.asarray(reference.numberless.all(axis=0))


def _where(references: Mapping[str, Reference], names: Sequence[str]) -> str:
    """In which places, where it is not in all."""
    parts = {name: _everywhere(references[name]) for name in names}
    said = [f"{_places(there)} of {name!r}" for name, there in parts.items() if not there.all()]
    return f" in {', '.join(said)}" if said else ""


def _places(there: np.ndarray) -> str:
    found = [list(map(int, place)) for place in np.argwhere(there)]
    more = f" and {len(found) - _PLACES:,} more" if len(found) > _PLACES else ""
    return f"{', '.join(map(str, found[:_PLACES]))}{more}"


def _names(names: Sequence[str]) -> str:
    return " and ".join(map(repr, names))


def _constant_outputs(models: Sequence[Scorer]) -> Collection[str] | None:
    """The outputs on which no value of an input has a bearing; None where there is no graph to tell."""
    for scorer in models:
        try:
            with scorer.as_saved_model() as model:
                if model is not None:
                    given = {**scorer.defaults, **scorer.constants}
                    return _without_inputs(model, scorer.signature or DEFAULT_SIGNATURE, given)
        except (InputError, BrokenGraph):
            break
    return None


def _without_inputs(model: SavedModel, signature: str, given: Collection[str]) -> Collection[str]:
    """The outputs that depend on no input but those that are `given` the same in every batch."""
    definition = model.signature_defs[signature]
    fed = {producer(info.name) for name, info in definition.inputs.items() if name not in given}
    graph_def = model.graph.as_graph_def()
    sources = {node.name for node in graph_def.node if not node.input and is_stateful(node.op)}
    wanted = {name: info.name for name, info in definition.outputs.items()}
    graph = Inliner(graph_def).graph(list(wanted.values()), keep=frozenset(fed | sources))
    nodes = {name: by_values(node) for name, node in graph.nodes.items()}
    differing = varying(nodes, fed, assigned(graph.nodes)) | fed
    return {
        name
        for name, tensor in zip(wanted, graph.outputs, strict=True)
        if producer(tensor) not in differing
    }
