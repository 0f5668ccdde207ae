"""The verdict on each composition, once all of them are compared."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfnorm.verify.compositions.plan import ALONE, SINGLE, Composition
from tfnorm.verify.judgement.comparison import Comparison
from tfnorm.verify.judgement.growth import LARGE, grows_with_size
from tfnorm.verify.judgement.reference import Reference
from tfnorm.verify.results import (
    DEPENDENCE,
    DIFFERENCE,
    ROUNDING,
    SAME,
    CompositionResult,
    Move,
    OutputResult,
    largest,
)


@dataclass(frozen=True, eq=False)
class Compared:
    """One composition, with a comparison for each output, and how many seconds scoring it took."""

    composition: Composition
    comparisons: dict[str, Comparison]
    seconds: float = 0.0


def compare(
    references: Mapping[str, Reference],
    composition: Composition,
    scored: Sequence[Mapping[str, np.ndarray]],
    control: Sequence[Mapping[str, np.ndarray]] | None = None,
    seconds: float = 0.0,
) -> Compared:
    """Compare what the scorer gave for the batches of a composition.

    Args:
        references: output name -> what it is compared with.
        composition: which rows were in the batches.
        scored: what the scorer gave for each.
        control: what it gave for the batches of the composition's control; None where there is none.
        seconds: how long scoring took.
    """
    comparisons = {
        name: Comparison(reference, control is not None, composition.same_shapes or None)
        for name, reference in references.items()
    }
    for number, (batch, outputs) in enumerate(zip(composition.batches, scored, strict=True)):
        for name, comparison in comparisons.items():
            expected = None if control is None else control[number].get(name)
            comparison.add(outputs.get(name), batch, expected)
    return Compared(composition, comparisons, seconds)


def judge(outputs: Iterable[str], compared: Sequence[Compared]) -> list[CompositionResult]:
    """The verdict on each composition: one on its own does not tell rounding from a dependence."""
    by_neighbours, by_size = {}, {}
    for name in outputs:
        by_neighbours[name] = any(one.comparisons[name].dependent for one in compared)
        by_size[name] = grows_with_size(
            [
                (one.composition.batch_size, one.comparisons[name].mean_epsilons)
                for one in compared
                if one.composition.kind == "size"
            ]
        )
    results = []
    for one in compared:
        sized = one.composition.kind == "size" and one.composition.batch_size >= LARGE
        moves = {
            name: comparison.move(by_neighbours[name], sized and by_size[name])
            for name, comparison in one.comparisons.items()
        }
        changed = [comparison.changed for comparison in one.comparisons.values()]
        rows_changed = int(np.logical_or.reduce(changed).sum())
        results.append(composition_result(one.composition, moves, rows_changed, one.seconds))
    return results


def refused_alone(
    outputs: Iterable[str], examples: int, batch_size: int, reason: str
) -> CompositionResult:
    """The verdict on a model that takes an example in a batch, but not by itself."""
    problem = f"the model takes an example in a batch of {batch_size}, but not alone: {reason}"
    move = Move(math.inf, None, examples, DEPENDENCE, False, problem)
    return CompositionResult(
        name=ALONE,
        kind="size",
        batch_size=1,
        against=f"{SINGLE}{batch_size}",
        max_abs_diff=math.inf,
        max_ulp=None,
        rows_changed=examples,
        verdict=DEPENDENCE,
        passed=False,
        outputs=dict.fromkeys(outputs, move),
    )


def over_all(dtype: str, moves: Sequence[Move]) -> OutputResult:
    """An output in all compositions."""
    return OutputResult(
        dtype=dtype,
        max_abs_diff=max(move.max_abs_diff for move in moves),
        max_ulp=largest(move.max_ulp for move in moves),
        passed=all(move.passed for move in moves),
    )


def composition_result(
    composition: Composition, moves: dict[str, Move], rows_changed: int, seconds: float
) -> CompositionResult:
    """The verdict on a composition by those on its outputs.

    Args:
        composition: the composition.
        moves: output name -> how far it moved.
        rows_changed: how many examples have any output that differs at all.
        seconds: how long scoring took.
    """
    verdicts = {move.verdict for move in moves.values()}
    verdict = next(verdict for verdict in (DEPENDENCE, ROUNDING, SAME) if verdict in verdicts)
    if verdict == DEPENDENCE and composition.kind == "parity":
        verdict = DIFFERENCE
    return CompositionResult(
        name=composition.name,
        kind=composition.kind,
        batch_size=composition.batch_size,
        against=composition.against,
        max_abs_diff=max(move.max_abs_diff for move in moves.values()),
        max_ulp=largest(move.max_ulp for move in moves.values()),
        rows_changed=rows_changed,
        verdict=verdict,
        passed=all(move.passed for move in moves.values()),
        outputs=moves,
        seconds=round(seconds, 4),
    )
