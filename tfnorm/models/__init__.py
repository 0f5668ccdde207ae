"""Ranking models, built from the layers."""

from tfnorm.models.attention import TargetAttention
from tfnorm.models.din import DIN

__all__ = ["DIN", "TargetAttention"]
