"""Rows made to disturb the examples beside them, as far as the examples' own values allow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from tfnorm.differences import is_floating
from tfnorm.examples.records import with_value

OTHERS = "other examples"
"""The neighbours that the rest is compared with."""

LOUDEST = "others at 1000x"
"""They but for their numbers, which are much larger."""

OUTSIDE = "ids that no table has"
"""A row of each input that looks up a table, with an id that the table lacks."""

KEPT = 64
FEATURES = 128
_FACTORS = (10.0, -10.0, 1000.0)


@dataclass(frozen=True)
class Neighbours:
    """Rows to put beside the examples.

    Attributes:
        rows: input name -> `[rows, ...]`.
    """

    rows: dict[str, np.ndarray]

    @property
    def count(self) -> int:
        return len(next(iter(self.rows.values())))


def neighbours(
    examples: Mapping[str, np.ndarray],
    most: int = 2 * FEATURES,
    outside: Mapping[str, int] = MappingProxyType({}),
    of_records: str | None = None,
) -> dict[str, Neighbours]:
    """What to put beside the examples, by name; `OTHERS` comes first.

    A floating-point input is a measurement, and may be anything. An integer or a boolean is an id, a
    length or a flag: it takes one of the values seen at its place, or 0. A string is the first
    example's.

    Args:
        examples: the examples.
        most: how many rows of a kind, 2 or more.
        outside: input name -> an id that its table lacks.
        of_records: the input whose values are serialized records of those inputs; None for none.
    """
    others = _spread(examples, min(KEPT, most))
    numbers = {
        f"others at {factor:g}x": {name: _times(array, factor) for name, array in others.items()}
        for factor in _FACTORS
    }
    rows = {
        **_extreme_rows(examples),
        "extremes of single features": _single_extremes(examples, min(FEATURES, most // 2)),
        "copies of one example": {name: array[:1] for name, array in examples.items()},
    }
    bad = {name: number for name, number in outside.items() if name in examples}
    if bad:
        rows[OUTSIDE] = _with_bad_ids(examples, bad)
    elif of_records is not None and (spoilt := _bad_records(examples[of_records], outside)):
        rows[OUTSIDE] = {of_records: np.array(spoilt, object)}
    floats = any(is_floating(array) for array in examples.values())
    return {
        OTHERS: Neighbours(others),
        **{name: Neighbours(scaled) for name, scaled in numbers.items() if floats},
        **{name: Neighbours(row) for name, row in _distinct(rows).items()},
    }


def _spread(examples: Mapping[str, np.ndarray], most: int) -> dict[str, np.ndarray]:
    """Some of the examples, evenly spread."""
    count = len(next(iter(examples.values())))
    chosen = np.unique(np.linspace(0, count - 1, min(count, most)).astype(int))
    return {name: array[chosen] for name, array in examples.items()}


def _extreme_rows(examples: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    rows = {
        "the largest values": {name: _largest(array) for name, array in examples.items()},
        "the smallest values": {name: _smallest(array) for name, array in examples.items()},
        "zeros": {name: _zeros(array) for name, array in examples.items()},
    }
    for extreme in ("largest", "smallest"):
        rows[f"10x the {extreme}"] = {
            name: _times(row, 10.0) for name, row in rows[f"the {extreme} values"].items()
        }
    return rows


def _largest(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind in "biu":
        return np.asarray(array.max(axis=0, keepdims=True))
    if is_floating(array):
        return _extreme(array, np.max, -np.inf)
    return array[:1]


def _smallest(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind in "biu":
        return np.asarray(array.min(axis=0, keepdims=True))
    if is_floating(array):
        return _extreme(array, np.min, np.inf)
    return array[:1]


def _extreme(array: np.ndarray, choose: Callable[..., np.ndarray], floor: float) -> np.ndarray:
    """The largest or smallest finite value at each place; 0 where there is none."""
    finite = np.where(np.isfinite(array), array.astype(np.float64), floor)
    chosen = choose(finite, axis=0, keepdims=True)
    return np.where(np.isfinite(chosen), chosen, 0.0).astype(array.dtype)


def _zeros(array: np.ndarray) -> np.ndarray:
    return array[:1] if array.dtype.kind in "OSU" else np.zeros_like(array[:1])


def _times(array: np.ndarray, factor: float) -> np.ndarray:
    if not is_floating(array):
        return array
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = array * array.dtype.type(factor)
    return np.where(np.isfinite(scaled), scaled, array)


def _single_extremes(examples: Mapping[str, np.ndarray], most: int) -> dict[str, np.ndarray]:
    """For each of some numeric features, the first example with it at its largest and smallest."""
    places = [
        (name, place)
        for name, array in examples.items()
        if array.dtype.kind in "iu" or is_floating(array)
        for place in range(int(np.prod(array.shape[1:])))
    ]
    places = places[:: -(-len(places) // most) or 1]
    extremes = {
        name: [extreme(array).reshape(-1) for extreme in (_largest, _smallest)]
        for name, array in examples.items()
    }
    rows = {
        name: np.repeat(array[:1], max(1, 2 * len(places)), axis=0)
        for name, array in examples.items()
    }
    for index, (name, place) in enumerate(places):
        flat = rows[name].reshape(len(rows[name]), -1)
        flat[2 * index : 2 * index + 2, place] = [values[place] for values in extremes[name]]
    return rows


def _with_bad_ids(
    examples: Mapping[str, np.ndarray], bad: Mapping[str, int]
) -> dict[str, np.ndarray]:
    """The first example once for each of some inputs, and with a bad id in that."""
    rows = {name: np.repeat(array[:1], len(bad), axis=0) for name, array in examples.items()}
    for row, (name, number) in enumerate(bad.items()):
        rows[name][row] = number
    return rows


def _bad_records(serialized: np.ndarray, bad: Mapping[str, int]) -> list[bytes]:
    """For each of some features the first record that has it, with bad ids for it."""
    changed = (
        next(
            filter(None, (with_value(record, name, number) for record in serialized.tolist())), None
        )
        for name, number in bad.items()
    )
    return [record for record in changed if record is not None]


def _distinct(rows: dict[str, dict[str, np.ndarray]]) -> dict[str, dict[str, np.ndarray]]:
    """The first of each set of equal rows."""
    kept: dict[str, dict[str, np.ndarray]] = {}
    for name, row in rows.items():
        if not any(
            all(np.array_equal(row[key], other[key]) for key in row) for other in kept.values()
        ):
            kept[name] = row
    return kept
