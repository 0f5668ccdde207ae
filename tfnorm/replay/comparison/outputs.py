"""Which output of a model a logged one is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tfnorm.errors import InputError
from tfnorm.parity.outputs import listed, matched


@dataclass(frozen=True)
class Pair:
    """A logged output, and the model's that belongs to it."""

    logged: str
    new: str

    def __str__(self) -> str:
        return (
            self.logged if self.logged == self.new else f"{self.logged} ({self.new} of the model)"
        )


def paired(logged: Mapping[str, np.ndarray], new: Mapping[str, np.ndarray]) -> list[Pair]:
    """The outputs that belong together: by their names, and single ones whatever their names.

    Raises:
        InputError: none do.
    """
    found = matched(logged, new)
    if not found:
        raise InputError(
            f"the log has {listed(logged)} and the model gives {listed(new)}: which of them belong "
            "together is not known; call an output, or the column of a table, in the log as in the model"
        )
    return [Pair(*pair) for pair in found.items()]
