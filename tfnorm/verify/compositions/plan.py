"""The ways of putting examples in batches, each for a kind of dependence that it brings out."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tfnorm.verify.compositions.neighbours import LOUDEST, OTHERS
from tfnorm.verify.compositions.padding import Padding

BATCH_SIZES = (2, 3, 7, 8, 16, 31, 32, 64, 100, 256)
# A threshold on the batch size stands at a round number; what grows with the size shows at the last.
AROUND = (*(2**power + step for power in range(2, 11) for step in (-1, 0, 1)), 4096)
FEWEST = 3
"""Batches are tried up to this size however large their rows are."""
COPIES = 8
_LARGE = 100
USUAL_SIZE = 16
CONCURRENT_SIZE = 4

SINGLE = "a batch of "
ALONE = "one at a time"
AGAIN = "one at a time, again"
TWICE = "the same batch twice"
CONCURRENT = "concurrent requests"
AS_LOGGED = "as the requests came"


Batches = Sequence[np.ndarray] | np.ndarray
"""The rows' numbers, batch by batch: `[batches][rows]`."""


@dataclass(frozen=True, eq=False)
class Composition:
    """One way of putting examples in batches.

    Attributes:
        name: what the batches are made of.
        kind: what it tries, as `CompositionResult` has it.
        batches: the row at each place of each batch: below the number of examples it is an example,
            from there on a neighbour. Every example occurs, but where only one batch is tried.
        control: the composition with the same batch sizes and the examples at the same places, that
            this one is compared with; None for the examples one at a time.
        same_shapes: whether the rows are those of the control, so that nothing in the model can have
            another shape and round otherwise.
        padding: how the batches' inputs are made longer; None where they are as they are.
    """

    name: str
    kind: str
    batches: Batches
    control: Composition | None = None
    same_shapes: bool = False
    padding: Padding | None = None

    @functools.cached_property
    def sizes(self) -> Counter[int]:
        """Batch size -> how many batches have it."""
        return Counter(map(len, self.batches))

    @property
    def batch_size(self) -> int:
        return max(self.sizes)

    @property
    def rows(self) -> int:
        return sum(size * count for size, count in self.sizes.items())

    def part(self, start: int, end: int | None = None) -> Composition:
        """Some of the batches."""
        return replace(self, batches=self.batches[start:end])

    @property
    def key(self) -> tuple[str, int]:
        """What tells it from the others."""
        return self.name, self.batch_size

    @property
    def may_be_refused(self) -> bool:
        """Whether a model may have a good reason not to take it: a largest size, rows that are made up."""
        made_up = self.kind == "neighbours" and self.control is not None
        return made_up or self.kind == "padding" or self.name.startswith(SINGLE)

    @property
    def against(self) -> str:
        return ALONE if self.control is None else self.control.name


@dataclass(frozen=True, eq=False)
class Plan:
    """What to compose batches of.

    Attributes:
        examples: how many there are, numbered from 0.
        neighbours: what each group of neighbours is -> their row numbers, from `examples` on.
        sizes: batch sizes, each 2 or more; None for `BATCH_SIZES` and all examples at once.
        allowed: the batch sizes that the server pads to; empty where it doesn't pad.
        most: the largest batch, but for sizes that are asked for.
        requests: the batches in which the examples were logged; empty where they weren't.
        seed: of the shuffles.
    """

    examples: int
    neighbours: Mapping[str, np.ndarray]
    sizes: Sequence[int] | None = None
    allowed: Sequence[int] = ()
    most: int = AROUND[-1]
    requests: Sequence[np.ndarray] = ()
    seed: int = 0

    @property
    def at_once(self) -> bool:
        """Whether all examples go into one batch."""
        largest = max(self.allowed, default=max(self.most, FEWEST))
        return self.sizes is None and self.examples <= largest

    @property
    def batch_sizes(self) -> list[int]:
        """The sizes that all examples are scored in, lowest first."""
        if self.sizes is not None:
            return sorted(set(self.sizes))
        largest = max(self.allowed, default=max(self.most, FEWEST))
        sizes = {size for size in (*BATCH_SIZES, *self.allowed) if 2 <= size <= largest}
        return sorted(sizes - ({self.examples} if self.at_once else set()))

    @property
    def single_sizes(self) -> list[int]:
        """The sizes that one batch is tried in."""
        tried = AROUND if self.sizes is None else ()
        around = {*tried, *(size + step for size in self.allowed for step in (-1, 0, 1))}
        largest = max(self.allowed, default=self.most)
        done = {1, *self.batch_sizes, *({self.examples} if self.at_once else ())}
        return sorted(size for size in around - done if 1 < size <= largest)

    @property
    def usual_sizes(self) -> list[int]:
        """A usual size and the largest one, for what isn't tried in each."""
        at_once = self.at_once and self.examples <= BATCH_SIZES[-1]
        sizes = {*self.batch_sizes, *({self.examples} if at_once else ())}
        return sorted({min(sizes, key=lambda size: abs(size - USUAL_SIZE)), max(sizes)})


def most_telling_first(planned: Sequence[Composition], usual_size: int) -> list[Composition]:
    """Compositions in the order in which to score them, where there may be no time for all.

    One of each kind comes first, at the usual size: much larger neighbours before all, which bring out
    most. Then come the others up to that size, and then the larger ones. What one is compared with comes
    before it.
    """
    usual = [one for one in planned if one.batch_size == usual_size]
    first = [one for one in usual if one.name == f"among {OTHERS}"]
    made_up = [one for one in usual if one.kind == "neighbours" and one.control is not None]
    first += sorted(made_up, key=lambda one: one.name != f"among {LOUDEST}")[:1]
    for one in usual:
        if one.name == TWICE and one.control is not None:
            first += [one.control, one]
    first += [one for one in planned if one.kind == "size" and one.batch_size <= FEWEST]
    for kind in ("position", "padding", "padding rows"):
        first += [one for one in usual if one.kind == kind]
    order = {one.key: place for place, one in reversed([*enumerate(first)])}

    def rank(one: Composition) -> tuple[int, int]:
        if one.key in order:
            return 0, order[one.key]
        if one.batch_size <= usual_size:
            return 1, 0
        large = one.batch_size > _LARGE or one.name.startswith(SINGLE)
        return (3 if large else 2), 0

    return sorted(planned, key=rank)


def one_at_a_time(examples: int) -> Composition:
    """Each example in a batch of its own: what the others are compared with."""
    return Composition(ALONE, "reference", np.arange(examples)[:, None])


def compositions(plan: Plan) -> list[Composition]:
    """The compositions to score the examples in, in the order in which to score them."""
    rng = np.random.default_rng(plan.seed)
    in_order = np.arange(plan.examples)
    usual = plan.usual_sizes[0]
    at_once = [plan.examples] if plan.at_once else []
    sizes = [
        Composition(f"batches of {size}", "size", _filled(in_order, size))
        for size in plan.batch_sizes
    ]
    sizes += [Composition("all at once", "size", _filled(in_order, size)) for size in at_once]
    of_usual_size = next(one for one in sizes if one.batch_size == usual)
    return [
        *sizes,
        *(
            Composition(f"{SINGLE}{size}", "size", np.resize(in_order, (1, size)))
            for size in plan.single_sizes
        ),
        *([Composition(AS_LOGGED, "size", plan.requests)] if len(plan.requests) else []),
        *(
            Composition("shuffled", "order", _filled(rng.permutation(plan.examples), size))
            for size in sorted({*plan.usual_sizes, *at_once})
        ),
        Composition("each at other places", "position", _rolled(_filled(in_order, usual))),
        *(one for size in plan.usual_sizes for one in _among(plan, size, rng)),
        *_padded(plan),
        Composition(
            "copies of each",
            "neighbours",
            _filled(np.repeat(in_order, min(usual, COPIES)), usual),
        ),
        Composition(TWICE, "repeat", of_usual_size.batches, of_usual_size, same_shapes=True),
    ]


def padded_longer(plan: Plan, padding: Padding) -> Composition:
    """The usual batches with longer padding."""
    batches = _filled(np.arange(plan.examples), plan.usual_sizes[0])
    return Composition(f"longer padding of {padding.inputs}", "padding", batches, padding=padding)


def again(alone: Composition) -> Composition:
    """Each example alone again: last, so that what a call changes has had the time to change."""
    return Composition(AGAIN, "repeat", alone.batches, alone, same_shapes=True)


def concurrent(plan: Plan) -> Composition:
    """Small requests to send at the same time, half of them of the rows most unlike the examples."""
    size = min(CONCURRENT_SIZE, *plan.usual_sizes)
    loudest = plan.neighbours.get(LOUDEST, list(plan.neighbours.values())[-1])
    ours = _filled(np.arange(plan.examples), size)
    others = np.resize(loudest, ours.shape)
    return Composition(CONCURRENT, "concurrent", np.stack([ours, others], axis=1).reshape(-1, size))


def _filled(order: np.ndarray, size: int) -> np.ndarray:
    """`order` in batches of `size`; the last is filled up with the first examples."""
    return np.resize(order, (-(-len(order) // size), size))


def _rolled(batches: np.ndarray) -> np.ndarray:
    """Each batch with its rows at other places: moved on by one, by half and backwards."""
    size = batches.shape[1]
    moved = [np.roll(batches, step, axis=1) for step in sorted({1, size // 2, size - 1})]
    return np.concatenate([*moved, batches[:, ::-1]])


def _among(plan: Plan, size: int, rng: np.random.Generator) -> list[Composition]:
    """Batches of which half the rows are neighbours, in places that vary, the same for all."""
    ours = _filled(np.arange(plan.examples), size // 2)
    places = rng.permuted(np.tile(np.arange(size) < size // 2, (len(ours), 1)), axis=1)
    made: list[Composition] = []
    for name, neighbours in plan.neighbours.items():
        rows = np.empty(places.shape, int)
        rows[places] = ours.ravel()
        rows[~places] = np.resize(neighbours, (~places).sum())
        control = made[0] if made else None
        made.append(Composition(f"among {name}", "neighbours", rows, control))
    return made


def _padded(plan: Plan) -> list[Composition]:
    """Two requests, filled up with copies of the second's first row, as TensorFlow Serving does."""
    in_order = np.arange(plan.examples)
    allowed = sorted(size for size in plan.allowed if size > 2)
    made = []
    for size in allowed or [size for size in plan.usual_sizes if size > 2]:
        smaller = max((other for other in allowed if other < size), default=0)
        taken = max(2, smaller + 1, size // 2) if allowed else size // 2
        examples = _filled(in_order, taken)
        padding = np.repeat(examples[:, taken // 2, None], size - taken, axis=1)
        rows = np.concatenate([examples, padding], axis=1)
        made.append(Composition("padded with copies", "padding rows", rows))
    return made
