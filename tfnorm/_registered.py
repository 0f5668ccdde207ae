"""What a `.keras` file may name, so that Keras knows it once tfnorm is imported, and the names to it."""

from tfnorm._start import backend  # noqa: F401, I001 - before all that imports Keras

import tfnorm.training.lazy_adam  # noqa: F401
from tfnorm import errors, layers, models, ops, schema
from tfnorm.errors import InputError
from tfnorm.layers import BatchNormalization, Dice, Whitening
from tfnorm.schema import Schema

__all__ = [
    "BatchNormalization",
    "Dice",
    "InputError",
    "Schema",
    "Whitening",
    "errors",
    "layers",
    "models",
    "ops",
    "schema",
]
