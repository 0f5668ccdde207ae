"""Functional forms: tensors in, tensors out. They own no variable and know no Keras."""

from tfnorm.ops.batch_normalization import batch_normalization
from tfnorm.ops.dice import dice
from tfnorm.ops.moments import moments

__all__ = ["batch_normalization", "dice", "moments"]
