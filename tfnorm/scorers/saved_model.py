"""Score examples with a SavedModel, in the C++ session that TensorFlow Serving uses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfnorm.assets import examples_file, tables_file
from tfnorm.errors import InputError
from tfnorm.graph.varying import remembers
from tfnorm.scorers.candidates import candidate_inputs
from tfnorm.scorers.messages import one_line
from tfnorm.scorers.precision import coarsest_of, coarsest_types
from tfnorm.scorers.scorer import Scorer
from tfnorm.session import DEFAULT_SIGNATURE, SavedModel


class SavedModelScorer(Scorer):
    """Runs a signature of a SavedModel, or of the newest of its versions; `held` is that of `SavedModel`."""

    def __init__(self, directory: str | Path, signature: str, held: Sequence[np.ndarray] = ()):
        self._model = SavedModel(directory, held=held)
        try:
            self.inputs = self._model.signature(signature).inputs
            if DEFAULT_SIGNATURE in self._model.signatures:
                of_rows = self._model.signature().inputs
                self.candidates = candidate_inputs(self.inputs, of_rows)
            self.outside = _outside(tables_file(self._model.path))
        except InputError:
            self._model.close()
            raise
        self.name = str(self._model.path)
        self.signature = signature
        self.defaults = self._model.defaults(signature)
        definition = self._model.signature_defs[signature]
        outputs = {name: info.name for name, info in definition.outputs.items()}
        graph_def = self._model.graph.as_graph_def()
        self._precisions = coarsest_types(graph_def, outputs)
        self.concurrent = not remembers(graph_def, outputs.values())
        self.precision = coarsest_of(self._precisions.values())
        kept = examples_file(self._model.path)
        self.kept_examples = kept if kept.is_file() else None

    def score(self, examples: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        try:
            outputs = self._model.run({**self.defaults, **examples}, signature=self.signature)
        except (InputError, tf.errors.OpError) as error:
            raise InputError(f"{self.name}: {one_line(error)}") from error
        return {name: np.asarray(value) for name, value in outputs.items()}

    def precision_of(self, output: str) -> str | None:
        return self._precisions[output]

    @contextmanager
    def as_saved_model(self) -> Iterator[SavedModel]:
        """The model in the session that scores."""
        yield self._model

    def close(self) -> None:
        self._model.close()


def _outside(path: Path) -> dict[str, int]:
    """The ids that tables lack, of an export that says that such an id costs its row alone.

    Raises:
        InputError: the file that says so is damaged.
    """
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text())["outside"]
        return {str(name): int(number) for name, number in found.items()}
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise InputError(f"{path} can't be read: {error}; export the model again") from error
