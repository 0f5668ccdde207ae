"""Look at the statistics of whatever scores."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from tfnorm.assets import statistics_file
from tfnorm.errors import InputError
from tfnorm.graph.ops import NORMALIZATIONS, ROOTS
from tfnorm.scorers.messages import one_line
from tfnorm.scorers.scorer import Call, Scorer
from tfnorm.session import DEFAULT_SIGNATURE, SavedModel
from tfnorm.statistics.fit import judged, spread_evenly
from tfnorm.statistics.graphs.graph_watch import GraphWatch
from tfnorm.statistics.observation.keras_watch import KerasWatch
from tfnorm.statistics.observation.moving import statistics_layers
from tfnorm.statistics.observation.observe import REFUSALS
from tfnorm.statistics.results import StatisticsFit
from tfnorm.verify.statistics.results import Look

Examples = Mapping[str, np.ndarray]

LEFT = "no normalization with fixed statistics is left in its graph"
FROZEN = "all its layers with moving statistics are frozen (trainable=False)"
IN_LOOPS = "in a loop, or a branch that the examples do not decide, where nothing can be seen"


def look(
    scorer: Scorer, examples: Examples | None, without: str = "", *, own: bool = False
) -> Look:
    """Compare the statistics that a model uses with those of examples.

    Args:
        scorer: the model.
        examples: input name -> `[examples, ...]`; None for what an export says without any.
        without: why there are none.
        own: whether they are those that the scorer keeps.

    Raises:
        InputError: it can't be looked into, or refuses the examples.
    """
    keras_model = scorer.keras_model()
    try:
        if keras_model is not None:
            return _look_at_keras(*keras_model, examples, without)
        with scorer.as_saved_model() as saved:
            if saved is None:
                raise InputError(f"{scorer.name} can't be looked into")
            return replace(_look_at_saved(saved, scorer, examples, without), own=own)
    except InputError:
        raise
    except REFUSALS as error:
        raise InputError(f"{scorer.name} refuses the examples: {one_line(error)}") from error


def judgement(
    scorers: Iterable[Scorer], examples: Examples | None, without: str, *, own: bool = False
) -> tuple[StatisticsFit | None, str | None]:
    """What is to be said of a model's statistics, and what could not be looked at, each if there is any.

    Args:
        scorers: the model, and others that are the same one.
        examples: input name -> `[examples, ...]`; None where there are none.
        without: why there are none.
        own: whether they are those that the first scorer keeps.
    """
    unknown = None
    for number, scorer in enumerate(scorers):
        try:
            seen = look(scorer, examples, without, own=own and number == 0)
        except InputError as error:
            unknown = unknown or str(error)
            continue
        if seen.judged is not None:
            loops = ", ".join(seen.unseen)
            return seen.judged, f"{loops}: {IN_LOOPS}" if loops else None
        unknown = seen.nothing
    return None, unknown


def by_batch(scorer: Scorer, examples: Examples) -> tuple[str, ...]:
    """The layers of a Keras model that normalize by the batch, as far as its graph shows them."""
    few = {name: array[:8] for name, array in examples.items()}
    try:
        scorer.score(few)
        with scorer.as_saved_model() as saved:
            if saved is not None and _may_normalize(saved):
                return tuple(_watch(saved, scorer, few).by_batch)
    except InputError:
        # What can't be saved can't be seen in this way.
        pass
    return ()


def _look_at_keras(model: keras.Model, call: Call, examples: Examples | None, without: str) -> Look:
    if not statistics_layers(model):
        return Look(None)
    if examples is None:
        return Look(None, without)
    watch = KerasWatch(model, call)
    if watch.empty:
        return Look(None, FROZEN)
    fit = judged(watch, spread_evenly(examples))
    if watch.by_batch and not watch.called:
        return Look(None, by_batch=tuple(watch.by_batch))
    return Look(fit, by_batch=tuple(watch.by_batch))


def _look_at_saved(
    saved: SavedModel, scorer: Scorer, examples: Examples | None, without: str
) -> Look:
    exported = _kept(statistics_file(saved.path))
    frozen = () if exported is None else exported.frozen
    if exported is not None and not exported.layers:
        exported = None
    if not _may_normalize(saved):
        return Look(None, LEFT, exported)
    if examples is None:
        return Look(None, without, exported)
    chosen = spread_evenly(examples)
    watch = _watch(saved, scorer, chosen, frozen)
    batch, unseen = tuple(watch.by_batch), tuple(watch.unseen)
    if not watch.called:
        nothing = None if batch or unseen else FROZEN if frozen else LEFT
        return Look(None, nothing, exported, batch, unseen)
    return Look(judged(watch, chosen), None, exported, batch, unseen)


def _watch(
    saved: SavedModel, scorer: Scorer, examples: Examples, frozen: Collection[str] = ()
) -> GraphWatch:
    constants = {**scorer.defaults, **scorer.constants}
    constants = {name: value for name, value in constants.items() if name not in examples}
    signature = scorer.signature or DEFAULT_SIGNATURE
    return GraphWatch(saved, signature, examples, constants, frozen)


def _may_normalize(saved: SavedModel) -> bool:
    """Whether a graph has an op that normalizations can't do without."""
    graph_def = saved.graph.as_graph_def()
    bodies = [function.node_def for function in graph_def.library.function]
    wanted = NORMALIZATIONS | ROOTS
    return any(node.op in wanted for body in (graph_def.node, *bodies) for node in body)


def _kept(file: Path) -> StatisticsFit | None:
    """What an export keeps of the judgement of its statistics."""
    if not file.is_file():
        return None
    try:
        return StatisticsFit.from_dict(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file} is damaged: {one_line(error)}") from error
