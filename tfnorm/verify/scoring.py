"""Score the compositions of an agenda, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfnorm.errors import InputError
from tfnorm.scorers.scorer import Scorer
from tfnorm.scorers.servers.connection import Unreachable
from tfnorm.verify.compositions.agenda import BY_SCORE, Agenda
from tfnorm.verify.compositions.budget import Budget
from tfnorm.verify.compositions.plan import Composition
from tfnorm.verify.compositions.runner import Rows, Runner, Scored


@dataclass(frozen=True, eq=False)
class Attempt:
    """What came of one composition.

    Attributes:
        composition: the composition.
        outputs: what the scorer gave for each batch; none where it was left out.
        control: what it gave for the batches of the control; None for the examples one at a time.
        seconds: how long that took.
        left_out: why it was left out; None where it was scored.
        error: the model's refusal of what it has no good reason to refuse; else None.
        no_time: whether the budget did not do for it.
    """

    composition: Composition
    outputs: list[Scored]
    control: list[Scored] | None = None
    seconds: float = 0.0
    left_out: str | None = None
    error: InputError | None = None
    no_time: bool = False


def left_out(scored: Sequence[Composition], missed: Sequence[Attempt]) -> dict[str, str]:
    """What was left out -> why; with its batch size where it was scored in another."""
    names = {composition.name for composition in scored}
    found: dict[str, str] = {}
    for attempt in missed:
        name = attempt.composition.name
        if name in names:
            name = f"{name}, {attempt.composition.batch_size} a batch"
        found.setdefault(name, str(attempt.left_out))
    return found


def too_little(
    scored: Sequence[Composition], missed: Sequence[Attempt], budget: Budget
) -> str | None:
    """Why what was scored does not do for a verdict, should nothing have moved; None where it does.

    A refusal of what a model should take leaves it open, and so does a budget that did not do for one
    composition of other sizes, and one of other neighbours at equal sizes.
    """
    refusals = [attempt for attempt in missed if attempt.error is not None]
    if refusals:
        # The smallest batch that is refused tells most.
        first = min(refusals, key=lambda attempt: attempt.composition.batch_size)
        more = f" (and {len(refusals) - 1} more compositions)" if len(refusals) > 1 else ""
        taken = max((one.batch_size for one in scored), default=1)
        limited = first.composition.batch_size > taken
        hint = (
            f"; batches of up to {taken:,} were taken: give the sizes that the server's batching.config "
            "allows by --allowed-batch-size, or others by --batch-size"
        )
        return f"{first.error}{more}{hint * limited}"
    wanted = {_tells(attempt.composition) for attempt in missed if attempt.no_time}
    lacking = {"size", "neighbours"} & wanted - {_tells(one) for one in scored}
    if not lacking:
        return None
    kinds = " and ".join(_LACKING[kind] for kind in sorted(lacking))
    return f"{budget} does not do for a verdict: nothing was scored {kinds}; give more by --budget"


_LACKING = {"neighbours": "among larger neighbours", "size": "in other batch sizes"}


def _tells(composition: Composition) -> str:
    """The kind of dependence that a composition tells by itself."""
    uncontrolled = composition.kind == "neighbours" and composition.control is None
    return "" if uncontrolled else composition.kind


def pooled(agenda: Agenda, examples: Rows, by_score: Sequence[int]) -> dict[str, np.ndarray]:
    """The rows that compositions are made of: the examples, and after them the neighbours.

    Args:
        agenda: what will be scored.
        examples: the examples.
        by_score: the examples that are the neighbours `BY_SCORE`.
    """
    groups: dict[str, Rows] = {name: group.rows for name, group in agenda.neighbours.items()}
    for name, example in zip(BY_SCORE, by_score, strict=True):
        groups[name] = {key: array[[example]] for key, array in examples.items()}
    return {
        name: np.concatenate([array, *(rows[name] for rows in groups.values())])
        for name, array in examples.items()
    }


def attempts(runner: Runner, agenda: Agenda, rows: Rows, alone: list[Scored]) -> Iterator[Attempt]:
    """Score the agenda's compositions, as far as the model takes them and the time allows.

    What would be scored in the very batches of an earlier one is not scored again, but where that is what
    is tried. Of what was scored no more is kept than what others are compared with, or the same as.

    Args:
        runner: what scores, and has the budget.
        agenda: what to score.
        rows: the rows that the compositions are made of.
        alone: what the scorer gave for the examples one at a time.
    """
    shapes = {name: array.shape[1:] for name, array in alone[0].items()}
    twins = _twins(agenda.compositions, rows)
    kept_for = {one.control.key for one in agenda.compositions if one.control is not None}
    kept_for.update(twins.values())
    kept = {agenda.alone.key: alone}
    refused: dict[str, str] = {}
    *_, last = agenda.compositions
    for composition in agenda.compositions:
        end = runner.done + composition.rows
        control = composition.control
        same = kept.get(twins[composition.key]) if composition.key in twins else None
        costly = same is None and composition is not last
        no_time = costly and _no_time(runner.budget, composition, last)
        left_out = f"{runner.budget} does not do for it" if no_time else None
        if control is not None and control.key not in kept and not no_time:
            left_out = f"{control.name!r}, which it is compared with, was left out"
        left_out = refused.get(composition.name, left_out)
        if left_out is not None:
            runner.skip_to(end)
            yield Attempt(composition, [], left_out=left_out, no_time=no_time)
            continue
        before = runner.budget.clock()
        try:
            outputs = same or runner.scored(composition, rows, shapes)
        except Unreachable:
            raise
        except InputError as error:
            runner.skip_to(end)
            reason = f"the model refuses it: {error.__cause__}"
            made_up = _made_up(agenda, composition)
            neighbours = {name: array[made_up] for name, array in rows.items()}
            by_themselves = runner.refusal(neighbours, agenda.usual_size)
            if by_themselves is not None:
                reason = f"the model refuses such rows: {by_themselves}"
                refused[composition.name] = reason
                rows = _with_examples_at(rows, made_up, agenda.alone.rows)
            unexpected = None if composition.may_be_refused else error
            yield Attempt(composition, [], left_out=reason, error=unexpected)
            continue
        if same is not None:
            runner.skip_to(end)
        if composition.key in kept_for:
            kept[composition.key] = outputs
        compared_with = None if control is None else kept[control.key]
        yield Attempt(composition, outputs, compared_with, runner.budget.clock() - before)


def _twins(
    compositions: Sequence[Composition], rows: Rows
) -> dict[tuple[str, int], tuple[str, int]]:
    """The key of each composition that has the very batches of an earlier one -> the key of that one."""
    equal: dict[tuple[bytes, ...], int] = {}
    count = len(next(iter(rows.values())))
    kinds = np.array(
        [
            equal.setdefault(
                tuple(array[n : n + 1].tobytes() for array in rows.values()), len(equal)
            )
            for n in range(count)
        ]
    )
    first: dict[tuple[object, ...], tuple[str, int]] = {}
    found = {}
    for one in compositions:
        if one.kind in ("repeat", "concurrent"):
            continue
        batches = (one.padding, *(kinds[batch].tobytes() for batch in one.batches))
        if (key := first.setdefault(batches, one.key)) != one.key:
            found[one.key] = key
    return found


def _no_time(budget: Budget, composition: Composition, last: Composition) -> bool:
    """Whether there is no time for a composition, so that the last can be scored as well."""
    return budget.expected([composition, last]) > budget.left


def _made_up(agenda: Agenda, composition: Composition) -> np.ndarray:
    """The numbers of a composition's neighbours, if they are rows of no example's."""
    name = composition.name.removeprefix("among ")
    made_up = composition.kind == "neighbours" and composition.control is not None
    return agenda.numbers[name] if made_up else np.arange(0)


def _with_examples_at(rows: Rows, numbers: np.ndarray, examples: int) -> dict[str, np.ndarray]:
    """The rows with examples in the place of some neighbours.

    What is sent at the same time as the examples may be any rows, but not those that are refused.
    """
    replaced = {name: array.copy() for name, array in rows.items()}
    for array in replaced.values():
        array[numbers] = array[numbers % examples]
    return replaced


def taken_together(
    scorer: Scorer, examples: Rows, example: int, batch_sizes: Sequence[int]
) -> tuple[int, Mapping[str, np.ndarray]] | None:
    """The size of a batch in which an example is taken that is refused alone, and what it gives."""
    count = len(next(iter(examples.values())))
    for size in batch_sizes:
        batch = (example + np.arange(size)) % count
        try:
            return size, scorer.score({name: array[batch] for name, array in examples.items()})
        except Unreachable:
            raise
        except InputError:
            continue
    return None
