"""Keras layers with statistics of their inputs: they own the variables, `tfnorm.ops` has the mathematics."""

from tfnorm.layers.batch_normalization import BatchNormalization
from tfnorm.layers.dice import Dice
from tfnorm.layers.whitening import Whitening

__all__ = ["BatchNormalization", "Dice", "Whitening"]
