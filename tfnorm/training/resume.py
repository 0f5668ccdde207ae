"""A training that can be killed, and goes on from where it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfnorm._keras import keep_best
from tfnorm.errors import InputError
from tfnorm.training.workers import outside

_WEIGHTS = "model.weights.h5"
_STATE = "state.json"
_BEST = "best.npz"
_RANDOM = "random.npz"
_UNFINISHED = "unfinished"
_STOPPING = ("wait", "best_epoch", "stopped_epoch")


class Resume(keras.callbacks.Callback):
    """Keeps the state of a training after each epoch, and goes on from it.

    The state is the weights, the optimizer, the generators of random numbers, what was measured, and
    early stopping with its best weights. `keras.callbacks.BackupAndRestore` does not keep the last two, and
    has nothing left if the process is killed while it writes; here a checkpoint is a folder that is renamed
    into its place once it is complete. An epoch that was not finished is done again. With `Log.batches`,
    whose order depends only on the seed and on the epoch's number, the model is the one that an undisturbed
    training gives.

    It must come after the callbacks that measure and that stop. The checkpoint stays when the training
    ends, so that a process that is killed before the model is saved loses nothing either: call `done`
    when it is saved.

    Args:
        directory: the folder of the checkpoints; the training goes on from the newest one in it.
        of: what identifies the training, such as its settings and the log's fingerprint; a checkpoint of
            another training is refused. None to take any.
        stopping: the early stopping of this training, whose state is kept too; None for none.
        writes: whether it writes checkpoints. Of several workers one does; the others go on from what it
            has written, in a folder that all see.

    Raises:
        InputError: the checkpoint in `directory` is of another training, or is damaged, or the folder can't
            be made.

    Attributes:
        epoch: how many epochs are done.
        history: what was measured after each epoch.

    Example:

        resume = tfnorm.training.Resume("checkpoints", {"seed": 0, "log": log.fingerprint})
        model.fit(log.batches(256, shuffle_seed=0, epoch=resume.epoch), callbacks=[resume],
                  initial_epoch=resume.epoch, epochs=resume.until(20))
        model.save("din.keras")
        resume.done()
    """

    def __init__(
        self,
        directory: str | Path,
        of: Mapping[str, Any] | None = None,
        stopping: keras.callbacks.EarlyStopping | None = None,
        *,
        writes: bool = True,
    ) -> None:
        super().__init__()
        self._directory = Path(directory)
        self._of = dict(of or {})
        self._stopping = stopping
        self._writes = writes
        if writes:
            try:
                self._directory.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InputError(
                    f"directory {directory} can't be made: {error.strerror}; accepted: a folder"
                ) from error
        self._found = max(self._directory.glob("epoch-*[0-9]"), default=None)
        self._stopped = False
        self.epoch = 0
        self.history: dict[str, list[float]] = {}
        if self._found is not None:
            try:
                self._state = json.loads((self._found / _STATE).read_text())
                kept = self._state["of"]
                self.epoch = self._state["epoch"]
                self.history = self._state["history"]
                self._stopped = self._state["stopped"]
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise _damaged(self._found, error) from error
            if of is not None:
                _check_same(kept, self._of, self._found)

    def until(self, epochs: int) -> int:
        """The `epochs` for `fit`: those asked for, or those done if early stopping ended it."""
        return self.epoch if self._stopped else max(epochs, self.epoch)

    def on_train_begin(self, logs: object = None) -> None:
        self._history = {name: list(values) for name, values in self.history.items()}
        # `save_weights` saves the optimizer as far as it is built.
        self.model.optimizer.build(self.model.trainable_variables)
        if self._found is None:
            return
        try:
            weights = self._found / _WEIGHTS
            outside(lambda: self.model.load_weights(weights))
            with np.load(self._found / _RANDOM) as kept:
                for variable, value in zip(self._generators(), kept.values(), strict=True):
                    variable.assign(value)
            if self._stopping is not None:
                with np.load(self._found / _BEST) as best:
                    self._stopping.best_weights = list(best.values()) or None
        except (OSError, ValueError, KeyError) as error:
            raise _damaged(self._found, error) from error
        if self._stopping is not None:
            for name in _STOPPING:
                setattr(self._stopping, name, self._state["stopping"][name])
            keep_best(self._stopping, self._state["stopping"]["best"])

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        for name, value in (logs or {}).items():
            self._history.setdefault(name, []).append(float(value))
        if not self._writes:
            return
        work = self._directory / _UNFINISHED
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        # Keras makes variables for it, which in a scope would have to be made on each worker.
        outside(lambda: self.model.save_weights(work / _WEIGHTS))
        np.savez(work / _RANDOM, *(variable.numpy() for variable in self._generators()))
        state: dict[str, Any] = {
            "epoch": epoch + 1,
            "history": self._history,
            "of": self._of,
            "stopped": bool(self.model.stop_training),
        }
        if self._stopping is not None:
            np.savez(work / _BEST, *(self._stopping.best_weights or ()))
            best = self._stopping.best
            state["stopping"] = {
                **{name: getattr(self._stopping, name) for name in _STOPPING},
                "best": None if best is None else float(best),
            }
        (work / _STATE).write_text(json.dumps(state))
        older = list(self._directory.glob("epoch-*[0-9]"))
        work.rename(self._directory / f"epoch-{epoch + 1:05}")
        for checkpoint in older:
            shutil.rmtree(checkpoint)

    def done(self) -> None:
        """Remove the checkpoint: the model is saved."""
        work = self._directory / _UNFINISHED
        shutil.rmtree(work, ignore_errors=True)
        for checkpoint in self._directory.glob("epoch-*[0-9]"):
            # Half removed, it would be taken for a damaged one.
            checkpoint.rename(work)
            shutil.rmtree(work, ignore_errors=True)

    def _generators(self) -> list[keras.Variable]:
        """The states of the generators of random numbers, such as those of dropout."""
        weights = {id(weight) for weight in self.model.weights}
        counted = {id(v) for v in (*self.model.metrics_variables, *self.model.optimizer.variables)}
        return [v for v in self.model.variables if id(v) not in weights | counted]


def _damaged(place: Path, error: Exception) -> InputError:
    return InputError(
        f"{place} can't be read: {error}; accepted: a whole checkpoint: remove the folder to begin anew"
    )


def _check_same(kept: Mapping[str, Any], given: Mapping[str, Any], place: Path) -> None:
    given = json.loads(json.dumps(given))
    different = [name for name in {**given, **kept} if kept.get(name) != given.get(name)]
    if different:
        was, now = (
            ", ".join(f"{name} {settings.get(name)}" for name in different)
            for settings in (kept, given)
        )
        raise InputError(
            f"{place} is of a training with {was}, not {now}; accepted: the same settings, or "
            "another folder for the checkpoints"
        )
