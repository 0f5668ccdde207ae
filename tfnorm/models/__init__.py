"""Ranking models, built from the layers, and the layers that they have between them."""

from tfnorm.models.attention import TargetAttention
from tfnorm.models.augru import AUGRUCell
from tfnorm.models.dien import DIEN
from tfnorm.models.din import DIN
from tfnorm.models.embedding import IdEmbedding
from tfnorm.models.masked_mean import MaskedMean

__all__ = ["DIEN", "DIN", "AUGRUCell", "IdEmbedding", "MaskedMean", "TargetAttention"]
