"""One verification: plan, score, judge, and find what is to blame."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.examples.load import Loaded
from tfnorm.scorers.connection import Unreachable
from tfnorm.scorers.scorer import Scorer
from tfnorm.verify.blame import blame
from tfnorm.verify.compositions.agenda import Agenda, agenda
from tfnorm.verify.compositions.plan import Composition
from tfnorm.verify.compositions.runner import Rows, Runner, Scored
from tfnorm.verify.judgement.judge import Compared, compare, judge, over_all, refused_alone
from tfnorm.verify.judgement.reference import Reference
from tfnorm.verify.judgement.tolerance import Tolerance
from tfnorm.verify.report.report import InvarianceReport
from tfnorm.verify.results import DEPENDENCE, CompositionResult, Stake, largest
from tfnorm.verify.scoring import attempts, taken_together, with_neighbours
from tfnorm.verify.stake import at_stake, checked_labels


@dataclass(frozen=True, eq=False)
class Request:
    """What is to be verified, and how.

    Attributes:
        scorer: what is verified.
        local: a model on this machine whose scores the scorer's should be equal to; None for none.
        examples: the examples.
        tolerance: how far a value may move.
        labels: 1 or 0 for each example; None where they aren't known.
        batch_sizes, allowed, seed: as `batch_invariance` has them.
    """

    scorer: Scorer
    local: Scorer | None
    examples: Loaded
    tolerance: Tolerance
    labels: np.ndarray | None
    batch_sizes: Sequence[int] | None
    allowed: Sequence[int]
    seed: int

    @property
    def count(self) -> int:
        """How many examples there are."""
        return len(next(iter(self.examples.rows.values())))


@dataclass(frozen=True)
class Judged:
    """What scoring showed.

    Attributes:
        results: the verdict on each composition.
        dtypes: output name -> its dtype.
        left_out: composition -> why it was not run.
        precision: the coarsest type that the model computes in; None if unknown.
        stake: what the moves mean for a ranking; None where nothing is at stake.
    """

    results: list[CompositionResult]
    dtypes: dict[str, str]
    left_out: dict[str, str]
    precision: str | None = None
    stake: Stake | None = None


def run(request: Request, progress: Callable[[int, int], None] | None = None) -> InvarianceReport:
    """Verify.

    Args:
        request: what, and how.
        progress: called with the rows scored so far and the rows there are.

    Raises:
        InputError: it could not tell.
    """
    if request.labels is not None:
        request = replace(request, labels=checked_labels(request.labels, request.count))
    examples = request.examples
    todo = agenda(
        examples.rows,
        request.scorer.inputs,
        remote=request.scorer.remote,
        requests=examples.requests,
        batch_sizes=request.batch_sizes,
        allowed=request.allowed,
        seed=request.seed,
    )
    judged = _judged(request, todo, Runner(request.scorer, todo.rows, progress))
    culprit, unknown = None, None
    if any(result.verdict == DEPENDENCE for result in judged.results):
        culprit, unknown = blame(request.scorer, request.local, examples.rows)
    return InvarianceReport(
        target=request.scorer.name,
        signature=request.scorer.signature,
        examples=request.count,
        examples_given=examples.given,
        precision=judged.precision,
        passed=all(result.passed for result in judged.results),
        max_abs_diff=max(result.max_abs_diff for result in judged.results),
        max_ulp=largest(result.max_ulp for result in judged.results),
        outputs={
            name: over_all(dtype, [result.outputs[name] for result in judged.results])
            for name, dtype in judged.dtypes.items()
        },
        compositions=judged.results,
        left_out=judged.left_out,
        stake=judged.stake,
        culprit=culprit,
        culprit_unknown=unknown,
        atol=float(request.tolerance.atol),
        rtol=float(request.tolerance.rtol),
        bitwise=request.tolerance.bitwise,
        seed=request.seed,
    )


def _judged(request: Request, todo: Agenda, runner: Runner) -> Judged:
    rows = request.examples.rows
    try:
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
        return Judged([result], dtypes, todo.left_out)
    precision = _precision(request.scorer, request.local, rows)
    references = _references(request, alone, precision)
    extremes = next(iter(references.values())).extremes()
    pool = with_neighbours(runner, todo, rows, extremes)
    compared: list[Compared] = []
    if request.local is not None:
        compared.append(_parity(request.scorer, request.local, todo.alone, rows, alone, references))
    left_out = {**todo.left_out, **pool.refused}
    for attempt in attempts(runner, todo, pool, alone):
        if attempt.refusal is not None:
            left_out[attempt.composition.name] = attempt.refusal
        else:
            compared.append(
                compare(references, attempt.composition, attempt.outputs, attempt.control)
            )
    results = judge(references, compared)
    return Judged(
        results=results,
        dtypes={name: reference.dtype for name, reference in references.items()},
        left_out=left_out,
        precision=precision,
        stake=at_stake(references, compared, results, request.labels),
    )


def _precision(scorer: Scorer, local: Scorer | None, rows: Rows) -> str | None:
    """What the model computes in; a server does not tell, but the model on this machine does."""
    if scorer.precision is not None or local is None:
        return scorer.precision
    local.score({name: array[:1] for name, array in rows.items()})
    return local.precision


def _references(
    request: Request, alone: list[Scored], precision: str | None
) -> dict[str, Reference]:
    tolerance = replace(request.tolerance, precision=precision)
    references = {
        name: Reference([outputs[name] for outputs in alone], tolerance) for name in alone[0]
    }
    if not references:
        raise InputError(
            f"{request.scorer.name} gives no output, so that there is nothing to compare"
        )
    return references


def _parity(
    scorer: Scorer,
    local: Scorer,
    alone: Composition,
    rows: Rows,
    expected: list[Scored],
    references: Mapping[str, Reference],
) -> Compared:
    """The examples one at a time by the model on this machine, compared with the scorer's."""
    scored = Runner(local, alone.rows).scored(alone, rows)
    if missing := scored[0].keys() ^ expected[0].keys():
        raise InputError(
            f"{scorer.name} gives {', '.join(expected[0])} and {local.name} "
            f"{', '.join(scored[0])}: {', '.join(sorted(missing))} can't be compared"
        )
    return compare(
        references, Composition(f"against {local.name}", "parity", alone.batches), scored
    )
