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

EXCLUDED = 0.13
"""The share of the initial values that must be excluded where statistics fit, as of 200 updates by 0.99."""

EFFECT, TOUCH = 1.0, 0.5
"""Standard deviations of a score that the statistics move it by (root of the mean square): off, doubtful."""

SEEN = 0.04
"""What initial values must do to a score to be refused, or to be told: the same, in standard deviations."""

BLURRED = 0.2
"""How far the statistics of half a sample move a score, where nothing else tells whether others fit."""

BEYOND = 4.0
"""How many times as far as the statistics of half the sample."""

_LAG = 0.07
"""How far moving averages are behind weights that still move, in standard deviations and variances."""

_BELOW, _ABOVE = 1.9, 2.4
"""Standard errors between an estimate and what it is at least, or at most: 19 and 39 times in 20 and 40, as
Student's distribution has it for errors that are themselves from eight parts."""

_LIMIT = 1.5
"""How many standard errors above an estimate nothing that is less certain is believed."""

_MISSING = 10.0
"""How many times its own variance a sample is taken to miss, at most."""

_TOLD = 2.0
"""Standard errors from the initial values, at least, of values that tell how much is left of those."""

_TINY = 1e-3
"""A part of every standard error of a share."""


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
        settled: whether it is known that no training moves what the layer is given.
    """

    mean: np.ndarray
    variance: np.ndarray
    initial_mean: np.ndarray | None = None
    initial_variance: np.ndarray | None = None
    settled: bool = False


def merged(parts: list[Moments]) -> Moments:
    """The moments of several samples together (Chan, Golub and LeVeque, 1979), without loss."""
    count = np.sum([part.count for part in parts], axis=0)
    at_least = np.maximum(count, 1)
    mean = np.sum([part.count * part.mean for part in parts], axis=0) / at_least
    with np.errstate(invalid="ignore"):
        between = [part.M2 + part.count * (part.mean - mean) ** 2 for part in parts]
    return Moments(count, mean, np.sum(between, axis=0))


@dataclass(frozen=True)
class Estimate:
    """A share, its standard error, and by how much it may be off besides, however large the sample is."""

    share: float
    error: float
    bias: float

    @property
    def least(self) -> float:
        return self.share - _BELOW * self.error - self.bias

    @property
    def most(self) -> float:
        return self.share + _ABOVE * self.error + self.bias


@dataclass(frozen=True)
class Residue:
    """The share w of the initial statistics in those that a layer uses,

        mu = (1 - w) m + w mu_0,    var = (1 - w) v + w var_0

    for all its channels alike, w being momentum to the power of the updates.

    Attributes:
        of_means, of_variances: what either say of w; None where they say nothing.
        settled: whether it is known that no training moves what the layer is given.
    """

    of_means: Estimate | None
    of_variances: Estimate | None
    settled: bool


def residue(parts: list[Moments], used: Used) -> Residue:
    """How much of the initial statistics a layer uses.

    Args:
        parts: the moments of four or more parts of the sample, in any order of its rows.
        used: the layer's statistics.
    """
    sample = merged(parts)
    seen = np.min([part.count for part in parts], axis=0) > 1
    if used.initial_mean is None or used.initial_variance is None or not seen.any():
        return Residue(None, None, used.settled)
    if np.array_equal(used.mean, used.initial_mean) and np.array_equal(
        used.variance, used.initial_variance
    ):
        whole = Estimate(1.0, 0.0, 0.0)
        return Residue(whole, whole, used.settled)
    lag = 0.0 if used.settled else _LAG
    mean, variance = sample.mean[seen], sample.variance[seen]
    # Not the sample's: channels that lack their largest values would weigh the more.
    scale = used.variance[seen]
    of_means = _share(
        used.mean[seen],
        used.initial_mean[seen],
        np.array([part.mean[seen] for part in parts]),
        weights=1 / np.maximum(scale + np.square(1e-4 * mean), np.finfo(float).tiny),
        bias=lag * np.sqrt(variance),
    )
    of_parts = np.array([part.M2[seen] / np.maximum(part.count[seen] - 1, 1) for part in parts])
    # What most parts miss of the whole's variance, the whole may miss of all data's.
    usual = np.maximum(np.median(of_parts, axis=0), np.finfo(float).tiny)
    ratio = np.clip(variance / usual, 1, _MISSING)
    missing = variance * (np.maximum(ratio, np.median(ratio)) - 1)
    initial = used.initial_variance[seen]
    of_variances = _share(
        used.variance[seen],
        initial,
        of_parts,
        weights=1 / (np.square(scale + missing) + np.square(0.02 * initial) + 1e-300),
        bias=lag * variance + missing,
    )
    return Residue(of_means, of_variances, used.settled)


def _share(
    used: np.ndarray, initial: np.ndarray, parts: np.ndarray, weights: np.ndarray, bias: np.ndarray
) -> Estimate | None:
    """The slope w of used - value = w (initial - value) over all channels, for a value that has errors.

    Each product is of different parts, `[parts, C]`: the error of one part's value on either side would pass
    for a w of 1. The standard error is the jackknife's, over parts and over channels, as one that has changed
    since the training speaks for itself alone.

    Args:
        bias: `[C]`, what the values of all parts may be off by, to the same side in all channels.
    """
    off, apart = used - parts, initial - parts
    above, below = weights * _products(off, apart), weights * _products(apart, apart)
    chosen = [np.arange(len(parts)) != i for i in range(len(parts))]
    without = [
        (weights @ _products(off[c], apart[c]), weights @ _products(apart[c], apart[c]))
        for c in chosen
    ]
    without += zip(above.sum() - above, below.sum() - below, strict=True)
    if below.sum() <= 0 or any(denominator <= 0 for _, denominator in without):
        return None
    # Values that are the initial ones but for chance tell nothing: any statistics would pass for those.
    if below.sum() < _TOLD * _jackknife(np.array([d for _, d in without[: len(parts)]])):
        return None
    shares = np.array([numerator / denominator for numerator, denominator in without])
    errors = _jackknife(shares[: len(parts)]), _jackknife(shares[len(parts) :])
    alike = weights @ (np.abs(apart.mean(axis=0)) * bias) / below.sum()
    error = float(np.sqrt(np.sum(np.square([*errors, _TINY]))))
    return Estimate(float(above.sum() / below.sum()), error, float(alike))


def _products(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The mean of the products of one part's and another's, `[parts, C]` each."""
    count = len(first)
    pairs = first.sum(axis=0) * second.sum(axis=0) - (first * second).sum(axis=0)
    return np.asarray(pairs / (count * (count - 1)))


def _jackknife(without: np.ndarray) -> float:
    """The standard error of an estimate by those that leave out one each."""
    return float(np.sqrt((len(without) - 1) * np.mean(np.square(without - without.mean()))))


@dataclass(frozen=True)
class InitialShare:
    """The share of the initial statistics that a model's layers have, from 0 on: at least, and at most."""

    at_least: float
    at_most: float


def initial_share(residues: list[Residue]) -> InitialShare | None:
    """The share of the initial statistics that a model's layers have.

    What any layer's variances say of it counts, and what the means say of the layers that no training moves
    the inputs of, or else of the first one: moving averages are behind weights that move, those of means the
    more. The former layers limit what is said, and so they do where the inputs of the others are wrong
    themselves, as they are behind a layer whose statistics are off; where there are none, the most exact says
    the limit. At most it is what the most exact say.

    Args:
        residues: of the layers, in the order of their calls.

    Returns:
        None where no layer tells.
    """
    settled = [found for found in residues if found.settled]
    others = [found.of_variances for found in residues if not found.settled]
    means = _most_exact([found.of_means for found in settled or residues[:1]])
    variances = _most_exact([found.of_variances for found in settled])
    exact = [found for found in (means, variances, _most_exact(others)) if found is not None]
    if not exact:
        return None
    least = max(found.least for found in [*exact, *others] if found is not None)
    limit = _most_exact([means, variances] if settled else [*exact])
    if limit is not None:
        least = min(least, limit.share + _LIMIT * limit.error + limit.bias)
    most = min(found.most for found in exact)
    if max(found.least for found in exact) > max(most, TRACE):
        # They contradict each other.
        most = max(found.most for found in exact)
    return InitialShare(max(0.0, least), max(0.0, most))


def _most_exact(estimates: list[Estimate | None]) -> Estimate | None:
    known = [found for found in estimates if found is not None]
    return min(known, key=lambda found: found.most - found.least, default=None)


def verdict(share: InitialShare | None, effect: float, noise: float) -> str:
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
    kept = share.at_least if share is not None and not effect < SEEN else 0.0
    if kept >= KEPT or (effect >= EFFECT and beyond):
        return OFF
    if kept >= TRACE or (effect >= TOUCH and beyond):
        return DOUBTFUL
    if effect < SEEN:
        return FITS
    excluded = noise < BLURRED if share is None else share.at_most < EXCLUDED
    return FITS if excluded and effect < EFFECT else UNDECIDED
