"""Whether a model's scores are another's, and what it means where they are not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tfnorm.differences import absolute_difference, epsilon
from tfnorm.errors import InputError
from tfnorm.metrics import auc_or_none
from tfnorm.parity.outputs import alike, listed, matched, ranking_column
from tfnorm.parity.ranking import Ranking
from tfnorm.scorers.scorer import Scorer
from tfnorm.verify.compositions.plan import Composition
from tfnorm.verify.compositions.runner import Runner, Scored
from tfnorm.verify.judgement.judge import compare, composition_result
from tfnorm.verify.judgement.reference import Reference
from tfnorm.verify.judgement.tolerance import UNKNOWN
from tfnorm.verify.judgement.votes import shared_parts
from tfnorm.verify.request import Request
from tfnorm.verify.results import (
    DEPENDENCE,
    PARITY_QUANTILES,
    CompositionResult,
    Move,
    Parity,
    ParityOutput,
)


@dataclass(frozen=True, eq=False)
class Beside:
    """What another model gives for the examples one at a time.

    Attributes:
        scorer: the other model.
        pairs: output name -> the other's that it is compared with.
        composition: the examples one at a time.
        scored: what the other gives for each.
        seconds: how long that took.
    """

    scorer: Scorer
    pairs: dict[str, str]
    composition: Composition
    scored: list[Scored]
    seconds: float

    @classmethod
    def of(cls, request: Request, alone: Composition, expected: Scored) -> Beside | None:
        """The other model's scores of the request; None where there is no other model.

        Args:
            request: what is verified.
            alone: the examples one at a time.
            expected: what the model that is verified gives for the first.

        Raises:
            InputError: it does not take the examples, or no output of it is known to belong to one.
        """
        other = request.local
        if other is None:
            return None
        runner = Runner(other, alone.rows)
        before = runner.budget.clock()
        scored = runner.scored(alone, request.rows_of_other)
        seconds = runner.budget.clock() - before
        pairs = matched(expected, scored[0], request.outputs)
        if not pairs:
            raise InputError(
                f"{request.scorer.name} gives {listed(expected)} and {other.name} {listed(scored[0])}: which "
                "of them belong together is not known; say so by --output NAME=OTHER "
                "(outputs={'NAME': 'OTHER'})"
            )
        return cls(other, pairs, alone, scored, seconds)

    def judged(
        self, request: Request, precisions: Mapping[str, str | None], expected: Sequence[Scored]
    ) -> tuple[CompositionResult, Parity]:
        """Whether the two are equal but for rounding, and how far apart they are.

        Args:
            request: what is verified.
            precisions: output name -> the coarsest type that it is computed in.
            expected: what the model that is verified gives for each example.
        """
        count = len(self.scored)
        shared = shared_parts(request.examples.rows)
        moves: dict[str, Move] = {}
        found: dict[str, ParityOutput] = {}
        changed = np.zeros(count, bool)
        for name, other in self.pairs.items():
            rows = _alike(name, other, expected, self.scored)
            if isinstance(rows, str):
                moves[name] = Move(math.inf, None, count, DEPENDENCE, False, rows)
                found[name] = ParityOutput(other, count, math.inf, {}, None, None, None)
                changed[:] = True
                continue
            ours, theirs = rows
            coarsest = max(
                precisions[name] or UNKNOWN,
                self.scorer.precision_of(other) or UNKNOWN,
                key=epsilon,
            )
            tolerance = replace(request.tolerance, precision=coarsest)
            reference = Reference(ours, tolerance, shared)
            scored = [{name: row} for row in theirs]
            comparison = compare({name: reference}, self._named, scored).comparisons[name]
            moves[name] = comparison.move()
            changed |= comparison.changed
            found[name] = _output(name, other, reference, np.concatenate(theirs), request)
        result = composition_result(self._named, moves, int(changed.sum()), self.seconds)
        lacking = [name for name in expected[0] if name not in self.pairs]
        unasked = [name for name in self.scored[0] if name not in self.pairs.values()]
        per_request = bool(request.examples.requests)
        return result, Parity(self.scorer.name, found, lacking, unasked, per_request)

    @property
    def _named(self) -> Composition:
        return Composition(f"against {self.scorer.name}", "parity", self.composition.batches)


def _alike(
    name: str, other: str, expected: Sequence[Scored], scored: Sequence[Scored]
) -> tuple[list[np.ndarray], list[np.ndarray]] | str:
    """Both outputs of each example as `[1, values]` of one type, or why they can't be compared."""
    whose = repr(name), f"{other!r} of the other model"
    rows: tuple[list[np.ndarray], list[np.ndarray]] = [], []
    for ours, theirs in zip(expected, scored, strict=True):
        found = alike(ours[name], theirs[other], 1, whose)
        if isinstance(found, str):
            return found
        for column, row in zip(rows, found, strict=True):
            column.append(row)
    return rows


def _output(
    name: str, other: str, reference: Reference, theirs: np.ndarray, request: Request
) -> ParityOutput:
    """How far an output is apart, and what that means."""
    if reference.problem is not None:
        return ParityOutput(other, len(theirs), math.inf, {}, None, None, None)
    ours = reference.values
    apart = absolute_difference(theirs, ours)
    by_row = apart.max(axis=1, initial=0.0)
    quantiles = {
        share: float(np.quantile(by_row, share, method="inverted_cdf"))
        for share in PARITY_QUANTILES
    }
    different = int((apart > reference.at_most).any(axis=1).sum())
    largest = float(by_row.max(initial=0.0))
    ranked, ranked_there = ranking_column(name, ours), ranking_column(name, theirs)
    if ranked is None or ranked_there is None:
        return ParityOutput(other, different, largest, quantiles, None, None, None)
    ranking = Ranking()
    ranking.add(ranked, ranked_there, request.examples.requests or None)
    aucs = [auc_or_none(request.labels, column) for column in (ranked, ranked_there)]
    return ParityOutput(other, different, largest, quantiles, ranking.result, *aucs)
