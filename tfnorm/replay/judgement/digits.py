"""Do digits that the log lacks explain it? Inputs that were logged in fewer than they were scored in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tfnorm.differences import epsilon, is_floating
from tfnorm.replay.judgement.trial import Agreement, Rescored, Trial

_DIGITS = range(1, 6)
_FEWEST = 8
"""Values, not all the same, that must have no more digits for that to be no chance."""
_DRAWS = 16
_WIDER = 1.0
"""How far beyond what the draws were seen to do others may go, in widths of that."""


@dataclass(frozen=True)
class _Lacking:
    """What an input lacks, in words, and how far its values may be off: a share of each, and by itself."""

    said: str
    share: float = 0.0
    unit: float = 0.0


def _lacking(trial: Trial) -> dict[str, _Lacking]:
    """The inputs that lack digits."""
    found = {}
    for name, spec in (trial.scorer.inputs or {}).items():
        if not spec.dtype.is_floating or not all(name in s.call.inputs for s in trial.calls):
            continue
        logged = trial.calls[0].call.inputs[name]
        if is_floating(logged) and epsilon(logged.dtype.name) > epsilon(spec.dtype):
            said = f"has {name!r} as {logged.dtype.name}"
            found[name] = _Lacking(said, share=epsilon(logged.dtype.name) / 2)
        elif not trial.calls[0].call.typed:
            values = np.concatenate([np.ravel(s.call.inputs[name]) for s in trial.calls])
            digits = _digits(values)
            if digits is not None:
                said = f"has {name!r} with {digits} decimals"
                found[name] = _Lacking(said, unit=0.5 * 10.0**-digits)
    return found


def explained(trial: Trial) -> tuple[str, Agreement] | None:
    """What digits are lacking, in words, and of how many calls that moves scores as far as they are off."""
    inputs = _lacking(trial)
    if not inputs:
        return None
    most, inside = 0.0, 0
    for seen in trial.calls:
        moved = [
            float(trial.beside_new(seen, one).difference.max(initial=0.0))
            for one in _with_digits(trial, seen.fitted.feeds, inputs, seen.call.number)
        ]
        apart = float(seen.compared.difference.max(initial=0.0))
        inside += apart <= (1 + _WIDER) * max(moved, default=0.0)
        most = max(most, *moved, 0.0)
    said = " and ".join(one.said for one in inputs.values())
    moves = f"it {said}, which moves scores by up to {most:.1e}"
    return moves, Agreement(inside, len(trial.calls))


def _with_digits(
    trial: Trial, feeds: dict[str, np.ndarray], inputs: dict[str, _Lacking], seed: int
) -> Iterator[Rescored]:
    rng = np.random.default_rng(seed)
    for _ in range(_DRAWS):
        drawn = dict(feeds)
        for name, one in inputs.items():
            array = feeds[name].astype(np.float64)
            size = one.share * np.abs(array) + one.unit
            drawn[name] = (array + size * rng.uniform(-1, 1, array.shape)).astype(feeds[name].dtype)
        outputs = trial.score(drawn)
        if outputs is not None:
            yield Rescored(outputs)


def _digits(values: np.ndarray) -> int | None:
    """The decimals that none of the numbers has more of; None where they have as many as a float has."""
    values = values[np.isfinite(values)].astype(np.float64)
    if len(np.unique(values)) < _FEWEST or (values == np.round(values)).all():
        return None
    single = values.astype(np.float32)
    # What a float32 rounds is less than what decimals do, or they can't be told.
    known = (n for n in _DIGITS if 10.0**-n > 100 * epsilon("float32") * np.abs(values).max())
    near = (n for n in known if np.array_equal(single, np.round(values, n).astype(np.float32)))
    return next(near, None)
