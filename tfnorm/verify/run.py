"""One verification: the examples in all compositions, and what came out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from tfnorm.errors import InputError
from tfnorm.examples.load import Loaded
from tfnorm.scorers.connection import Unreachable
from tfnorm.scorers.scorer import Scorer
from tfnorm.verify.compositions.neighbours import OTHERS, Neighbours, neighbours
from tfnorm.verify.compositions.padding import paddings
from tfnorm.verify.compositions.plan import (
    ALONE,
    AROUND,
    SINGLE,
    Composition,
    Plan,
    again,
    compositions,
    concurrent,
    one_at_a_time,
    padded_longer,
)
from tfnorm.verify.compositions.runner import Runner, Scored
from tfnorm.verify.culprit.blame import blame
from tfnorm.verify.judgement.comparison import Comparison
from tfnorm.verify.judgement.growth import LARGE, grows_with_size
from tfnorm.verify.judgement.reference import Reference
from tfnorm.verify.judgement.tolerance import Tolerance
from tfnorm.verify.report.report import InvarianceReport
from tfnorm.verify.results import (
    DEPENDENCE,
    DIFFERENCE,
    ROUNDING,
    SAME,
    CompositionResult,
    Move,
    OutputResult,
    Stake,
    largest,
)
from tfnorm.verify.stake import checked_labels, stake

BATCH_BYTES = 1 << 23
"""Bytes of inputs in the largest batch that is tried for its size alone."""

BY_SCORE = ("the highest-scoring", "the lowest-scoring")


class Run:
    """The examples in all compositions, and what came out.

    Args:
        scorer: what is verified.
        local: a model on this machine whose scores the scorer's should be equal to; None for none.
        loaded: the examples.
        tolerance: how far a value may move.
        labels: 1 or 0 for each example; None where they aren't known.
        progress: called with the rows scored so far and the rows there are.

    Raises:
        InputError: the labels don't fit the examples.
    """

    def __init__(
        self,
        scorer: Scorer,
        local: Scorer | None,
        loaded: Loaded,
        tolerance: Tolerance,
        labels: np.ndarray | None,
        progress: Callable[[int, int], None] | None,
    ):
        self._scorer = scorer
        self._local = local
        self._rows = loaded.rows
        self._given = loaded.given
        self._requests = loaded.requests
        self._tolerance = tolerance
        self._count = len(next(iter(loaded.rows.values())))
        self._labels = None if labels is None else checked_labels(labels, self._count)
        self._runner = Runner(scorer, loaded.rows, progress)
        self._precision: str | None = None
        self._left_out: dict[str, str] = {}
        self._compared: list[tuple[Composition, dict[str, Comparison]]] = []

    def report(
        self, sizes: Sequence[int] | None, allowed: Sequence[int], seed: int
    ) -> InvarianceReport:
        """What came out; the arguments are those of `batch_invariance`."""
        groups = neighbours(self._rows)
        plan = self._plan(groups, sizes, allowed, seed)
        alone = one_at_a_time(self._count)
        todo = [*compositions(plan), *self._padded(plan), *self._concurrent(plan), again(alone)]
        self._runner.expect([alone, *todo])
        try:
            scored = self._runner.scored(alone)
        except Unreachable:
            raise
        except InputError as error:
            if refused := self._refused_alone(plan, error):
                return self._finished([refused], seed)
            raise
        self._references = self._referred(scored)
        self._add_neighbours(groups, plan.usual_sizes[0])
        if self._local is not None:
            self._compare_with_local(alone, scored)
        controls = {one.control.key for one in todo if one.control is not None}
        kept = {alone.key: scored}
        for composition in todo:
            control = composition.control and kept[composition.control.key]
            outputs = self._attempt(composition, control)
            if composition.key in controls:
                kept[composition.key] = outputs
        return self._finished(self._results(), seed)

    def _refused_alone(self, plan: Plan, error: InputError) -> CompositionResult | None:
        """The verdict on a model that takes an example in a batch, but not by itself."""
        example = self._runner.done
        for size in plan.batch_sizes:
            batch = (example + np.arange(size)) % self._count
            try:
                outputs = self._scorer.score({n: array[batch] for n, array in self._rows.items()})
            except Unreachable:
                raise
            except InputError:
                continue
            self._references = {name: Reference([a], Tolerance()) for name, a in outputs.items()}
            problem = f"the model takes an example in a batch of {size}, but not alone: " + str(
                error.__cause__
            )
            move = Move(math.inf, None, self._count, DEPENDENCE, False, problem)
            return CompositionResult(
                name=ALONE,
                kind="size",
                batch_size=1,
                against=f"{SINGLE}{size}",
                max_abs_diff=math.inf,
                max_ulp=None,
                rows_changed=self._count,
                verdict=DEPENDENCE,
                passed=False,
                outputs=dict.fromkeys(outputs, move),
            )
        return None

    def _referred(self, scored: list[Scored]) -> dict[str, Reference]:
        precision = self._scorer.precision
        if precision is None and self._local is not None:
            self._local.score({name: array[:1] for name, array in self._rows.items()})
            precision = self._local.precision
        self._precision = precision
        tolerance = Tolerance(
            self._tolerance.atol, self._tolerance.rtol, self._tolerance.bitwise, precision
        )
        references = {
            name: Reference([outputs[name] for outputs in scored], tolerance) for name in scored[0]
        }
        if not references:
            raise InputError(
                f"{self._scorer.name} gives no output, so that there is nothing to compare"
            )
        return references

    def _plan(
        self,
        groups: dict[str, Neighbours],
        sizes: Sequence[int] | None,
        allowed: Sequence[int],
        seed: int,
    ) -> Plan:
        numbers = {}
        start = self._count
        for name in (*groups, *BY_SCORE):
            count = groups[name].count if name in groups else 1
            same_shapes = name in groups and groups[name].numbers_alone
            numbers[name] = (np.arange(start, start + count), same_shapes)
            start += count
        row_bytes = sum(array[:1].nbytes for array in self._rows.values())
        ends = np.cumsum(self._requests, dtype=int)
        return Plan(
            examples=self._count,
            neighbours=numbers,
            sizes=sizes,
            allowed=allowed,
            most=min(AROUND[-1], BATCH_BYTES // max(row_bytes, 1)),
            requests=np.split(np.arange(self._count), ends[:-1]) if self._requests else (),
            seed=seed,
        )

    def _add_neighbours(self, groups: dict[str, Neighbours], batch_size: int) -> None:
        """Take in the rows that the plan has numbers for."""
        places = next(iter(self._references.values())).extremes()
        rows = {name: group.rows for name, group in groups.items()}
        for name, place in zip(BY_SCORE, places, strict=True):
            rows[name] = {key: array[[place]] for key, array in self._rows.items()}
        for name, group in rows.items():
            self._runner.add(group)
            # The others are examples, and were taken.
            reason = None if name == OTHERS else self._runner.refusal(group, batch_size)
            if reason is not None:
                self._left_out[f"among {name}"] = f"the model refuses such rows: {reason}"

    def _padded(self, plan: Plan) -> list[Composition]:
        made = []
        for padding in paddings(self._rows, self._scorer.inputs):
            composition = padded_longer(plan, padding)
            if padding.shown:
                made.append(composition)
            else:
                self._left_out[composition.name] = "no example ends in zeros: they may mean more"
        return made

    def _concurrent(self, plan: Plan) -> list[Composition]:
        return [concurrent(plan)] if self._scorer.remote else []

    def _attempt(self, composition: Composition, control: list[Scored] | None) -> list[Scored]:
        """Score a composition and compare it; what a model may refuse is left out then."""
        end = self._runner.done + composition.rows
        if composition.name in self._left_out:
            self._runner.skip_to(end)
            return []
        try:
            scored = self._runner.scored(composition)
        except Unreachable:
            raise
        except InputError as error:
            if not composition.may_be_refused:
                raise
            self._left_out[composition.name] = f"the model refuses it: {error.__cause__}"
            self._runner.skip_to(end)
            return []
        self._compare(composition, scored, control)
        return scored

    def _compare(
        self, composition: Composition, scored: list[Scored], control: list[Scored] | None
    ) -> None:
        comparisons = {
            name: Comparison(reference, control is not None, composition.same_shapes)
            for name, reference in self._references.items()
        }
        for number, (batch, outputs) in enumerate(zip(composition.batches, scored, strict=True)):
            for name, comparison in comparisons.items():
                expected = None if control is None else control[number].get(name)
                comparison.add(outputs.get(name), batch, expected)
        self._compared.append((composition, comparisons))

    def _compare_with_local(self, alone: Composition, scored: list[Scored]) -> None:
        local = Runner(self._local, self._rows, None).scored(alone)
        if missing := local[0].keys() ^ scored[0].keys():
            raise InputError(
                f"{self._scorer.name} gives {', '.join(scored[0])} and {self._local.name} "
                f"{', '.join(local[0])}: {', '.join(sorted(missing))} can't be compared"
            )
        parity = Composition(f"against {self._local.name}", "parity", alone.batches)
        self._compare(parity, local, None)

    def _finished(self, results: list[CompositionResult], seed: int) -> InvarianceReport:
        passed = all(result.passed for result in results)
        culprit, unknown = None, None
        if any(result.verdict == DEPENDENCE for result in results):
            culprit, unknown = blame(self._scorer, self._local, self._rows)
        return InvarianceReport(
            target=self._scorer.name,
            signature=self._scorer.signature,
            examples=self._count,
            examples_given=self._given,
            precision=self._precision,
            passed=passed,
            max_abs_diff=max(result.max_abs_diff for result in results),
            max_ulp=largest(result.max_ulp for result in results),
            outputs={
                name: _over_all(reference.dtype, [result.outputs[name] for result in results])
                for name, reference in self._references.items()
            },
            compositions=results,
            left_out=self._left_out,
            stake=self._stake(results),
            culprit=culprit,
            culprit_unknown=unknown,
            atol=float(self._tolerance.atol),
            rtol=float(self._tolerance.rtol),
            bitwise=self._tolerance.bitwise,
            seed=seed,
        )

    def _results(self) -> list[CompositionResult]:
        by_neighbours, by_size = {}, {}
        for name in self._references:
            by_neighbours[name] = any(found[name].dependent for _, found in self._compared)
            by_size[name] = grows_with_size(
                [
                    (composition.batch_size, comparisons[name].mean_epsilons)
                    for composition, comparisons in self._compared
                    if composition.kind == "size"
                ]
            )
        results = []
        for composition, comparisons in self._compared:
            sized = composition.kind == "size" and composition.batch_size >= LARGE
            moves = {
                name: comparison.move(by_neighbours[name], sized and by_size[name])
                for name, comparison in comparisons.items()
            }
            changed = [comparison.changed for comparison in comparisons.values()]
            results.append(_result(composition, moves, int(np.logical_or.reduce(changed).sum())))
        return results

    def _stake(self, results: list[CompositionResult]) -> Stake | None:
        """Of the first output that ranks, if its moves are more than rounding."""
        for name, reference in self._references.items():
            if reference.ranks and any(r.outputs[name].verdict == DEPENDENCE for r in results):
                alone = reference.values.reshape(-1).astype(np.float64)
                moved = [
                    (composition, comparisons[name].scores)
                    for composition, comparisons in self._compared
                    if composition.kind != "parity"
                ]
                return stake(name, alone, moved, self._labels)
        return None


def _result(
    composition: Composition, moves: dict[str, Move], rows_changed: int
) -> CompositionResult:
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
    )


def _over_all(dtype: str, moves: Sequence[Move]) -> OutputResult:
    return OutputResult(
        dtype=dtype,
        max_abs_diff=max(move.max_abs_diff for move in moves),
        max_ulp=largest(move.max_ulp for move in moves),
        passed=all(move.passed for move in moves),
    )
