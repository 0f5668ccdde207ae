"""Whether a sample says that the statistics in use are not those of what a layer is given.

No sample refutes a variance that is larger than its own, channel by channel: values that are rare and
large may be missing from it. What gives wrong statistics away is that all channels of a layer err alike,
by what is left of the initial values, and that the scores are others with the sample's own statistics.
`benchmarks/statistics_gate.py` measures what is called off, and the constants here come from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

OFF, DOUBTFUL, FITS, UNDECIDED = "off", "doubtful", "fits", "undecided"

KEPT, TRACE = 0.08, 0.04
"""The share of the initial values, at least, that is off, as after 250 updates by 0.99, or doubtful."""

EFFECT, TOUCH = 1.0, 0.5
"""Standard deviations of a score that the statistics move it by (root of the mean square): off, doubtful."""

SEEN = 0.1
"""What initial values must do to a score to be refused, or to be told: the same, in standard deviations."""

BLURRED = 0.2
"""How far the statistics of half a sample move a score, where the sample does not tell that others fit."""

BEYOND = 4.0
"""How many times as far as the statistics of half the sample."""

_LAG = 0.07
"""How far moving averages are behind weights that still move, in standard deviations and variances."""

_SURE = 1.5
"""Standard errors between an estimate and what it is at least."""

_TELLING = 0.2
"""How exact a channel's share of the initial values must be for it to be asked."""

_MISSING = 10.0
"""How many times its own variance a sample is taken to miss, at most."""

_MEANS, _VARIANCES = 5, 8
"""How many channels must be."""


@dataclass(frozen=True, eq=False)
class Moments:
    """What is left of the values of a sample, `[C]` in float64 each: count, mean, squared deviations."""

    count: np.ndarray
    mean: np.ndarray
    M2: np.ndarray

    @property
    def variance(self) -> np.ndarray:
        """The biased variance; 0 for a channel without values."""
        return np.asarray(self.M2 / np.maximum(self.count, 1))


@dataclass(frozen=True, eq=False)
class Used:
    """The statistics that a layer uses, and those it was made with, `[C]` in float64 each.

    Attributes:
        mean, variance: what it normalizes with.
        initial_mean, initial_variance: what its initializers give; None where that isn't known.
    """

    mean: np.ndarray
    variance: np.ndarray
    initial_mean: np.ndarray | None = None
    initial_variance: np.ndarray | None = None


def merged(parts: list[Moments]) -> Moments:
    """The moments of several samples together (Chan, Golub and LeVeque, 1979), without loss."""
    count = np.sum([part.count for part in parts], axis=0)
    at_least = np.maximum(count, 1)
    mean = np.sum([part.count * part.mean for part in parts], axis=0) / at_least
    between = [part.M2 + part.count * (part.mean - mean) ** 2 for part in parts]
    return Moments(count, mean, np.sum(between, axis=0))


@dataclass(frozen=True)
class Residue:
    """The share w of the initial statistics in those that a layer uses,

        mu = (1 - w) m + w mu_0,    var = (1 - w) v + w var_0

    for all its channels alike, w being momentum to the power of the updates.

    Attributes:
        at_least, at_most: what the means say of w; None where too few channels tell.
        of_variances: what the variances say it is at least, likewise.
    """

    at_least: float | None
    at_most: float | None
    of_variances: float | None


def residue(parts: list[Moments], used: Used) -> Residue:
    """How much of the initial statistics a layer uses, by the medians over its channels.

    Args:
        parts: the moments of four or more parts of the sample, in any order of its rows.
        used: the layer's statistics.
    """
    if used.initial_mean is None or used.initial_variance is None:
        return Residue(None, None, None)
    sample = merged(parts)
    without = [merged([*parts[:i], *parts[i + 1 :]]) for i in range(len(parts))]
    least, most = _of_means(sample, without, used.mean, used.initial_mean)
    variances = _of_variances(parts, sample, without, used.variance, used.initial_variance)
    return Residue(least, most, variances)


def _of_means(
    sample: Moments, without: list[Moments], used: np.ndarray, initial: np.ndarray
) -> tuple[float, float] | tuple[None, None]:
    error = _jackknife(np.array([left.mean for left in without]))
    apart = np.abs(initial - sample.mean)
    telling = (sample.count > 0) & (
        np.hypot(error, _LAG * np.sqrt(sample.variance)) < _TELLING * apart
    )
    if np.count_nonzero(telling) < _MEANS:
        return None, None

    def shares(data: Moments) -> np.ndarray:
        return np.asarray((used - data.mean)[telling] / (initial - data.mean)[telling])

    found = shares(sample)
    share = np.median(found)
    scatter = 1.5 * np.median(np.abs(found - share)) / np.sqrt(len(found))
    error = _jackknife(np.array([np.median(shares(left)) for left in without]))
    margin = _SURE * np.hypot(error, scatter)
    return float(share - margin), float(share + margin)


def _of_variances(
    parts: list[Moments],
    sample: Moments,
    without: list[Moments],
    used: np.ndarray,
    initial: np.ndarray,
) -> float | None:
    own = sample.variance
    error = np.hypot(_jackknife(np.array([left.variance for left in without])), _LAG * own)
    least = own - error
    # What most parts miss of the whole's variance, the whole may miss of all data's.
    usual = np.median([part.M2 / np.maximum(part.count - 1, 1) for part in parts], axis=0)
    most = own * np.clip(own / np.maximum(usual, np.finfo(float).tiny), 1, _MISSING) + error
    above = initial > own
    apart = np.where(above, initial - most, least - initial)
    telling = (
        (sample.count > 0)
        & (apart > 0)
        & (np.where(above, most - own, own - least) < _TELLING * apart)
    )
    if np.count_nonzero(telling) < _VARIANCES:
        return None
    off = np.where(above, used - most, least - used)[telling] / apart[telling]
    other_way = np.where(above, used - own, own - used)[telling] / np.abs(initial - own)[telling]
    return float(np.median(np.where(off > 0, off, np.minimum(other_way, 0))))


def _jackknife(without: np.ndarray) -> np.ndarray:
    """The standard error of an estimate by those that leave out one part each."""
    count = len(without)
    deviations = np.square(without - without.mean(axis=0))
    return np.asarray(np.sqrt((count - 1) * deviations.mean(axis=0)))


def initial_share(residues: list[Residue]) -> float | None:
    """The share of the initial statistics that a model's layers have at least.

    Layers are updated together. A layer's means say it by themselves, as what a sample lacks makes
    them farther from the initial 0, not nearer. Its variances do if those of most layers agree. The
    means of the first layer, whose inputs no training moves, limit both.

    Args:
        residues: of the layers, in the order of their calls.

    Returns:
        0 or more; None where no layer tells.
    """
    known = [found.at_least for found in residues if found.at_least is not None]
    if any(found.of_variances is not None for found in residues):
        variances = sorted(found.of_variances or 0.0 for found in residues)
        known.append(variances[(len(variances) - 1) // 2])
    if not known:
        return None
    first = residues[0]
    if first.at_least is not None and first.at_most is not None:
        return max(0.0, min(max(known), (first.at_least + first.at_most) / 2))
    return max(0.0, *known)


def verdict(share: float | None, effect: float, noise: float) -> str:
    """What is to be said of statistics in use.

    Args:
        share: the `initial_share`; None where none is known.
        effect: by how many standard deviations a score is another one with the statistics of the
            sample, at the root of the mean square; NaN where that could not be tried.
        noise: likewise with those of half the sample in the place of the whole's.

    Returns:
        "off", "doubtful", "fits", or "undecided" where the sample is too small to tell.
    """
    beyond = effect > BEYOND * noise
    kept = share if share is not None and not effect < SEEN else 0.0
    if kept >= KEPT or (effect >= EFFECT and beyond):
        return OFF
    if kept >= TRACE or (effect >= TOUCH and beyond):
        return DOUBTFUL
    if np.isnan(effect) or effect >= EFFECT or noise >= BLURRED:
        return UNDECIDED
    return FITS
