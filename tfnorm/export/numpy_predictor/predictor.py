"""A Keras model as a program that needs NumPy alone."""

from __future__ import annotations

import linecache
import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import keras
import numpy as np

from tfnorm.errors import InputError
from tfnorm.export.numpy_predictor import source
from tfnorm.export.numpy_predictor.translate import Translation
from tfnorm.export.workplace import workplace


class NumpyPredictor:
    """A model's predictions, computed by the program that `save` writes.

    Attributes:
        source: the program, the text of `predict.py`.
        weights: `layer/name` -> array, the contents of `weights.npz`.

    Example:

        predictor = to_numpy(model)
        print(predictor.source)
        scores = predictor({"x": x})
    """

    def __init__(self, source: str, weights: Mapping[str, np.ndarray]):
        self.source = source
        self.weights = dict(weights)
        layers: dict[str, dict[str, np.ndarray]] = {}
        for key, array in self.weights.items():
            layer, name = key.rsplit("/", 1)
            layers.setdefault(layer, {})[name] = array
        file = f"<predict.py {uuid.uuid4().hex}>"
        # What tracebacks quote.
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        program: dict[str, Any] = {"__name__": "predict"}
        exec(compile(source, file, "exec"), program)
        # The weights in memory, where the file has those on disk.
        program["weights"] = lambda: layers
        self._predict: Callable[[Any], np.ndarray | dict[str, np.ndarray]] = program["predict"]

    def __call__(
        self, examples: Mapping[str, np.ndarray] | np.ndarray
    ) -> np.ndarray | dict[str, np.ndarray]:
        """Predict.

        Args:
            examples: input name -> array, the first axis being the example; the array alone will
                do for a model with one input.

        Returns:
            The model's output, or its outputs by name if there are several.

        Raises:
            InputError: an input is missing, or has another dtype or shape.
            IndexError: an id is outside its embedding table.
        """
        try:
            return self._predict(examples)
        except ValueError as error:
            raise InputError(str(error)) from error

    def save(self, directory: str | os.PathLike[str]) -> Path:
        """Write `predict.py` and `weights.npz`, which need nothing else but NumPy.

        Args:
            directory: a new folder, or an empty one; it gets both files or none.

        Returns:
            The path of `predict.py`: run `python predict.py examples.npz`, or import `predict`
            from it.

        Raises:
            InputError: the folder has something in it, or can't be written.
        """
        place = Path(directory)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with workplace(place.parent, "numpy") as work:
                np.savez(work / "weights.npz", **cast(dict[str, Any], self.weights))
                (work / "predict.py").write_text(self.source, encoding="utf-8")
                work.rename(place)
        except OSError as error:
            raise InputError(
                f"{place} can't be written: {error.strerror or error}; "
                "give a new folder, or an empty one"
            ) from error
        return place / "predict.py"


def to_numpy(model: keras.Model) -> NumpyPredictor:
    """Turn a Keras model into a predictor that needs NumPy alone.

    The predictor runs a short program that spells out each layer's formula at inference: BatchNormalization
    and Dice use their moving statistics, and Dropout is left out. `save` writes that program to a file. It
    computes in the model's dtypes, so the predictions differ by rounding.

    An id outside its embedding table raises, where `keras.layers.Embedding` may take another row.

    Args:
        model: a functional or sequential model, nested models included. It is read now: training it
            further does not change the predictor.

    Returns:
        The predictor.

    Raises:
        InputError: the model is subclassed or not built, has a layer without a NumPy formula (the
            message names it, and lists those that have one), or computes in half precision.

    Example:

        >>> dense = keras.layers.Dense(1, kernel_initializer="ones")
        >>> model = keras.Sequential([keras.Input((2,)), dense])
        >>> predictor = to_numpy(model)
        >>> predictor(np.array([[1.0, 2.0]]))
        array([[3.]], dtype=float32)
        >>> path = predictor.save("exports/numpy")  # doctest: +SKIP
    """
    translation = Translation(model)
    return NumpyPredictor(source.write(model.name, translation), translation.program.weights)
