"""Score examples with a SavedModel, in the C++ session that TensorFlow Serving uses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.scorers.messages import one_line
from tfnorm.scorers.precision import coarsest_type
from tfnorm.session import SavedModel


class SavedModelScorer:
    """Runs a signature of a SavedModel, or of the newest of its versions."""

    def __init__(self, directory: str | Path, signature: str):
        self._model = SavedModel(directory)
        try:
            self.inputs = self._model.signature(signature).inputs
        except InputError:
            self._model.close()
            raise
        self.name = str(self._model.path)
        self.signature = signature
        self.precision = coarsest_type(self._model.graph.as_graph_def())

    @property
    def model(self) -> SavedModel:
        """The model in its session."""
        return self._model

    @property
    def examples(self) -> Path:
        """The file of examples that an export keeps beside the model."""
        return self._model.path / "assets.extra" / "examples.npz"

    def score(self, examples: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        try:
            outputs = self._model.run(examples, signature=self.signature)
        except (InputError, tf.errors.OpError) as error:
            raise InputError(f"{self.name}: {one_line(error)}") from error
        return {name: np.asarray(value) for name, value in outputs.items()}

    def close(self) -> None:
        self._model.close()
