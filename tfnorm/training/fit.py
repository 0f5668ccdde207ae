"""Train a ranking model, and say how well it ranks."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfnorm._start.version import __version__
from tfnorm.datasets import ClickLog, Log, Splits, as_splits
from tfnorm.datasets.click_log import ends, wrong_rows_told
from tfnorm.errors import InputError
from tfnorm.statistics import Observer, Recalibrator
from tfnorm.statistics.moves import Recalibration
from tfnorm.statistics.recalibrate import recalibrate_statistics
from tfnorm.training import loop
from tfnorm.training.histograms import Histograms, check_tensorboard
from tfnorm.training.lazy_adam import LazyAdam
from tfnorm.training.negatives import Negatives
from tfnorm.training.ranking_metrics import RankingMetrics
from tfnorm.training.recipe import Recipe
from tfnorm.training.resume import Resume
from tfnorm.training.stopping import Stopping
from tfnorm.training.workers import check_strategy, loss_of_workers_told, of_all, outside, place

Progress = Callable[[str, int, int], None]

_ROWS = 1024
"""Of a batch, where a model is recalibrated."""
"""It is called with what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True)
class Trained:
    """A trained model and how well it ranks the test split.

    Attributes:
        model: the Keras model, with its best weights.
        auc: the AUC on the test split; None if all of its labels are the same.
        best_auc: the AUC of the true click probabilities there; None if they aren't known.
        gauc: the users' AUCs, weighted by their impressions; None if no user has both labels.
        log_loss: the mean log loss of an example of the test split.
        recipe: how it was trained.
        history: what was measured after each epoch, with the moving averages of the training.
        recalibrated: what the recalibration on the training log changed; None where it was turned off.

    Example:

        trained = train(tfnorm.datasets.synthetic())
        print(trained.auc, trained.best_auc, trained.recalibrated)
    """

    model: keras.Model
    auc: float | None
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
                "tensorflow": tf.__version__,
                "keras": keras.__version__,
                "numpy": np.__version__,
            },
        }


def train(
    log: ClickLog | Splits,
    recipe: Recipe | None = None,
    *,
    checkpoints: Path | None = None,
    tensorboard: Path | None = None,
    recalibrate: bool = True,
    progress: Progress | None = None,
) -> Trained:
    """Train a model on a click log by a recipe.

    In the scope of a `tf.distribute.Strategy` it trains on all replicas: batch normalization and Dice
    normalize with the statistics of the global batch, the rows of LazyAdam are summed over the replicas, each
    worker scores and recalibrates by its shard of the log, and the first one writes. The same seed and batch
    size give the same losses on any number of replicas, within rounding.

    It puts together parts that can also be used alone: `DIN` or `DIEN` for the log's schema, `LazyAdam`,
    `RankingMetrics`, `Negatives`, `Resume` and Keras's `fit`.

    Args:
        log: what to train and test on.
        recipe: how to train; None for the defaults.
        checkpoints: a folder that gets the state of the training after each epoch. If it already has a
            state of the same training, the training goes on from there. The last state stays in the folder,
            in case the process is killed before the model is saved; `Resume(checkpoints).done()` removes
            it. None to keep no state.
        tensorboard: a folder that gets the losses, and histograms of activations, gradients and moving
            statistics; None to write none.
        recalibrate: make the moving statistics those of the whole training log, under the final
            weights, before the model is scored. Moving averages are behind the weights, and after
            few steps hold a part of their initial values.
        progress: called after each step, with how many examples are done; None to call nothing.

    Returns:
        The model and how well it ranks.

    Raises:
        InputError: `checkpoints` has the state of another training, TensorBoard isn't installed, the log
            can't be read, it has too few users to keep some of for early stopping, or another worker has
            gone or was given something else.

    Example:

        log = tfnorm.datasets.synthetic()
        trained = train(log, Recipe(model="dien", epochs=20, patience=2))
        trained.model.save("dien.keras")
    """
    check_strategy()
    if tensorboard is not None:
        check_tensorboard()
    again = "start all of them again"
    if checkpoints is not None:
        again += f", which go on from {checkpoints}"
    with loss_of_workers_told(again):
        return _train(log, recipe or Recipe(), checkpoints, tensorboard, recalibrate, progress)


def _train(
    log: ClickLog | Splits,
    recipe: Recipe,
    checkpoints: Path | None,
    tensorboard: Path | None,
    recalibrate: bool,
    progress: Progress | None,
) -> Trained:
    chief = place()[0] == 0
    splits = as_splits(log)
    _check_same_settings(splits, recipe, checkpoints, recalibrate)
    if tf.distribute.has_strategy():
        together = splits.train.read_together(*place(), of_all)
        splits = replace(splits, train=together)
    splits = splits.standardized()
    for scored in (splits.test, splits.validation):
        if scored is not None:
            _check_rows(scored)
    keras.utils.set_random_seed(recipe.seed)
    examples, validation = splits.train, splits.validation
    stops_early = recipe.patience > 0 and recipe.epochs > 1
    if stops_early and validation is None:
        examples, validation = _kept_aside(examples, recipe)
    callbacks: list[keras.callbacks.Callback] = []
    stopping: Stopping | None = None
    if validation is not None:
        metrics = RankingMetrics(validation)
        callbacks.append(metrics)
        if stops_early:
            stopping = Stopping(metrics, recipe.patience)
            callbacks.append(stopping)
    if tensorboard is not None and chief:
        sample = splits.train if validation is None else validation
        callbacks += [
            keras.callbacks.TensorBoard(str(tensorboard), write_graph=False),
            Histograms(tensorboard, sample),
        ]
    resume = None
    first, epochs = 0, recipe.epochs
    if checkpoints is not None:
        of = {"train": splits.train.fingerprint, **asdict(recipe)}
        if splits.validation is not None:
            of["validation"] = splits.validation.fingerprint
        resume = Resume(checkpoints, of, stopping, writes=chief)
        _check_same_checkpoint(checkpoints, resume.epoch)
        callbacks.append(resume)
        first, epochs = resume.epoch, resume.until(recipe.epochs)
    batches = examples.batches(
        recipe.batch_size,
        shuffle_seed=recipe.seed,
        epoch=first,
        change=(
            Negatives(examples, recipe.negatives, seed=recipe.seed)
            if recipe.model == "dien"
            else None
        ),
    )
    if progress is not None:
        callbacks.append(_Done(progress, recipe.batch_size, len(examples), recipe.epochs))

    model = recipe.make_model(splits.schema)
    rate = recipe.schedule(recipe.epochs * len(batches))
    model.compile(LazyAdam(rate, embeddings_l2=recipe.embedding_l2), "binary_crossentropy")
    # `fit` traces its step twice if that makes the optimizer's variables.
    model.optimizer.build(model.trainable_variables)
    if tf.distribute.has_strategy():
        with wrong_rows_told():
            new = loop.fit(
                model,
                batches,
                sizes=np.diff(ends(len(examples), recipe.batch_size), prepend=0).tolist(),
                first=first,
                epochs=epochs,
                positive_weight=recipe.positive_weight,
                callbacks=callbacks,
            )
            trained = model
            # One that any process can save, export and recalibrate.
            model = outside(lambda: type(trained).from_config(trained.get_config()))
            model.set_weights(trained.get_weights())
    else:
        with wrong_rows_told():
            new = model.fit(
                batches,
                initial_epoch=first,
                epochs=epochs,
                class_weight=(
                    None if recipe.positive_weight == 1 else {0: 1.0, 1: recipe.positive_weight}
                ),
                callbacks=callbacks,
                shuffle=False,
                verbose=0,
            ).history
    history = {} if resume is None else {name: list(v) for name, v in resume.history.items()}
    for name, values in new.items():
        history[name] = history.get(name, []) + values
    recalibrated = None
    if recalibrate:
        with wrong_rows_told():
            recalibrated = _recalibrated(model, splits.train)
    ranking = RankingMetrics(splits.test).measure(model)
    return Trained(
        model,
        ranking.auc,
        splits.best_auc,
        ranking.gauc,
        ranking.log_loss,
        recipe,
        history,
        recalibrated,
    )


def _recalibrated(model: keras.Model, log: Log) -> Recalibration:
    """Recalibrate a model by a log, of which each worker reads its shard."""
    index, count = place()
    if count == 1:
        return outside(lambda: recalibrate_statistics(model, log.batches(_ROWS)))
    shard = log.sharded(index, count)
    recalibrator = Recalibrator(model)
    observer = outside(lambda: Observer(model))
    while recalibrator.done is None:
        mine = outside(lambda: observer.observe(shard.batches(_ROWS))) if len(shard) else None
        whole, *others = (part for part in of_all(mine) if part is not None)
        for other in others:
            whole.merge(other)
        recalibrator.take(whole)
    return recalibrator.done


def _check_rows(log: Log) -> None:
    """Find what is wrong with a log that is scored before the training, which would be lost after it.

    Each worker looks at what it will score.
    """
    log.examples(1)
    for _ in log.sharded(*place()).parts():
        pass


def _check_same_settings(
    splits: Splits, recipe: Recipe, checkpoints: Path | None, recalibrate: bool
) -> None:
    """Raise InputError where workers were given different things: they would wait for each other for ever."""
    if place()[1] == 1:
        return
    logs = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    given: dict[str, Any] = {
        name: None if log is None else log.fingerprint[:12] for name, log in logs.items()
    }
    given |= asdict(recipe)
    given |= {"checkpoints": checkpoints is not None, "recalibrate": recalibrate}
    first, *others = of_all(given)
    for number, other in enumerate(others, 1):
        for name, value in other.items():
            if value != first[name]:
                raise InputError(
                    f"worker {number} was given {name} {value}, and worker 0 {first[name]}; accepted: the "
                    "same command on each worker, and the same files"
                )


def _check_same_checkpoint(checkpoints: Path, epoch: int) -> None:
    epochs = of_all(epoch)
    if len(set(epochs)) > 1:
        raise InputError(
            f"the workers see checkpoints of the epochs {', '.join(map(str, epochs))} in {checkpoints}; "
            "accepted: a folder that all workers see"
        )


def _kept_aside(log: Log, recipe: Recipe) -> tuple[Log, Log]:
    """What is trained on, and what early stopping looks at."""
    try:
        return log.split_by_user(recipe.validation_share, seed=recipe.seed)
    except InputError as error:
        raise InputError(f"{error}; patience=0 trains on all of them, without stopping") from error


class _Done(keras.callbacks.Callback):
    """Tells the progress of `fit`, in examples over all epochs."""

    def __init__(self, progress: Progress, batch_size: int, examples: int, epochs: int):
        super().__init__()
        self._progress = progress
        self._batch_size = batch_size
        self._examples = examples
        self._epochs = epochs
        self._before = 0

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self._before = epoch * self._examples

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        done = min((batch + 1) * self._batch_size, self._examples)
        self._progress("train", self._before + done, self._epochs * self._examples)
