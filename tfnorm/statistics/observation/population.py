"""What is left of all that a layer was given: it merges with that of other examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Population:
    """What is left of all that a layer was given, `[C]` in float64 each.

    Attributes:
        count: how many values there were.
        mean: their mean; of no meaning where there were none.
        M2: the sum of their squared deviations from it.
        updates: how many calls of the layer had a value for the channel.
        apart: `[4, C]`, how far the examples are apart. Where example i has m_i values whose deviations from
            the mean sum to t_i: the sums of t_i^2, t_i m_i and m_i^2 over the examples, and how many have a
            value.
    """

    count: np.ndarray
    mean: np.ndarray
    M2: np.ndarray
    updates: np.ndarray
    apart: np.ndarray

    def merged(self, other: Population) -> Population:
        """That of the values of both.

            mean = mean_a + d n_b / n,    M2 = M2_a + M2_b + d^2 n_a n_b / n

        for n = n_a + n_b and d = mean_b - mean_a.

        Source:
            Chan, Golub and LeVeque, 1979, Updating Formulae and a Pairwise Algorithm for Computing Sample
            Variances.
        """
        count = self.count + other.count
        share, apart = other.count / np.maximum(count, 1), other.mean - self.mean
        mean = np.where(self.count == 0, other.mean, self.mean + np.where(share, apart * share, 0))
        across = np.where((share > 0) & (share < 1), np.square(apart) * self.count * share, 0)
        return Population(
            count,
            mean,
            self.M2 + other.M2 + across,
            self.updates + other.updates,
            about(self.apart, mean - self.mean) + about(other.apart, mean - other.mean),
        )

    @property
    def standard_error(self) -> np.ndarray:
        """`[C]`, of the mean, by how far the examples are apart: inf for one, NaN for none.

        sqrt(n / (n - 1) sum_i (t_i - mu m_i)^2) / m

        for n examples with m_i values each, whose sum is t_i; m values in all. With one value each it is
        the usual one.
        """
        squares, *_, examples = self.apart
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.sqrt(np.maximum(squares, 0) * examples / (examples - 1)) / self.count
        return np.where(examples == 1, np.inf, error)

    def to_dict(self) -> dict[str, Any]:
        """It as plain data."""
        return {each.name: getattr(self, each.name).tolist() for each in fields(self)}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Population:
        """What `to_dict` gave."""
        return cls(**{name: np.array(values, np.float64) for name, values in document.items()})


def about(apart: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Sums as `Population.apart` has them, of deviations from what is so much more."""
    squares, products, counts, examples = apart
    # Where there is no value, nothing is known of what the shift is from.
    shift = np.where(examples > 0, shift, 0.0)
    return np.stack(
        [
            squares - 2 * shift * products + shift * shift * counts,
            products - shift * counts,
            counts,
            examples,
        ]
    )
