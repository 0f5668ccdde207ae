"""All examples of a file, however many, as a scorer takes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tfnorm.errors import InputError
from tfnorm.examples.files import file_blocks
from tfnorm.examples.load import check_count, fitted
from tfnorm.examples.table import LABELS
from tfnorm.scorers.inputs import flattened
from tfnorm.scorers.scorer import Scorer

ROWS = 1024
"""Examples that are in memory at a time."""


class Stream:
    """The examples of a file, some at a time, read anew in each pass.

    Columns that are no inputs are left out. Lists whose length is free are padded to the longest of those
    that are read at a time.

    Args:
        path: the file, as `tfnorm.examples.load.load` takes it.
        scorer: what takes them.
        of_several: whether it is one of several files, of which each may have few examples, or none.

    Raises:
        InputError: as it is read: it can't be, doesn't fit the scorer, or has too few examples.
    """

    def __init__(self, path: Path, scorer: Scorer, *, of_several: bool = False):
        self._path = path
        self._scorer = scorer
        self._of_several = of_several

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        scorer, first = self._scorer, True
        fed = frozenset(scorer.constants)
        places, signature = scorer.places, scorer.signature
        for block in file_blocks(self._path, scorer.inputs, ROWS, fed, places, signature):
            block = flattened(block, scorer.places, scorer.inputs or (), str(self._path))
            inputs = scorer.inputs or block.keys() - {LABELS}
            taken = {name: array for name, array in block.items() if name in inputs}
            rows = fitted(taken, scorer, str(self._path))
            if first and not self._of_several:
                check_count(str(self._path), rows)
            first = False
            yield rows
        if first and not self._of_several:
            raise InputError(f"{self._path}: it holds no examples")
