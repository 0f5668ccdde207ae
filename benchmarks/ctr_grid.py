"""What `ctr.py` trains, and the file that keeps what came out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
CATEGORIES = ("Beauty", "Toys_and_Games")
MODELS = ("DIN", "BaseModel", "DIEN")
OPTIMIZERS = {"lazy_adam": "LazyAdam", "adam": "Keras's Adam"}
COMPARED = ("DIN", "DIEN")
"""What is trained with Keras's Adam too, on Beauty."""
SEEDS = (0, 1, 2)
BATCH_SIZES = (1, 16, 128, 1024)
EMBEDDING_SIZES = (4, 8, 16, 18, 32, 64)
WATCHED = 512
"""Test examples on which the model itself is scored in batches of every size."""


@dataclass(frozen=True)
class Training:
    """What decides the weights."""

    model: str
    category: str
    seed: int
    activation: str = "dice"
    batch_normalization: bool = True
    embedding_size: int = 18
    optimizer: str = "lazy_adam"

    @property
    def epochs(self) -> int:
        """Two on Beauty, as in the published figures; one on the other category."""
        return 2 if self.category == "Beauty" else 1


def trainings() -> Iterator[Training]:
    """All of them, those first that most depends on."""
    variants = [("dice", True), ("prelu", True), ("dice", False), ("prelu", False)]
    for category in CATEGORIES:
        for model in MODELS:
            right, *others = (
                [Training(model, category, seed, *variant) for seed in SEEDS]
                for variant in variants
            )
            yield from right
            if category == "Beauty" and model in COMPARED:
                yield from (replace(training, optimizer="adam") for training in right)
            for those in others:
                yield from those
        if category == "Beauty":
            for seed, size in product(SEEDS, EMBEDDING_SIZES):
                yield Training("DIN", "Beauty", seed, embedding_size=size)


def read(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
