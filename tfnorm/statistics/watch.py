"""What is watched while examples are scored, whatever scores them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tfnorm.statistics.judgement import Moments, Used

Arrays = Mapping[str, np.ndarray]


class Unseen(Exception):
    """What a normalization is given can't be seen; the message says why."""


@dataclass(frozen=True, eq=False)
class Watched:
    """A layer, or a place in a graph, that normalizes with fixed statistics.

    Attributes:
        name: what to call it.
        used: its statistics.
        epsilon: what it adds to the variance.
    """

    name: str
    used: Used
    epsilon: float


class Watch(Protocol):
    """A model that is watched while it scores."""

    @property
    def called(self) -> Sequence[Watched]:
        """What normalizes, in the order of the calls; known once it has scored."""
        ...

    def used(self, features: Arrays) -> tuple[dict[str, np.ndarray], dict[Watched, Moments]]:
        """The scores with the statistics in use, and the moments of what each is given.

        Raises:
            Unseen: that can't be seen.
        """
        ...

    def own(self, features: Arrays) -> dict[str, np.ndarray]:
        """The scores with the statistics of these features alone, as one batch."""
        ...
