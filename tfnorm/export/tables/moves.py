"""How far the rows of tables in fewer bytes move scores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tfnorm.differences import is_floating
from tfnorm.errors import InputError
from tfnorm.export.difference import Arrays
from tfnorm.export.tables.lookups import UnknownIds
from tfnorm.export.tables.stored import FLOAT16, INT8

LIMITS = {FLOAT16: (1e-3, 1e-3), INT8: (2e-2, 1e-2)}
"""How tables are stored -> how far a score may move, relative to the largest or to 1, and the share of pairs
that may change order."""


@dataclass(frozen=True)
class Moves:
    """What tables in fewer bytes do to the scores of examples.

    Attributes:
        examples: how many there are.
        largest: the farthest that a score moves, relative to the largest score, or to 1 if that is more.
        pairs: the share of the pairs of examples of different scores whose order changes.
    """

    examples: int
    largest: float
    pairs: float


def moves(before: Arrays, after: Arrays, store: str) -> Moves:
    """How far scores have moved.

    Raises:
        InputError: farther than tables that are stored so may move them.
    """
    largest, pairs, count = 0.0, 0.0, 0
    for name, wanted in before.items():
        count = len(wanted)
        if not is_floating(wanted):
            continue
        old = wanted.reshape(count, -1).astype(np.float64)
        new = after[name].reshape(count, -1).astype(np.float64)
        scale = max(1.0, np.abs(old).max(initial=0, where=np.isfinite(old)))
        largest = max(largest, float(np.nan_to_num(np.abs(new - old)).max(initial=0) / scale))
        pairs = max([pairs, *(_changed(x, y) for x, y in zip(old.T, new.T, strict=True))])
    found = Moves(count, largest, pairs)
    most_moved, most_pairs = LIMITS[store]
    if largest > most_moved or pairs > most_pairs:
        raise InputError(
            f"embeddings is {store!r}, which moves a score by up to {largest:.2g} and changes the order of "
            f"{pairs:.2%} of the pairs of {count} examples; accepted: up to {most_moved:g} and "
            f"{most_pairs:.2%}, or embeddings in more bytes"
        )
    return found


def _changed(old: np.ndarray, new: np.ndarray) -> float:
    """The share of pairs of different scores that are in the other order, or alike, afterwards."""
    before, after = (np.sign(x[:, None] - x) for x in (old, new))
    ordered = before > 0
    return float((after[ordered] <= 0).mean()) if ordered.any() else 0.0


def write_tables(
    path: Path,
    unknown_ids: UnknownIds,
    embeddings: str,
    bad: Mapping[str, int],
    moved: Moves | None,
) -> None:
    """Say beside the model how its tables are looked up and stored."""
    path.parent.mkdir(exist_ok=True)
    said = {
        "unknown_ids": unknown_ids,
        "outside": dict(bad),
        "embeddings": embeddings,
        "moves": None if moved is None else asdict(moved),
    }
    path.write_text(json.dumps(said, indent=1) + "\n")
