"""From a Keras model to a SavedModel that TensorFlow Serving runs as it is."""

from tfnorm.export.deployment.config import ServingConfig, write_serving_config
from tfnorm.export.numpy_predictor import NumpyPredictor, to_numpy
from tfnorm.export.records.spec_file import load_feature_spec
from tfnorm.export.saved_model import ExportReport, export_saved_model

__all__ = [
    "ExportReport",
    "NumpyPredictor",
    "ServingConfig",
    "export_saved_model",
    "load_feature_spec",
    "to_numpy",
    "write_serving_config",
]
