"""Score the compositions of an agenda, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfnorm.errors import InputError
from tfnorm.scorers.connection import Unreachable
from tfnorm.scorers.scorer import Scorer
from tfnorm.verify.compositions.agenda import BY_SCORE, Agenda
from tfnorm.verify.compositions.neighbours import OTHERS
from tfnorm.verify.compositions.plan import Composition
from tfnorm.verify.compositions.runner import Rows, Runner, Scored


@dataclass(frozen=True, eq=False)
class Attempt:
    """What came of one composition.

    Attributes:
        composition: the composition.
        outputs: what the scorer gave for each batch; none where the model refuses it.
        control: what it gave for the batches of the control; None for the examples one at a time.
        refusal: why the model refuses it; None where it doesn't.
    """

    composition: Composition
    outputs: list[Scored]
    control: list[Scored] | None = None
    refusal: str | None = None


@dataclass(frozen=True, eq=False)
class Pool:
    """The rows that compositions are made of.

    Attributes:
        rows: the examples, and after them the neighbours.
        refused: composition -> why the model refuses its neighbours.
    """

    rows: dict[str, np.ndarray]
    refused: dict[str, str]


def with_neighbours(
    runner: Runner, agenda: Agenda, examples: Rows, by_score: Sequence[int]
) -> Pool:
    """The examples with the neighbours that the agenda has numbers for.

    Args:
        runner: what the neighbours are tried with.
        agenda: what will be scored.
        examples: the examples.
        by_score: the examples that are the neighbours `BY_SCORE`.
    """
    groups: dict[str, Rows] = {name: group.rows for name, group in agenda.neighbours.items()}
    for name, example in zip(BY_SCORE, by_score, strict=True):
        groups[name] = {key: array[[example]] for key, array in examples.items()}
    refusals = {
        # The others are examples, and were taken.
        f"among {name}": None if name == OTHERS else runner.refusal(rows, agenda.usual_size)
        for name, rows in groups.items()
    }
    # What is sent at the same time as the examples may be any rows, but not those that are refused.
    for name, rows in groups.items():
        if refusals[f"among {name}"] is not None:
            groups[name] = {
                key: examples[key][np.arange(len(array)) % len(examples[key])]
                for key, array in rows.items()
            }
    return Pool(
        rows={
            name: np.concatenate([array, *(rows[name] for rows in groups.values())])
            for name, array in examples.items()
        },
        refused={
            name: f"the model refuses such rows: {reason}"
            for name, reason in refusals.items()
            if reason is not None
        },
    )


def attempts(runner: Runner, agenda: Agenda, pool: Pool, alone: list[Scored]) -> Iterator[Attempt]:
    """Score the agenda's compositions but for those whose neighbours are refused.

    Of what was scored no more is kept than what others are compared with.

    Args:
        runner: what scores.
        agenda: what to score.
        pool: the rows that the compositions are made of.
        alone: what the scorer gave for the examples one at a time.

    Raises:
        InputError: the model refuses a batch that it has no good reason to refuse.
    """
    shapes = {name: array.shape[1:] for name, array in alone[0].items()}
    controls = {one.control.key for one in agenda.compositions if one.control is not None}
    kept = {agenda.alone.key: alone}
    for composition in agenda.compositions:
        end = runner.done + composition.rows
        if composition.name in pool.refused:
            runner.skip_to(end)
            continue
        try:
            outputs = runner.scored(composition, pool.rows, shapes)
        except Unreachable:
            raise
        except InputError as error:
            if not composition.may_be_refused:
                raise
            runner.skip_to(end)
            reason = f"the model refuses it: {error.__cause__}"
            yield Attempt(composition, [], refusal=reason)
            continue
        if composition.key in controls:
            kept[composition.key] = outputs
        control = None if composition.control is None else kept[composition.control.key]
        yield Attempt(composition, outputs, control)


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
