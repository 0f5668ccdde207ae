"""Score the same examples in many batch compositions, and compare."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np

from tfnorm.errors import InputError
from tfnorm.verify.blame import blame
from tfnorm.verify.compare import (
    ATOL,
    LARGE,
    RTOL,
    Comparison,
    Reference,
    Tolerance,
    grows_with_size,
)
from tfnorm.verify.compositions import (
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
from tfnorm.verify.examples import Examples, Loaded, load
from tfnorm.verify.neighbours import OTHERS, Neighbours, neighbours
from tfnorm.verify.padding import paddings
from tfnorm.verify.random_examples import random_examples
from tfnorm.verify.remote import Connection, Unreachable
from tfnorm.verify.report import (
    DEPENDENCE,
    DIFFERENCE,
    ROUNDING,
    SAME,
    CompositionResult,
    InvarianceReport,
    Move,
    OutputResult,
    Stake,
    largest,
)
from tfnorm.verify.runner import Runner, Scored
from tfnorm.verify.scorers import Scorer, load_scorer
from tfnorm.verify.stake import checked_labels, stake

LIMIT = 4096
"""Examples that are scored; of more, as many evenly spread."""

BATCH_BYTES = 1 << 23
"""Bytes of inputs in the largest batch that is tried for its size alone."""

BY_SCORE = ("the highest-scoring", "the lowest-scoring")


def batch_invariance(
    target: keras.Model | str | Path | Scorer,
    examples: Examples | None = None,
    *,
    batch_sizes: Sequence[int] | None = None,
    atol: float = ATOL,
    rtol: float = RTOL,
    bitwise: bool = False,
    seed: int = 0,
    signature: str | None = None,
    labels: np.ndarray | None = None,
    allowed_batch_sizes: Sequence[int] = (),
    against: keras.Model | str | Path | None = None,
    connection: Connection | None = None,
    limit: int | None = LIMIT,
    random: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> InvarianceReport:
    """Find out whether an example's score depends on the batch in which it arrives.

    The examples are scored one at a time, and then in batches of many sizes, in other orders and
    places, among copies and extreme neighbours, with longer padding, and again. A value that moves is
    told to be rounding or a dependence:

    - At equal batch sizes, the examples at the same places among other neighbours, the same kernels
      run: a value that moves by more than 4 epsilons depends on the neighbours. They grow to 1,000
      times what they were, so that a dependence far below an epsilon shows.
    - At another batch size kernels round otherwise. There a value may move by

          |moved - alone| <= atol * max(1, scale) + rtol * |alone|

      where scale is the median magnitude, over the examples, of the number at that place of the
      output; but 95% of the values may not move the same way, each by 4 epsilons or more.
    - Beyond that, as long as neighbours alone move nothing, it may move by 256 epsilons, as deep models
      do; by 32 in a model that computes in 16 bits, or a server whose precision isn't known.

    Integers, booleans and strings may not move. NaN equals NaN.

    Args:
        target: what `load_scorer` takes, or a scorer.
        examples: arrays by input name, `[examples, ...]`, two or more examples; one array for a
            model of one input; or a file: an `.npz` of arrays, JSON lines (TensorFlow Serving's
            `instances`), a TFRecord of tf.Example or of TensorFlow Serving's PredictionLog, whose
            requests are replayed. None for those that an export keeps beside the model.
        batch_sizes: sizes to try, 2 or more each; None for 2, 3, 7, 8, 16, 31, 32, 64, 100, 256 and
            all examples at once, and one batch each of the sizes around powers of two.
        atol: absolute tolerance; a wider one than this widens all bounds alike.
        rtol: relative tolerance; likewise.
        bitwise: asks for identical bits instead.
        seed: of the shuffles.
        signature: of a SavedModel or a server; None for "serving_default".
        labels: `[examples]`, above 0.5 for the positive ones: AUC is then told by batch size.
            Examples named "labels" that are no input do as well.
        allowed_batch_sizes: those that the server pads to (its `allowed_batch_sizes`); no larger
            batch is tried.
        against: a model on this machine whose scores the target's should be equal to.
        connection: how to reach a server; None for the defaults.
        limit: how many examples to score; of more, that many evenly spread; None for all.
        random: draw that many examples from the signature instead.
        progress: called with the rows scored so far and the rows there are.

    Returns:
        The report; `passed` is the answer.

    Raises:
        InputError: it could not tell: the target or the examples can't be used, or the target
            refuses a batch or stops answering (the message says how far it came).

    Example:

        >>> model = keras.Sequential([keras.Input((3,), name="x"), keras.layers.Dense(1)])
        >>> batch_invariance(model, {"x": np.ones((4, 3), np.float32)}).passed
        True
    """
    _check(batch_sizes, allowed_batch_sizes, atol, rtol, seed, limit)
    if random is not None and examples is not None:
        raise InputError("both examples and random were given; accepted: one of them")
    with _opened(target, signature, connection) as scorer, _opened_local(against) as local:
        if random is not None:
            examples = random_examples(scorer, random, seed)
        elif examples is None and local is not None:
            examples = load(None, local, limit).rows
        loaded = load(examples, scorer, limit)
        if labels is None:
            labels = loaded.labels
        elif loaded.given != len(next(iter(loaded.rows.values()))):
            raise InputError(
                f"labels were given apart, but only some of {loaded.given:,} examples are scored; "
                'put them beside the examples, named "labels", or raise the limit'
            )
        run = _Run(scorer, local, loaded, Tolerance(atol, rtol, bitwise), labels, progress)
        return run.report(batch_sizes, allowed_batch_sizes, int(seed))


class _Run:
    """The examples in all compositions, and what came out."""

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
        precision = getattr(self._scorer, "precision", None)
        if precision is None and self._local is not None:
            self._local.score({name: array[:1] for name, array in self._rows.items()})
            precision = getattr(self._local, "precision", None)
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
            reason = name != OTHERS and self._runner.refusal(group, batch_size)
            if reason:
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
        return [concurrent(plan)] if getattr(self._scorer, "remote", False) else []

    def _attempt(self, composition: Composition, control: list[Scored] | None) -> list[Scored]:
        """Score a composition and compare it; what a model may refuse is left out then."""
        if composition.name in self._left_out:
            self._runner.skip(composition)
            return []
        try:
            scored = self._runner.scored(composition)
        except Unreachable:
            raise
        except InputError as error:
            if not composition.may_be_refused:
                raise
            self._left_out[composition.name] = f"the model refuses it: {error.__cause__}"
            self._runner.skip(composition)
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


def _check(
    batch_sizes: Sequence[int] | None,
    allowed: Sequence[int],
    atol: float,
    rtol: float,
    seed: int,
    limit: int | None,
) -> None:
    for name, sizes, fewest, smallest in (
        ("batch_sizes", batch_sizes, 1, 2),
        ("allowed_batch_sizes", allowed, 0, 1),
    ):
        whole = [n for n in (() if sizes is None else sizes) if isinstance(n, int | np.integer)]
        given = sizes is not None
        if given and not (
            len(whole) == len(sizes) >= fewest
            and min(whole, default=2) >= smallest
            and max(whole, default=2) >= 2
        ):
            raise InputError(f"{name} is {sizes!r}; accepted: whole numbers, 2 or more each")
    for name, value in (("atol", atol), ("rtol", rtol)):
        if not 0 <= value < math.inf:
            raise InputError(f"{name} is {value!r}; accepted: 0 or more")
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"seed is {seed!r}; accepted: a whole number, 0 or more")
    if limit is not None and limit < 2:
        raise InputError(f"limit is {limit!r}; accepted: 2 or more, or None for all examples")


@contextmanager
def _opened(
    target: keras.Model | str | Path | Scorer,
    signature: str | None,
    connection: Connection | None,
) -> Iterator[Scorer]:
    """The scorer itself, or one of the target that is closed at the end."""
    if isinstance(target, Scorer):
        if signature is not None:
            raise InputError(
                f"signature {signature!r} was given, but {target.name} has chosen its own"
            )
        yield target
        return
    scorer = load_scorer(target, signature=signature, connection=connection)
    try:
        yield scorer
    finally:
        scorer.close()


@contextmanager
def _opened_local(against: keras.Model | str | Path | None) -> Iterator[Scorer | None]:
    if against is None:
        yield None
        return
    with _opened(against, None, None) as scorer:
        yield scorer


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
