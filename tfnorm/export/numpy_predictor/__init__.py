"""A Keras model as a short Python file that needs NumPy alone."""

from tfnorm.export.numpy_predictor import layers, merges, ranking  # noqa: F401 - they register formulas
from tfnorm.export.numpy_predictor.predictor import NumpyPredictor, to_numpy

__all__ = ["NumpyPredictor", "to_numpy"]
