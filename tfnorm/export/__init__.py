"""From a Keras model to a SavedModel that TensorFlow Serving runs as it is."""

from tfnorm.export.numpy_predictor import NumpyPredictor, to_numpy
from tfnorm.export.saved_model import ExportReport, export_saved_model
from tfnorm.export.serving_config import ServingConfig, write_serving_config

__all__ = [
    "ExportReport",
    "NumpyPredictor",
    "ServingConfig",
    "export_saved_model",
    "to_numpy",
    "write_serving_config",
]
