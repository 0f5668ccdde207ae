"""What is to be verified, and with how many of its examples in the time that there is."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tfnorm.differences import is_floating
from tfnorm.errors import InputError
from tfnorm.examples.load import Loaded
from tfnorm.examples.spread import spread
from tfnorm.scorers.scorer import Scorer
from tfnorm.verify.compositions.agenda import Agenda, agenda
from tfnorm.verify.compositions.budget import Budget
from tfnorm.verify.compositions.plan import AS_LOGGED, Composition
from tfnorm.verify.compositions.runner import Runner
from tfnorm.verify.judgement.tolerance import Tolerance

FEW, FEWEST = 32, 4
"""Examples that are scored however many compositions are left out: fewer find less. For the most telling
compositions even less do."""

_TELLING = 8
"""How many compositions these are: one of each kind."""

_MEASURED = 0.02
"""The share of the budget that batches may take which only show how long they take."""

_REPEATS = 3
"""Of each size: the first may be slow."""


@dataclass(frozen=True, eq=False)
class Request:
    """What is to be verified, and how.

    Attributes:
        scorer: what is verified.
        local: another model, whose scores the scorer's should be equal to; None for none.
        examples: the examples.
        tolerance: how far a value may move.
        labels: 1 or 0 for each example; None where they aren't known.
        batch_sizes, allowed, unpadded, seed, outputs: as `verify_batch_invariance` has them.
        local_rows: the examples as the other model takes them; None where it takes the same inputs.
        budget: the seconds to score in.
    """

    scorer: Scorer
    local: Scorer | None
    examples: Loaded
    tolerance: Tolerance
    labels: np.ndarray | None
    batch_sizes: Sequence[int] | None
    allowed: Sequence[int]
    unpadded: Sequence[str]
    seed: int
    budget: Budget = field(default_factory=Budget)
    outputs: Mapping[str, str] = field(default_factory=dict)
    local_rows: Mapping[str, np.ndarray] | None = None

    @property
    def count(self) -> int:
        """How many examples there are."""
        return len(next(iter(self.examples.rows.values())))

    @property
    def rows_of_other(self) -> Mapping[str, np.ndarray]:
        """The examples as the other model takes them."""
        return self.examples.rows if self.local_rows is None else self.local_rows

    @property
    def fed(self) -> dict[str, str]:
        """Input name -> what it is in every batch, as JSON."""
        scorer = self.scorer
        constants = {**scorer.defaults, **scorer.constants}
        return {
            name: json.dumps(_plain(value))
            for name, value in sorted(constants.items())
            if name not in self.examples.rows
        }

    def agenda(self) -> Agenda:
        """What to score of the examples."""
        return agenda(
            self.examples.rows,
            self.scorer.inputs,
            remote=self.scorer.remote,
            requests=self.examples.requests,
            batch_sizes=self.batch_sizes,
            allowed=self.allowed,
            unpadded=self.unpadded,
            outside=self.scorer.outside or ({} if self.local is None else self.local.outside),
            seed=self.seed,
        )

    def of(self, count: int) -> Request:
        """The request for so many of the examples, evenly spread."""
        chosen = spread(self.count, count)
        return replace(
            self,
            examples=replace(
                self.examples,
                rows={name: array[chosen] for name, array in self.examples.rows.items()},
                requests=[],
            ),
            labels=None if self.labels is None else self.labels[chosen],
            local_rows=self.local_rows
            and {name: array[chosen] for name, array in self.local_rows.items()},
        )


def within_budget(request: Request, todo: Agenda) -> Request:
    """The request for as many of its examples as there is time for.

    A dependence is a property of the graph: all compositions of some examples find more than some
    compositions of all. So there may be as few as `FEW`, and as few as `FEWEST` where there would else be no
    time for the most telling compositions. Where the batches so far do not tell, a few more are timed.

    Args:
        request: of which some batches have been scored.
        todo: what there is to score of it.
    """
    budget = request.budget
    if request.count <= FEWEST or _fits(budget, todo):
        return request
    runner = Runner(request.scorer, 0, None, budget)
    for size in (1, todo.usual_size, todo.batch_sizes[-1]):
        batch = np.resize(np.arange(request.count), (_REPEATS, size))
        one = Composition(f"batches of {size}", "size", batch)
        if budget.expected([one]) <= _MEASURED * budget.seconds:
            # One that is refused is told when its turn comes.
            with contextlib.suppress(InputError):
                runner.scored(one, request.examples.rows)
    smaller, count = request, request.count
    for fewest, telling in ((FEW, None), (FEWEST, _TELLING)):
        while count > fewest and not _fits(budget, smaller.agenda(), telling):
            count = max(fewest, count // 2)
            smaller = request.of(count)
    return smaller


def fewer(request: Request, fitting: Request) -> dict[str, str]:
    """What is left out where there is time for `fitting` alone -> why."""
    reason = f"{request.budget} does for {fitting.count:,} of {request.count:,} examples"
    names = ["more examples", *([AS_LOGGED] if request.examples.requests else [])]
    return dict.fromkeys(names, reason)


def _plain(value: np.ndarray) -> object:
    """An array as JSON has it; bytes as text."""
    if value.dtype.kind in "OS":
        return np.vectorize(lambda item: item.decode(errors="replace"), [object])(value).tolist()
    return np.asarray(value, np.float64 if is_floating(value) else None).tolist()


def _fits(budget: Budget, todo: Agenda, telling: int | None = None) -> bool:
    """Whether there is time for the compositions, or for so many of them, and those before and behind."""
    *others, last = todo.compositions
    return budget.expected([todo.alone, *others[:telling], last]) <= budget.left
