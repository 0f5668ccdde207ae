"""The public names of `tfnorm.training`, with all that they need."""

from tfnorm.training.fit import Progress, Trained, train
from tfnorm.training.lazy_adam import LazyAdam
from tfnorm.training.negatives import Negatives
from tfnorm.training.ranking_metrics import Ranking, RankingMetrics
from tfnorm.training.recipe import MODELS, STRATEGIES, Recipe
from tfnorm.training.resume import Resume
from tfnorm.training.workers import strategy_scope

__all__ = [
    "MODELS",
    "STRATEGIES",
    "LazyAdam",
    "Negatives",
    "Progress",
    "Ranking",
    "RankingMetrics",
    "Recipe",
    "Resume",
    "Trained",
    "strategy_scope",
    "train",
]
