"""A training that can be killed and gone on with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfnorm.errors import InputError

_WEIGHTS = "model.weights.h5"
_STATE = "state.json"
_BEST = "best.npz"


class Checkpoints(keras.callbacks.Callback):
    """Keeps the state of a training after each epoch: weights, optimizer, history, early stopping.

    `keras.callbacks.BackupAndRestore` forgets what early stopping has seen, and a process that is
    killed while it writes leaves it nothing. Here a checkpoint is a folder that is renamed into its
    place once it is whole. The optimizer must be built before the training begins.

    Args:
        directory: where they go; the newest one there is gone on with.
        identity: what decides the training; a checkpoint of another is refused.
        stopping: the early stopping that takes part, which must come before this in the callbacks.

    Raises:
        InputError: the checkpoint in `directory` is of another training.

    Attributes:
        epoch: how many epochs are done.
        history: what was measured after each.
    """

    def __init__(
        self,
        directory: Path,
        identity: dict[str, Any],
        stopping: keras.callbacks.EarlyStopping | None,
    ):
        super().__init__()
        self._directory = Path(directory)
        self._identity = identity
        self._stopping = stopping
        self._found = max(self._directory.glob("epoch-*[0-9]"), default=None)
        self.epoch = 0
        self.history: dict[str, list[float]] = {}
        if self._found is not None:
            state = json.loads((self._found / _STATE).read_text())
            _check_same(state["identity"], identity, self._found)
            self.epoch = state["epoch"]
            self.history = state["history"]

    def on_train_begin(self, logs: object = None) -> None:
        self._history = {name: list(values) for name, values in self.history.items()}
        if self._found is None:
            return
        self.model.load_weights(self._found / _WEIGHTS)
        if self._stopping is not None:
            for epoch, value in enumerate(self.history[self._stopping.monitor]):
                self._stopping.on_epoch_end(epoch, {self._stopping.monitor: value})
            with np.load(self._found / _BEST) as best:
                self._stopping.best_weights = list(best.values())

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        for name, value in logs.items():
            self._history.setdefault(name, []).append(float(value))
        work = self._directory / "unfinished"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        self.model.save_weights(work / _WEIGHTS)
        if self._stopping is not None:
            np.savez(work / _BEST, *self._stopping.best_weights)
        state = {"epoch": epoch + 1, "history": self._history, "identity": self._identity}
        (work / _STATE).write_text(json.dumps(state))
        older = list(self._directory.glob("epoch-*[0-9]"))
        work.rename(self._directory / f"epoch-{epoch + 1:05}")
        for checkpoint in older:
            shutil.rmtree(checkpoint)

    def remove(self) -> None:
        """Remove what is there: the training is done."""
        for checkpoint in [*self._directory.glob("epoch-*[0-9]"), self._directory / "unfinished"]:
            shutil.rmtree(checkpoint, ignore_errors=True)


def _check_same(kept: dict[str, Any], given: dict[str, Any], place: Path) -> None:
    different = [name for name in given if kept.get(name) != given[name]]
    if different:
        was, now = (
            ", ".join(f"{name} {settings.get(name)}" for name in different)
            for settings in (kept, given)
        )
        raise InputError(
            f"{place} is of a training with {was}, not {now}; accepted: the same settings, or "
            "another folder for the checkpoints"
        )
