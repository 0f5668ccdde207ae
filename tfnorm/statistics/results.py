"""Whether statistics fit examples, as plain data that knows none of its tables and pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tfnorm.reports.document import plain
from tfnorm.statistics.judgement import (
    DOUBTFUL,
    FITS,
    OFF,
    TRACE,
    UNDECIDED,
    Estimate,
    Residue,
)

_ALL = 0.995
"""The share of the initial values that no training has moved."""

REPAIR = "tfnorm recalibrate MODEL --examples FILE --output NEW"
"""The command that makes a model's statistics those of examples."""


@dataclass(frozen=True)
class LayerFit:
    """The statistics that one layer uses beside those of the examples.

    Attributes:
        name: its name after those of the models and layers around it.
        residue: how much of the initial statistics is left in those in use.
        channel: the one that is farthest off.
        mean, data_mean: of that channel, the moving mean and the mean of the examples.
        std, data_std: likewise the standard deviations, sqrt(variance + epsilon).
        mean_difference: for each channel, (mean - data_mean) / data_std; NaN for one without values.
        std_ratio: likewise, std / data_std.
    """

    name: str
    residue: Residue
    channel: int
    mean: float
    data_mean: float
    std: float
    data_std: float
    mean_difference: tuple[float, ...]
    std_ratio: tuple[float, ...]

    @property
    def distance(self) -> float:
        """How far the channel is off: standard deviations of the mean, and the log of their ratio."""
        with np.errstate(divide="ignore"):
            ratio = np.log(self.std_ratio[self.channel])
        return float(
            np.nan_to_num(abs(self.mean_difference[self.channel]) + abs(ratio), posinf=np.inf)
        )

    def __str__(self) -> str:
        return (
            f"layer {self.name!r} has in channel {self.channel} the mean {self.mean:.3g} and the "
            f"standard deviation {self.std:.3g} where the examples have {self.data_mean:.3g} and "
            f"{self.data_std:.3g}"
        )


@dataclass(frozen=True)
class StatisticsFit:
    """Whether moving statistics fit examples.

    Attributes:
        verdict: "off", "doubtful", "fits", or "undecided" where the examples don't tell.
        examples: how many were looked at.
        layers: those that are called in inference and not frozen, in the order of their calls.
        initial_share: how much of the initial statistics is left in those in use, at least, from 0 to
            1; None where the examples don't tell.
        effect: by how many standard deviations a score is another one with the statistics of the
            examples, at the root of the mean square; NaN where that could not be tried.
        noise: likewise with those of half the examples in the place of all.
        frozen: the names of the layers' variables that are left out: they were trained with the
            statistics that they have.
    """

    verdict: str
    examples: int
    layers: tuple[LayerFit, ...]
    initial_share: float | None
    effect: float
    noise: float
    frozen: tuple[str, ...] = ()

    @property
    def worst(self) -> LayerFit | None:
        """The layer with the channel that is farthest off."""
        return max(self.layers, key=lambda fit: fit.distance, default=None)

    def __str__(self) -> str:
        if self.verdict == FITS:
            return f"fit the {self.examples:,} examples" if self.layers else "are absent, or frozen"
        if self.verdict == UNDECIDED:
            return f"may fit or not: {self.examples:,} examples don't decide it"
        said = {OFF: "do not fit", DOUBTFUL: "may not fit"}[self.verdict]
        parts = [f"{said} the {self.examples:,} examples: {self.worst}"]
        if self.initial_share and self.initial_share >= TRACE:
            share = f"{self.initial_share:.0%} or more of the initial values is"
            if self.initial_share >= _ALL:
                share = "all of the initial values are"
            parts.append(f"{share} left in them")
        if np.isfinite(self.effect):
            parts.append(
                f"with those of the examples a score moves by {self.effect:.2g} of its standard "
                "deviation"
            )
        return "; ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON, which has no NaN."""
        form: dict[str, Any] = plain(asdict(self) | {"text": f"the moving statistics {self}"})
        return form

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> StatisticsFit:
        """What `to_dict` gave, or `json.load` read.

        Raises:
            KeyError, TypeError: it is none.
        """
        layers = tuple(
            LayerFit(**{**layer, "residue": _residue(layer["residue"])} | _numbers(layer))
            for layer in document["layers"]
        )
        fields = {name: document[name] for name in ("verdict", "examples", "initial_share")}
        effect, noise = (_number(document[name]) for name in ("effect", "noise"))
        frozen = tuple(document["frozen"])
        return cls(**fields, layers=layers, effect=effect, noise=noise, frozen=frozen)


def _residue(document: Mapping[str, Any]) -> Residue:
    estimates = {
        name: None if document[name] is None else Estimate(**document[name])
        for name in ("of_means", "of_variances")
    }
    return Residue(**estimates, settled=document["settled"])


def _numbers(layer: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a layer that may be None in JSON."""
    single = ("mean", "data_mean", "std", "data_std")
    several = ("mean_difference", "std_ratio")
    return {name: _number(layer[name]) for name in single} | {
        name: tuple(map(_number, layer[name])) for name in several
    }


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
