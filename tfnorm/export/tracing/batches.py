"""Files of examples as batches that a Keras model takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras

from tfnorm.examples.stream import Stream
from tfnorm.export.tracing.interface import interface
from tfnorm.scorers.keras_model import KerasScorer


def batches_of_file(
    model: keras.Model, examples: Path, *, of_several: bool
) -> Callable[[], Iterator[tuple[Any]]]:
    """What reads a file of examples in batches as a model takes them, anew at each call."""
    stream = Stream(examples, KerasScorer(model), of_several=of_several)

    def batches() -> Iterator[tuple[Any]]:
        taken = None
        for rows in stream:
            taken = taken or interface(model, rows)
            yield taken.batch(rows)

    return batches
