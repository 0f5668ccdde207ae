"""One verification: plan, score, judge, and find what is to blame."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import tensorflow as tf

from tfnorm.differences import epsilon
from tfnorm.errors import InputError
from tfnorm.parity.outputs import alike
from tfnorm.scorers.precision import coarsest_of
from tfnorm.scorers.servers.connection import Unreachable
from tfnorm.verify.blame import blame
from tfnorm.verify.compositions.runner import Runner, Scored
from tfnorm.verify.judgement.judge import Compared, compare, judge, over_all, refused_alone
from tfnorm.verify.judgement.reference import Reference
from tfnorm.verify.judgement.tolerance import UNKNOWN
from tfnorm.verify.judgement.untold import untold
from tfnorm.verify.judgement.votes import shared_parts
from tfnorm.verify.parity import Beside
from tfnorm.verify.report.report import InvarianceReport, Undecided
from tfnorm.verify.request import Request, fewer, within_budget
from tfnorm.verify.results import DEPENDENCE, CompositionResult, Parity, Stake, largest
from tfnorm.verify.scoring import (
    Attempt,
    attempts,
    left_out,
    pooled,
    taken_together,
    too_little,
)
from tfnorm.verify.shapes import look_at_shapes
from tfnorm.verify.stake import at_stake, checked_labels

_TIMED = 2
"""Examples that show how long one takes: the first, which a model may be traced in, and one more."""


@dataclass(frozen=True)
class Judged:
    """What scoring showed.

    Attributes:
        results: the verdict on each composition.
        dtypes: output name -> its dtype.
        left_out: composition -> why it was not run.
        precision: the coarsest type that the model computes in; None if unknown.
        stake: what the moves mean for a ranking; None where nothing is at stake.
        parity: how far the scores are from another model's; None where there is none.
        worst: the examples' numbers, those first that a dependence moves in most compositions; None where
            none was scored alone.
        undecided: why no verdict can rest on what was run, as long as nothing moved; None where one can.
        untold: output name -> why nothing, or not all, can be told of it.
    """

    results: list[CompositionResult]
    dtypes: dict[str, str]
    left_out: dict[str, str]
    precision: str | None = None
    stake: Stake | None = None
    parity: Parity | None = None
    worst: np.ndarray | None = None
    undecided: str | None = None
    untold: dict[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool | None:
        """The answer; None where it could not tell."""
        if not all(result.passed for result in self.results):
            return False
        return True if self.undecided is None else None


def run(request: Request, progress: Callable[[int, int], None] | None = None) -> InvarianceReport:
    """Verify.

    Args:
        request: what, and how.
        progress: called with the rows scored so far and the rows there are.

    Raises:
        Undecided: nothing moved in what was scored, but that is too little.
        InputError: it could not tell.
    """
    if request.labels is not None:
        request = replace(request, labels=checked_labels(request.labels, request.count))
    request, judged = verdict(request, progress)
    culprit, unknown = None, None
    if any(result.verdict == DEPENDENCE for result in judged.results):
        rows = request.examples.rows
        if judged.worst is not None:
            # What is to blame may concern few examples, such as those of one expert.
            rows = {name: array[judged.worst] for name, array in rows.items()}
        culprit, unknown = blame(request.scorer, request.local, rows, request.unpadded)
    report = InvarianceReport(
        target=request.scorer.name,
        signature=request.scorer.signature,
        examples=request.count,
        examples_given=request.examples.given,
        precision=judged.precision,
        passed=judged.passed,
        max_abs_diff=max((result.max_abs_diff for result in judged.results), default=0.0),
        max_ulp=largest(result.max_ulp for result in judged.results),
        outputs={
            name: over_all(dtype, [r.outputs[name] for r in judged.results if name in r.outputs])
            for name, dtype in judged.dtypes.items()
        },
        compositions=judged.results,
        left_out={**judged.left_out, **request.examples.left_out},
        stake=judged.stake,
        parity=judged.parity,
        culprit=culprit,
        culprit_unknown=unknown,
        atol=float(request.tolerance.atol),
        rtol=float(request.tolerance.rtol),
        bitwise=request.tolerance.bitwise,
        seed=request.seed,
        budget=float(request.budget.seconds),
        fed=request.fed,
        untold=judged.untold,
    )
    if report.passed is None:
        raise Undecided(str(judged.undecided), report)
    return report


def verdict(
    request: Request, progress: Callable[[int, int], None] | None = None
) -> tuple[Request, Judged]:
    """Score examples in all compositions and judge what moved; what is to blame is not looked for.

    Returns:
        The request for the examples that there was time for, and what scoring them showed.

    Raises:
        InputError: it could not tell.
    """
    todo, rows = request.agenda(), request.examples.rows
    no_time: dict[str, str] = {}
    runner = Runner(request.scorer, todo.rows, progress, request.budget)
    try:
        alone = runner.scored(todo.alone.part(0, _TIMED), rows)
        fitting = within_budget(request, todo)
        if fitting is request:
            alone += runner.scored(todo.alone.part(_TIMED), rows)
        else:
            no_time = fewer(request, fitting)
            request, todo, rows = fitting, fitting.agenda(), fitting.examples.rows
            runner = Runner(request.scorer, todo.rows, progress, request.budget)
            alone = runner.scored(todo.alone, rows)
    except Unreachable:
        raise
    except InputError as error:
        together = taken_together(request.scorer, rows, runner.done, todo.batch_sizes)
        if together is None:
            raise
        size, outputs = together
        result = refused_alone(outputs, request.count, size, str(error.__cause__))
        dtypes = {name: tf.as_dtype(array.dtype).name for name, array in outputs.items()}
        return request, Judged([result], dtypes, todo.left_out)
    beside = Beside.of(request, todo.alone, alone[0])
    precisions = _precisions(request, beside, alone[0], todo.usual_size)
    references = _references(request, alone, precisions)
    pool = pooled(todo, rows, next(iter(references.values())).extremes())
    compared: list[Compared] = []
    missed: list[Attempt] = []
    for attempt in attempts(runner, todo, pool, alone):
        if attempt.left_out is not None:
            missed.append(attempt)
        else:
            compared.append(
                compare(
                    references,
                    attempt.composition,
                    attempt.outputs,
                    attempt.control,
                    attempt.seconds,
                )
            )
    look_at_shapes(request.scorer, request.local, compared, pool)
    results = judge(references, compared)
    parity: list[CompositionResult] = []
    apart = None
    if beside is not None:
        result, apart = beside.judged(request, precisions, alone)
        parity.append(result)
    scored = [one.composition for one in compared]
    silent = untold(references, [one for one in (request.scorer, request.local) if one is not None])
    unclear = _unclear(compared) or silent.undecided
    return request, Judged(
        results=[*parity, *results],
        dtypes={name: reference.dtype for name, reference in references.items()},
        left_out={**todo.left_out, **no_time, **left_out(scored, missed)},
        precision=coarsest_of(precisions.values()),
        stake=at_stake(references, compared, results, request.labels),
        parity=apart,
        worst=_worst_first(compared, results, request.count),
        undecided=too_little(scored, missed, request.budget)
        or (unclear and f"{request.scorer.name}: {unclear}"),
        untold={
            name: said
            for name, said in silent.outputs.items()
            if all(result.outputs[name].passed for result in results)
        },
    )


def _worst_first(
    compared: Sequence[Compared], results: Sequence[CompositionResult], count: int
) -> np.ndarray:
    """The examples' numbers, those first that move in most of the compositions that show a dependence."""
    moves = np.zeros(count, int)
    for one, result in zip(compared, results, strict=True):
        for name, comparison in one.comparisons.items():
            if result.outputs[name].verdict == DEPENDENCE:
                moves += comparison.changed
    return np.argsort(-moves, kind="stable")


def _unclear(compared: Sequence[Compared]) -> str | None:
    """Why what moved may be rounding, or not, for all that is known; None where that is clear."""
    for one in compared:
        for name, comparison in one.comparisons.items():
            if comparison.unclear:
                return (
                    f"it can't be told whether {name!r} depends on the batch or rounds: in "
                    f"{one.composition.name!r} most examples move the same way, further than they round in "
                    f"{comparison.dtype}, but not further than where a GPU rounds products to 10 bits; what "
                    "it computes in is seen by comparing it with its model on this machine (--against)"
                )
    return None


def _precisions(
    request: Request, beside: Beside | None, alone: Scored, batch_size: int
) -> dict[str, str | None]:
    """The coarsest type that each output is computed in; None where that isn't known.

    A server does not tell. It is taken to compute as the other model does where it scores a batch as that
    one does, and else in `UNKNOWN`, or what is coarser still.
    """
    scorer = request.scorer
    if beside is None or all(scorer.precision_of(name) is not None for name in alone):
        return {name: scorer.precision_of(name) for name in alone}
    numbers = np.resize(np.arange(request.count), batch_size)
    batch = {name: array[numbers] for name, array in request.examples.rows.items()}
    theirs_too = {name: array[numbers] for name, array in request.rows_of_other.items()}
    ours, theirs = scorer.score(batch), beside.scorer.score(theirs_too)

    def coarsest(name: str) -> str:
        other = beside.pairs.get(name)
        if other is None:
            return UNKNOWN
        known = beside.scorer.precision_of(other) or UNKNOWN
        rows = alike(ours[name], theirs[other], batch_size)
        tolerance = replace(request.tolerance, precision=known)
        if not isinstance(rows, str) and Reference(list(rows[1][:, None]), tolerance).explains(
            rows[0]
        ):
            return known
        return max(known, UNKNOWN, key=epsilon)

    return {name: scorer.precision_of(name) or coarsest(name) for name in alone}


def _references(
    request: Request, alone: list[Scored], precisions: Mapping[str, str | None]
) -> dict[str, Reference]:
    shared = shared_parts(request.examples.rows)
    references = {
        name: Reference(
            [outputs[name] for outputs in alone],
            replace(request.tolerance, precision=precision),
            shared,
        )
        for name, precision in precisions.items()
    }
    if not references:
        raise InputError(
            f"{request.scorer.name} gives no output, so that there is nothing to compare"
        )
    return references
