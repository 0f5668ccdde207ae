"""Train a ranking model, and say how well it ranks."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import keras

from tfnorm._start.version import __version__
from tfnorm.datasets import ClickLog, Examples, split_by_user, with_negatives
from tfnorm.metrics import auc, gauc, has_gauc, log_loss
from tfnorm.statistics.moves import Recalibration
from tfnorm.statistics.recalibrate import recalibrate_statistics
from tfnorm.training.checkpoints import Checkpoints
from tfnorm.training.histograms import Histograms, check_tensorboard
from tfnorm.training.recipe import Recipe

# Called with what is being done, how much of it is done, and how much there is.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Trained:
    """A trained model and how well it ranks the test split.

    Attributes:
        model: the model.
        auc: on the test split.
        best_auc: the AUC of the true click probabilities there; None if they aren't known.
        gauc: the users' AUCs, weighted by their impressions; None if no user has both labels.
        log_loss: the mean.
        recipe: how it was trained.
        history: what was measured after each epoch, with the moving averages of the training.
        recalibrated: what recalibration on the training log did; None where it was turned off.
    """

    model: keras.Model
    auc: float
    best_auc: float | None
    gauc: float | None
    log_loss: float
    recipe: Recipe
    history: dict[str, list[float]]
    recalibrated: Recalibration | None

    def to_dict(self) -> dict[str, Any]:
        """All but the model, and what it was trained with, for JSON."""
        return {
            "auc": self.auc,
            "best_auc": self.best_auc,
            "gauc": self.gauc,
            "log_loss": self.log_loss,
            "seed": self.recipe.seed,
            "recipe": asdict(self.recipe),
            "history": self.history,
            "recalibrated": None if self.recalibrated is None else self.recalibrated.to_dict(),
            "versions": {
                "python": platform.python_version(),
                "tfnorm": __version__,
                **{name: metadata.version(name) for name in ("tensorflow", "keras", "numpy")},
            },
        }


def train(
    log: ClickLog,
    recipe: Recipe | None = None,
    *,
    checkpoints: Path | None = None,
    tensorboard: Path | None = None,
    recalibrate: bool = True,
    progress: Progress | None = None,
) -> Trained:
    """Train a model on a click log by a recipe.

    Args:
        log: what to train and test on.
        recipe: how; None for the defaults.
        checkpoints: a folder that gets the state of the training after each epoch. If it has one
            of the same training, that is gone on with; it is emptied when the training is done.
        tensorboard: a folder that gets the losses, and histograms of activations, gradients and
            moving statistics.
        recalibrate: make the moving statistics those of the whole training log, under the final
            weights, before the model is scored. Moving averages are behind the weights, and after
            few steps hold a part of their initial values.
        progress: called after each step.

    Returns:
        The model and how well it ranks.

    Raises:
        InputError: `checkpoints` has those of another training, or TensorBoard isn't installed.

    Example:

        log = tfnorm.datasets.synthetic()
        trained = train(log, Recipe(model="dien", epochs=20, patience=2))
        trained.model.save("dien.keras")
    """
    recipe = recipe or Recipe()
    if tensorboard is not None:
        check_tensorboard()
    keras.utils.set_random_seed(recipe.seed)
    examples, validation = log.train, None
    if recipe.patience is not None:
        examples, validation = split_by_user(examples, recipe.validation_share, seed=recipe.seed)
    if recipe.model == "dien":
        examples = with_negatives(examples, seed=recipe.seed)
    callbacks: list[keras.callbacks.Callback] = []
    stopping = None
    if validation is not None:
        stopping = keras.callbacks.EarlyStopping(
            "val_auc", mode="max", patience=recipe.patience, restore_best_weights=True
        )
        callbacks += [_Validation(validation), stopping]
    if tensorboard is not None:
        sample = log.train if validation is None else validation
        callbacks += [
            keras.callbacks.TensorBoard(str(tensorboard), write_graph=False),
            Histograms(tensorboard, sample),
        ]
    first, history = 0, {}
    if checkpoints is not None:
        kept = Checkpoints(checkpoints, {"dataset": log.name, **asdict(recipe)}, stopping)
        callbacks.append(kept)
        first, history = kept.epoch, kept.history
    # A training that is gone on with has other orders to come than those that it has had.
    batches = examples.batches(recipe.batch_size, shuffle_seed=recipe.seed + first)
    if progress is not None:
        callbacks.append(_Steps(progress, len(batches), recipe.epochs))

    model = recipe.make_model(log)
    rate = recipe.schedule(recipe.epochs * len(batches))
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy")
    # `fit` traces its step twice if that makes the optimizer's variables.
    model.optimizer.build(model.trainable_variables)
    fitted = model.fit(
        batches,
        initial_epoch=first,
        epochs=recipe.epochs,
        class_weight=(None if recipe.positive_weight == 1 else {0: 1.0, 1: recipe.positive_weight}),
        callbacks=callbacks,
        shuffle=False,
        verbose=0,
    )
    if checkpoints is not None:
        kept.remove()
    recalibrated = recalibrate_statistics(model, log.train.batches(1024)) if recalibrate else None
    scores = model.predict(log.test.batches(1024), verbose=0)[:, 0]
    labels, users = log.test.labels, log.test.users
    return Trained(
        model,
        auc(labels, scores),
        log.best_auc,
        gauc(labels, scores, users) if users is not None and has_gauc(labels, users) else None,
        log_loss(labels, scores),
        recipe,
        {name: history.get(name, []) + values for name, values in fitted.history.items()},
        recalibrated,
    )


class _Validation(keras.callbacks.Callback):
    """Measures the validation examples after each epoch, for the callbacks after it."""

    def __init__(self, examples: Examples):
        super().__init__()
        self._examples = examples
        self._batches = examples.batches(1024)

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        scores = self.model.predict(self._batches, verbose=0)[:, 0]
        logs["val_auc"] = auc(self._examples.labels, scores)
        logs["val_log_loss"] = log_loss(self._examples.labels, scores)


class _Steps(keras.callbacks.Callback):
    """Tells the progress of `fit`, step by step over all epochs."""

    def __init__(self, progress: Progress, steps: int, epochs: int):
        super().__init__()
        self._progress = progress
        self._steps = steps
        self._epochs = epochs
        self._before = 0

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self._before = epoch * self._steps

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        self._progress("train", self._before + batch + 1, self._epochs * self._steps)
