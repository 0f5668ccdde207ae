"""What decides the outcome of a training, beside its data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from tfnorm.errors import InputError

# What a recipe is comes without TensorFlow, so that `tfnorm train --help` does.
if TYPE_CHECKING:
    import keras

    from tfnorm.schema import Schema

Model = Literal["din", "dien", "base"]
MODELS: tuple[Model, ...] = get_args(Model)
"""The models that a `Recipe` can train."""
Negatives = Literal["uniform", "frequency"]

StrategyName = Literal["mirrored", "multi-worker"]
STRATEGIES: tuple[StrategyName, ...] = get_args(StrategyName)

SCALED_FROM = 256
"""The batch size that `Recipe.learning_rate` is meant for."""

_RANGES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "epochs": ("1 or more", lambda x: x >= 1),
    "batch_size": ("1 or more", lambda x: x >= 1),
    "learning_rate": ("more than 0", lambda x: x > 0),
    "warmup": ("from 0 to 1", lambda x: 0 <= x <= 1),
    "patience": ("0 or more", lambda x: x >= 0),
    "validation_share": ("between 0 and 1", lambda x: 0 < x < 1),
    "embedding_l2": ("0 or more", lambda x: x >= 0),
    "dropout": ("from 0 to less than 1", lambda x: 0 <= x < 1),
    "positive_weight": ("more than 0", lambda x: x > 0),
}


@dataclass(frozen=True)
class Recipe:
    """How to train a ranking model with LazyAdam and the log loss.

    Args:
        model: `din`, `dien` or `base`, which is DIN without attention.
        epochs: the most passes over the training examples.
        batch_size: how many examples a step of the training has.
        learning_rate: the step size of the optimizer, meant for batches of 256 examples.
        linear_scaling: multiply the learning rate by batch size / 256.
        warmup: the share of all steps in which the learning rate rises from 0 to its full value.
        decay: let the learning rate fall to 0 by a cosine in the steps after the warm-up.
        patience: stop after so many epochs whose validation AUC is lower than the best one by its
            standard error or more, and go back to the weights of the epoch before them: a further epoch
            may learn rare ids by heart. 0 trains all epochs, on all examples, as `epochs=1` does.
        validation_share: the share of the users whose examples are kept from training for that AUC,
            unless the log has a validation split.
        embedding_l2: the factor of the L2 penalty on those rows of the embeddings that a batch has.
        dropout: the share of the tower's hidden units that a step leaves out.
        positive_weight: how much an example with a click counts, where one without a click counts 1.
        negatives: how DIEN's auxiliary loss draws items that were not chosen.
        seed: decides the initial weights, the order of the examples and all that is drawn.

    Raises:
        InputError: there is no such model, or a number is out of range.

    Example:

        >>> Recipe(batch_size=1024, linear_scaling=True).peak_learning_rate
        0.016
    """

    model: Model = "din"
    epochs: int = 2
    batch_size: int = SCALED_FROM
    learning_rate: float = 4e-3
    linear_scaling: bool = False
    warmup: float = 0.05
    decay: bool = True
    patience: int = 1
    validation_share: float = 0.02
    embedding_l2: float = 0.0
    dropout: float = 0.0
    positive_weight: float = 1.0
    negatives: Negatives = "uniform"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise InputError(f"model is {self.model!r}; accepted: {', '.join(map(repr, MODELS))}")
        if self.negatives not in get_args(Negatives):
            raise InputError(
                f"negatives is {self.negatives!r}; accepted: "
                f"{', '.join(map(repr, get_args(Negatives)))}"
            )
        for name, (accepted, fits) in _RANGES.items():
            if not fits(value := getattr(self, name)):
                raise InputError(f"{name} is {value}; it must be {accepted}")

    @property
    def peak_learning_rate(self) -> float:
        """The learning rate after the warm-up."""
        scale = self.batch_size / SCALED_FROM if self.linear_scaling else 1
        return self.learning_rate * scale

    def schedule(self, steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
        """The learning rate in each of so many steps."""
        peak = self.peak_learning_rate
        if not self.warmup and not self.decay:
            return peak
        import keras

        warmup_steps = round(self.warmup * steps)
        return keras.optimizers.schedules.CosineDecay(
            0.0 if warmup_steps else peak,
            decay_steps=max(1, steps - warmup_steps),
            # What is left of the rate at the end.
            alpha=0.0 if self.decay else 1.0,
            warmup_target=peak if warmup_steps else None,
            warmup_steps=warmup_steps,
        )

    def make_model(self, schema: Schema) -> keras.Model:
        """A new model for the features of a log."""
        from tfnorm.models import DIEN, DIN

        if self.model == "dien":
            return DIEN(schema, dropout=self.dropout)
        return DIN(schema, dropout=self.dropout, attention=self.model == "din")
