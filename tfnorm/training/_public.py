"""The public names of `tfnorm.training`, with all that they need."""

from tfnorm.training.fit import Progress, Trained, train
from tfnorm.training.lazy_adam import LazyAdam
from tfnorm.training.recipe import MODELS, Recipe

__all__ = ["MODELS", "LazyAdam", "Progress", "Recipe", "Trained", "train"]
