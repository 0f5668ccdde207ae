"""Keras layers with moving statistics: they own the variables, `tfnorm.ops` has the mathematics."""

from tfnorm.layers.batch_normalization import BatchNormalization
from tfnorm.layers.dice import Dice

__all__ = ["BatchNormalization", "Dice"]
