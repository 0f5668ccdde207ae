"""Did another version answer? What the log says of it, and the versions that stand beside the model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tfnorm.errors import InputError
from tfnorm.replay.judgement.sample import Seen
from tfnorm.replay.judgement.trial import Agreement, Rescored, Trial
from tfnorm.replay.scoring import answer
from tfnorm.scorers.load import load_scorer
from tfnorm.scorers.scorer import Scorer
from tfnorm.session import version_number, versions

_TRIED = 8
"""Of the versions beside the model, how many are tried, those that the log names and the newest."""


def own_version(scorer: Scorer) -> int | None:
    """The number of the folder of a SavedModel, or of the version in a server's address."""
    return version_number(Path(scorer.name).name)


def others(scorer: Scorer, logged: set[int]) -> list[tuple[int, Path]]:
    """The versions in the folder of the one that scores, those that the log names first."""
    own = own_version(scorer)
    if own is None or not Path(scorer.name).is_dir():
        return []
    found = versions(Path(scorer.name).parent)
    order = sorted((n for n in found if n != own), key=lambda n: (n not in logged, -n))
    return [(number, found[number]) for number in order[:_TRIED]]


@contextmanager
def opened(path: Path, signature: str | None) -> Iterator[Scorer | None]:
    """A version, or None where it can't be loaded."""
    try:
        scorer = load_scorer(path, signature=signature)
    except InputError:
        yield None
        return
    try:
        yield scorer
    finally:
        scorer.close()


def agreement(trial: Trial, other: Scorer) -> Agreement:
    """How many of the calls another model answers as was logged, in the batches as logged."""

    def way(trial: Trial, seen: Seen) -> Rescored | None:
        found = answer(seen.call, other)
        return None if found.outputs is None else _named(trial, found.outputs)

    return trial.agreement(way)


def _named(trial: Trial, outputs: dict[str, np.ndarray]) -> Rescored | None:
    """Its outputs by the names that the model's have."""
    if len(outputs) == 1 == len(trial.pairs):
        return Rescored({trial.pairs[0].new: next(iter(outputs.values()))})
    return Rescored(outputs) if {pair.new for pair in trial.pairs} <= outputs.keys() else None
