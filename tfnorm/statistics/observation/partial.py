"""What the layers of a model are given in some batches: it merges with that of others, and is plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tfnorm.errors import InputError
from tfnorm.statistics.observation.population import Population


class Partial:
    """What layers with moving statistics are given in some batches: any part of a dataset, on any machine.

        n = n_a + n_b,    mean = (n_a mean_a + n_b mean_b) / n,
        M2 = M2_a + M2_b + (mean_b - mean_a)^2 n_a n_b / n

    Two of them merge to what one would be over the batches of both, in whatever order: they are kept in
    float64, whose rounding is all that differs. `Observer.observe` makes them, and `Recalibrator.take` and
    `statistics_report` take what they merge to.

    Args:
        layers: the name of each layer -> what it was given, in the order of their calls.
        upstream: name -> the names of the layers on whose statistics its inputs depend; None where the
            model's graphs don't tell.
        by_batch: the names of those that normalized by the batch.
        called_again: whether a layer was called more than once, or inside a loop.
        examples: how many there were.
        batches: in how many batches.
        statistics: what tells the moving statistics that the model had meanwhile from others.

    Attributes:
        layers, upstream, by_batch, called_again, examples, batches, statistics: as they were given.

    Example:

        >>> model = keras.Sequential([keras.Input((1,)), BatchNormalization(name="bn")])
        >>> observer = tfnorm.statistics.Observer(model)
        >>> whole = observer.observe([np.array([[1.0], [3.0]])])
        >>> whole.merge(Partial.from_dict(observer.observe([np.array([[8.0]])]).to_dict()))
        >>> whole.examples, whole.layers["bn"].mean.tolist(), whole.layers["bn"].M2.tolist()
        (3, [4.0], [26.0])

    Reference:
        Chan, Golub and LeVeque, 1979, Updating Formulae and a Pairwise Algorithm for Computing Sample
        Variances.
    """

    def __init__(
        self,
        layers: Mapping[str, Population],
        upstream: Mapping[str, frozenset[str]] | None,
        by_batch: Iterable[str],
        called_again: bool,
        examples: int,
        batches: int,
        statistics: str,
    ):
        self.layers = dict(layers)
        self.upstream = None if upstream is None else dict(upstream)
        self.by_batch = set(by_batch)
        self.called_again = called_again
        self.examples = examples
        self.batches = batches
        self.statistics = statistics

    def merge(self, other: Partial) -> None:
        """Add what another has.

        Raises:
            InputError: the model had other moving statistics meanwhile, or has other layers.
        """
        if self.statistics != other.statistics:
            raise InputError(
                "two partial results are of models whose moving statistics differ; accepted: those of one "
                "pass, in which all have the same"
            )
        if self.layers.keys() != other.layers.keys():
            raise InputError(
                f"two partial results are of models with the layers {', '.join(self.layers)} and "
                f"{', '.join(other.layers)}; accepted: those of the same model"
            )
        called = [name for name, found in self.layers.items() if found.count.any()]
        later = [n for n, x in other.layers.items() if n not in called and x.count.any()]
        order = dict.fromkeys([*called, *later, *self.layers])
        self.layers = {name: self.layers[name].merged(other.layers[name]) for name in order}
        if self.upstream is None or other.upstream is None:
            self.upstream = None
        else:
            names = {**self.upstream, **other.upstream}
            nothing: frozenset[str] = frozenset()
            self.upstream = {
                n: self.upstream.get(n, nothing) | other.upstream.get(n, nothing) for n in names
            }
        self.by_batch |= other.by_batch
        self.called_again |= other.called_again
        self.examples += other.examples
        self.batches += other.batches

    @property
    def not_finite(self) -> list[str]:
        """The names of the layers that are given what is NaN or infinite."""
        return [name for name, found in self.layers.items() if not np.isfinite(found.M2).all()]

    def to_dict(self) -> dict[str, Any]:
        """It as plain data, as JSON has it but for what is no number."""
        upstream = self.upstream
        return {
            "layers": {name: population.to_dict() for name, population in self.layers.items()},
            "upstream": None if upstream is None else {n: sorted(x) for n, x in upstream.items()},
            "by_batch": sorted(self.by_batch),
            "called_again": self.called_again,
            "examples": self.examples,
            "batches": self.batches,
            "statistics": self.statistics,
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Partial:
        """What `to_dict` gave."""
        layers = {name: Population.from_dict(found) for name, found in document["layers"].items()}
        upstream = document["upstream"]
        if upstream is not None:
            upstream = {name: frozenset(names) for name, names in upstream.items()}
        return cls(**{**document, "layers": layers, "upstream": upstream})
