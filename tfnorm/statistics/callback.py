"""Moving statistics beside the data's, in TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfnorm.statistics.compare import partial_report
from tfnorm.statistics.observation.batches import Batches, Dataset
from tfnorm.statistics.observation.observe import Observer
from tfnorm.statistics.report.report import StatisticsReport


class StatisticsCallback(keras.callbacks.Callback):
    """Writes to TensorBoard, after each epoch, how far the moving statistics are from the data's.

    It writes what `statistics_report` tells, for each layer: the worst channel and the median as
    scalars, all channels as histograms, whether the statistics were ever updated. They are a run of
    their own, beside the runs "train" and "validation" of `keras.callbacks.TensorBoard`, with the
    same numbers for the epochs. Each epoch takes one more pass over `dataset`, in inference.

    Args:
        log_dir: the folder that TensorBoard reads; events go to its folder `statistics`.
        dataset: what the model is trained on, or a part of it, as `recalibrate_statistics` takes
            it.
        steps: how many batches to take at most; None for all.

    Raises:
        InputError: when training starts, as `statistics_report` does.

    Attributes:
        report: the report of the last epoch.

    Example:

        callback = StatisticsCallback("logs", train.take(100))
        model.fit(train, epochs=3, callbacks=[callback, keras.callbacks.TensorBoard("logs")])
    """

    def __init__(self, log_dir: str | Path, dataset: Dataset, steps: int | None = None):
        super().__init__()
        self.log_dir = Path(log_dir)
        self.report: StatisticsReport | None = None
        self._batches = Batches(dataset, steps)
        self._batches.keep()

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._observer = Observer(self.model, training=None)
        # A dataset that can't be used is to be known now, not after an epoch.
        self._observer.observe(self._batches.first())
        self._writer = tf.summary.create_file_writer(str(self.log_dir / "statistics"))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.report = partial_report(self.model, self._observer.observe(self._batches))
        with self._writer.as_default(step=epoch):
            for layer in self.report.layers:
                tf.summary.scalar(f"{layer.name}/ever_updated", float(layer.updated))
                for what, summary, values in (
                    ("mean_difference", layer.mean, layer.mean_difference),
                    ("std_ratio", layer.std, layer.std_ratio),
                ):
                    if summary is not None:
                        tf.summary.scalar(f"{layer.name}/{what}_worst", summary.worst)
                        tf.summary.scalar(f"{layer.name}/{what}_median", summary.median)
                        tf.summary.histogram(f"{layer.name}/{what}", values[np.isfinite(values)])
        self._writer.flush()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._writer.close()
