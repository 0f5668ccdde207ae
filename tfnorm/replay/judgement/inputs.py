"""Were other inputs scored than those logged? One input, or one number of it, changed in all rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from tfnorm.replay.judgement.sample import Seen
from tfnorm.replay.judgement.trial import Agreement, Rescored, Trial, Way

_MOST = 64
"""Numbers of inputs that are tried one by one."""
_ROWS = 24
"""Of a call, whose values are exchanged with each other."""
_SHAPES = 3
"""Rows of a call that must differ in what is exchanged, for an exchange to prove anything."""
_GRID = 257
_NEARLY_ALL = 0.95
_HALVED = 30
_LINES = 300
"""Pairs of rows whose line is tried."""
_FEWEST, _MOST_ON_A_LINE = 8, 0.8
"""Rows on one line, and their share, for it to be tried."""
_SOUGHT = 40
"""Rows for which the value is sought that gives what was logged."""

_ALL = -1


@dataclass(frozen=True)
class Place:
    """An input, or one number of each row of it."""

    name: str
    column: int = _ALL

    def __str__(self) -> str:
        return repr(self.name) if self.column == _ALL else f"{self.name!r}[{self.column}]"

    def read(self, array: np.ndarray) -> np.ndarray:
        """What stands there."""
        return array if self.column == _ALL else array[:, self.column]

    def written(self, array: np.ndarray, values: np.ndarray) -> np.ndarray:
        """A copy with other values there."""
        if self.column == _ALL:
            return values.astype(array.dtype)
        copy = array.copy()
        copy[:, self.column] = values
        return copy


_FUNCTIONS: tuple[tuple[str, Callable[[np.ndarray], np.ndarray]], ...] = (
    ("0", np.zeros_like),
    ("the negative of what is logged", np.negative),
    *(
        (f"{factor:g} times what is logged", lambda x, factor=factor: factor * x)
        for factor in (10, 100, 1000, 0.1, 0.01, 0.001, 2, 0.5, 255, 1 / 255)
    ),
    ("log(1 + x) of what is logged", lambda x: np.log1p(np.maximum(x, 0))),
    ("exp(x) - 1 of what is logged", np.expm1),
)
_OF_IDS: tuple[tuple[str, Callable[[np.ndarray], np.ndarray]], ...] = (
    ("0", np.zeros_like),
    ("1 more than what is logged", lambda x: x + 1),
    ("1 less than what is logged", lambda x: np.maximum(x - 1, 0)),
)


def changed(trial: Trial, independent: bool) -> tuple[str, Agreement] | None:
    """What change of one input gives what was logged, in words; None where none was found.

    Args:
        trial: the calls that differ.
        independent: whether a score depends on its own row alone.
    """
    for place in _places(trial):
        kind = trial.calls[0].fitted.feeds[place.name].dtype.kind
        for said, function in _FUNCTIONS if kind == "f" else _OF_IDS if kind in "iu" else ():
            agreement = trial.agreement(_applied(place, function), all_of_them=True)
            if agreement.whole:
                return f"{place} was {said} when it was scored", agreement
        if independent:
            agreement = trial.agreement(_exchanged(place), all_of_them=True)
            if agreement.whole:
                return (
                    f"the rows of a request had each other's {place} when they were scored",
                    agreement,
                )
    if independent:
        for place in _places(trial):
            found = _linear(trial, place)
            if found is not None:
                return found
    return None


def possible(trial: Trial) -> list[str]:
    """The numbers of which some value, not far from those logged, gives nearly each score that was logged.

    It proves nothing: other weights may be made up for by such a number, too.
    """
    found = []
    for place in _places(trial) if trial.scorer.inputs is not None else []:
        rows = list(_rows(trial, place))
        if len(rows) < _FEWEST:
            continue
        x = np.array([row.value for row in rows])
        grid = np.linspace(x.min() - np.ptp(x), x.max() + np.ptp(x), _GRID // 2)
        scores = _scores(trial, place, rows, np.tile(grid, (len(rows), 1)))
        if scores is None:
            continue
        above = scores > np.array([row.logged for row in rows])[:, None]
        if (above[:, 1:] != above[:, :-1]).any(axis=1).mean() >= _NEARLY_ALL:
            found.append(str(place))
    return found


def _places(trial: Trial) -> list[Place]:
    if not trial.calls:
        return []
    fitted = trial.calls[0].fitted
    places = [Place(name) for name in fitted.batched]
    for name in fitted.batched:
        array = fitted.feeds[name]
        if array.ndim == 2 and array.shape[1] > 1 and array.dtype.kind in "fiu":
            places += [Place(name, column) for column in range(array.shape[1])]
    return places[:_MOST]


def _applied(place: Place, function: Callable[[np.ndarray], np.ndarray]) -> Way:
    def way(trial: Trial, seen: Seen) -> Rescored | None:
        array = seen.fitted.feeds[place.name]
        if place.column >= (array.shape[1] if array.ndim == 2 else 1) and place.column != _ALL:
            return None
        with np.errstate(all="ignore"):
            values = function(place.read(array))
        if np.array_equal(values, place.read(array)):
            return None
        outputs = trial.score({**seen.fitted.feeds, place.name: place.written(array, values)})
        return None if outputs is None else Rescored(outputs)

    return way


def _exchanged(place: Place) -> Way:
    """Each row with the value of whichever row of the request gives what was logged, if one does."""

    def way(trial: Trial, seen: Seen) -> Rescored | None:
        array = seen.fitted.feeds[place.name]
        count = min(seen.fitted.count, _ROWS)
        if place.column != _ALL and (array.ndim != 2 or place.column >= array.shape[1]):
            return None
        values = place.read(array)[:count]
        if len(set(map(repr, values.tolist()))) < _SHAPES:
            return None
        rows, donors = (grid.reshape(-1) for grid in np.indices((count, count)))
        feeds = seen.fitted.rows(rows)
        feeds[place.name] = place.written(feeds[place.name], values[donors])
        outputs = trial.score(feeds)
        if outputs is None:
            return None
        compared = trial.beside_logged(_of_rows(seen, rows), Rescored(outputs))
        fits = ~compared.different.reshape(count, count)
        chosen = np.where(fits.any(1), fits.argmax(1), np.arange(count))
        best = np.arange(count) * count + chosen
        return Rescored({name: one[best] for name, one in outputs.items()}, np.arange(count))

    return way


def _of_rows(seen: Seen, rows: np.ndarray) -> Seen:
    """The call, as if it had been logged with these rows."""
    logged = {name: array[rows] for name, array in seen.call.outputs.items()}
    call = type(seen.call)(seen.call.number, seen.call.inputs, logged)
    return Seen(call, seen.fitted, seen.outputs, seen.compared)


def _linear(trial: Trial, place: Place) -> tuple[str, Agreement] | None:
    """Whether one number was a x + b when it was scored, by seeking it in each of some rows."""
    rows = [] if trial.scorer.inputs is None else list(_rows(trial, place))
    x = np.array([row.value for row in rows])
    if len(rows) < _FEWEST or len(np.unique(x)) < 2:
        return None
    found = _crossings(trial, place, rows, x)
    if found is None:
        return None
    kept = _on_a_line(x, found)
    if len(np.unique(found.row[kept])) < max(_FEWEST, _MOST_ON_A_LINE * len(rows)):
        return None
    line = _refined(trial, place, [rows[row] for row in found.row[kept]], found.taken(kept))
    if line is None:
        return None
    a, b = map(_neat, line)

    def function(values: np.ndarray) -> np.ndarray:
        return (a * values + b).astype(values.dtype)

    agreement = trial.agreement(_applied(place, function), all_of_them=True)
    if not agreement.whole:
        return None
    times = "what is logged" if a == 1 else f"{a:.4g} times what is logged"
    added = f" {'+' if b > 0 else '-'} {abs(b):.4g}" if b else ""
    return f"{place} was {times}{added} when it was scored", agreement


@dataclass(frozen=True, eq=False)
class _Crossings:
    """Where, between two values, a row's score passes the one that was logged."""

    row: np.ndarray
    low: np.ndarray
    high: np.ndarray
    rising: np.ndarray

    def taken(self, chosen: np.ndarray) -> _Crossings:
        return _Crossings(
            self.row[chosen], self.low[chosen], self.high[chosen], self.rising[chosen]
        )


def _crossings(trial: Trial, place: Place, rows: list[_Row], x: np.ndarray) -> _Crossings | None:
    """All of them, on a grid that is finer near the logged values."""
    half = np.geomspace(1e-3, 1e2, _GRID // 2)
    grid = x.mean() + np.ptp(x) * np.concatenate([-half[::-1], [0], half])
    scores = _scores(trial, place, rows, np.tile(grid, (len(rows), 1)))
    if scores is None:
        return None
    above = scores > np.array([row.logged for row in rows])[:, None]
    row, at = np.nonzero(above[:, 1:] != above[:, :-1])
    return _Crossings(row, grid[at], grid[at + 1], above[row, at + 1])


def _on_a_line(x: np.ndarray, found: _Crossings) -> np.ndarray:
    """Those through which one line goes, of the line that goes through most rows'."""
    rng = np.random.default_rng(0)
    best = np.zeros(len(found.row), bool)
    middle, at = (found.low + found.high) / 2, x[found.row]
    for _ in range(_LINES if len(middle) > 1 else 0):
        one, other = rng.integers(0, len(middle), 2)
        if abs(at[one] - at[other]) < 0.05 * np.ptp(x):
            continue
        a = (middle[one] - middle[other]) / (at[one] - at[other])
        line = a * (at - at[one]) + middle[one]
        near = np.abs(line - middle) <= 1.5 * (found.high - found.low)
        if len(np.unique(found.row[near])) > len(np.unique(found.row[best])):
            best = near
    return np.flatnonzero(best)


def _refined(
    trial: Trial, place: Place, rows: list[_Row], found: _Crossings
) -> tuple[float, float] | None:
    """The line, once each crossing is halved down to its digits."""
    target = np.array([row.logged for row in rows])
    low, high = found.low, found.high
    for _ in range(_HALVED):
        middle = (low + high) / 2
        scores = _scores(trial, place, rows, middle[:, None])
        if scores is None:
            return None
        beyond = (scores[:, 0] > target) == found.rising
        low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
    return _robust_line(np.array([row.value for row in rows]), (low + high) / 2)


@dataclass(frozen=True, eq=False)
class _Row:
    seen: Seen
    row: int
    value: float
    logged: float


def _rows(trial: Trial, place: Place) -> Iterator[_Row]:
    """Rows whose one number, and one score, are plain."""
    found = 0
    for seen in trial.calls:
        array = seen.fitted.feeds[place.name]
        if array.dtype.kind != "f" or seen.compared.logged is None:
            return
        whole = place.column == _ALL
        if whole and array.size != seen.fitted.count:
            return
        values = (array if whole else place.read(array)).reshape(-1)
        for row in np.flatnonzero(seen.compared.different)[:4].tolist():
            yield _Row(seen, row, float(values[row]), float(seen.compared.logged[row]))
            found += 1
            if found == _SOUGHT:
                return


def _scores(trial: Trial, place: Place, rows: list[_Row], values: np.ndarray) -> np.ndarray | None:
    """`[rows, values]`, the score of each row with each of its values; None where it can't be had."""
    count = values.shape[1]
    parts = [row.seen.fitted.rows(np.full(count, row.row)) for row in rows]
    feeds = dict(parts[0])
    for name in rows[0].seen.fitted.batched:
        arrays = [part[name] for part in parts]
        if len({array.shape[1:] for array in arrays}) > 1:
            return None
        feeds[name] = np.concatenate(arrays)
    array = feeds[place.name]
    shape = array.shape if place.column == _ALL else (len(array),)
    feeds[place.name] = place.written(array, values.reshape(shape))
    outputs = trial.score(feeds)
    if outputs is None:
        return None
    scores = outputs[trial.pairs[0].new]
    if scores.size != values.size:
        return None
    return scores.astype(np.float64).reshape(values.shape)


def _robust_line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """The median slope over pairs, and the median of what is left (Theil and Sen)."""
    first, second = np.triu_indices(len(x), 1)
    apart = np.abs(x[second] - x[first]) > 1e-9
    if not apart.any():
        return 1.0, float(np.median(y - x))
    slope = float(np.median((y[second] - y[first])[apart] / (x[second] - x[first])[apart]))
    return slope, float(np.median(y - slope * x))


def _neat(value: float) -> float:
    """The nearest number of three digits, where it is as good as that."""
    neat = float(f"{value:.3g}")
    if abs(value) < 1e-4:
        return 0.0
    return neat if abs(neat - value) <= 2e-4 * abs(value) else value
