"""What will be scored, all of it decided before anything is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import tensorflow as tf

from tfnorm.examples.records import takes_records
from tfnorm.verify.compositions.neighbours import Neighbours, neighbours
from tfnorm.verify.compositions.padding import paddings
from tfnorm.verify.compositions.plan import (
    AROUND,
    Composition,
    Plan,
    again,
    compositions,
    concurrent,
    most_telling_first,
    one_at_a_time,
    padded_longer,
)

BATCH_BYTES = 1 << 23
"""Bytes of inputs in the largest batch, but for sizes that are asked for."""

BY_SCORE = ("the highest-scoring", "the lowest-scoring")
"""The neighbours that are known only once the examples are scored; they are numbered last."""


@dataclass(frozen=True, eq=False)
class Agenda:
    """What will be scored.

    Attributes:
        alone: the examples one at a time: the first to be scored.
        compositions: the others, the most telling first.
        neighbours: the rows to put beside the examples, in the order of their numbers; those
            `BY_SCORE` come after them.
        numbers: the row numbers of each group of neighbours.
        batch_sizes: the sizes that all examples are scored in, lowest first.
        usual_size: the size of batches that try something else.
        left_out: composition -> why it isn't tried.
    """

    alone: Composition
    compositions: list[Composition]
    neighbours: dict[str, Neighbours]
    numbers: dict[str, np.ndarray]
    batch_sizes: list[int]
    usual_size: int
    left_out: dict[str, str]

    @property
    def rows(self) -> int:
        """How many rows there are to score."""
        return self.alone.rows + sum(composition.rows for composition in self.compositions)


def agenda(
    rows: Mapping[str, np.ndarray],
    inputs: Mapping[str, tf.TensorSpec] | None,
    *,
    remote: bool = False,
    requests: Sequence[int] = (),
    batch_sizes: Sequence[int] | None = None,
    allowed: Sequence[int] = (),
    unpadded: Collection[str] = (),
    outside: Mapping[str, int] = MappingProxyType({}),
    seed: int = 0,
) -> Agenda:
    """What to score of examples.

    Args:
        rows: the examples.
        inputs: what the scorer takes; None where it doesn't say.
        remote: whether requests may be sent at the same time.
        requests: how many examples each logged request had; empty where they are no log.
        batch_sizes: as `verify_batch_invariance` has them.
        allowed: the batch sizes that the server pads to.
        unpadded: the inputs whose zeros at the end are no padding.
        outside: input name -> an id that its table lacks, as `Scorer` has them.
        seed: of the shuffles.
    """
    count = len(next(iter(rows.values())))
    row_bytes = sum(array[:1].nbytes for array in rows.values())
    most = BATCH_BYTES // max(row_bytes, 1)
    of_records = takes_records(inputs or {})
    groups = neighbours(rows, max(most, 2), outside, of_records if of_records in rows else None)
    ends = np.cumsum(requests, dtype=int)
    plan = Plan(
        examples=count,
        neighbours=_numbered(groups, count),
        sizes=batch_sizes,
        allowed=allowed,
        most=most,
        requests=np.split(np.arange(count), ends[:-1]) if requests else (),
        seed=seed,
    )
    alone = one_at_a_time(count)
    longer = [
        (padding.objection(unpadded), padded_longer(plan, padding))
        for padding in paddings(rows, inputs)
    ]
    left_out = {
        composition.name: objection for objection, composition in longer if objection is not None
    }
    if batch_sizes is None and not allowed and plan.most < max(AROUND[-1], count):
        largest = max(plan.most, *plan.batch_sizes)
        left_out[f"batches of more than {largest}"] = (
            f"their inputs would be over {BATCH_BYTES >> 20} MB"
        )
    planned = [
        *compositions(plan),
        *(composition for objection, composition in longer if objection is None),
        *([concurrent(plan)] if remote else []),
    ]
    return Agenda(
        alone=alone,
        compositions=[*most_telling_first(planned, plan.usual_sizes[0]), again(alone)],
        neighbours=groups,
        numbers=dict(plan.neighbours),
        batch_sizes=plan.batch_sizes,
        usual_size=plan.usual_sizes[0],
        left_out=left_out,
    )


def _numbered(groups: Mapping[str, Neighbours], examples: int) -> dict[str, np.ndarray]:
    """The neighbours' row numbers, from the number of examples on, as `Plan` has them."""
    numbered, start = {}, examples
    for name in (*groups, *BY_SCORE):
        count = groups[name].count if name in groups else 1
        numbered[name] = np.arange(start, start + count)
        start += count
    return numbered
