"""What an op does across the batch axis."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Crossing:
    """What an op does across the batch axis.

    Args:
        what: in a few words.
        certain: whether it makes scores depend on the batch, or only may.
    """

    what: str
    certain: bool = True


def touches(chosen: np.ndarray | None, batch: Iterable[int], rank: int) -> bool:
    """Whether one of the axes that are chosen is the batch's."""
    return chosen is not None and any(int(axis) % rank in batch for axis in np.ravel(chosen))
