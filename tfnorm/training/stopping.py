"""Early stopping that a fall of the AUC by chance does not bring about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tfnorm.training.ranking_metrics import RankingMetrics


class Stopping(keras.callbacks.EarlyStopping):
    """Stops when the AUC of the validation has fallen by more than its standard error.

    Of a few hundred users the AUC tells two epochs apart by chance. So an epoch whose AUC is lower than the
    best one by less than the standard error counts as no worse, and its weights are kept:

        se^2 = (A (1 - A) + (m - 1) (A / (2 - A) - A^2) + (n - 1) (2 A^2 / (1 + A) - A^2)) / (m n)

    where A is the AUC of m examples with a click and n without one, and the scores of both are exponentially
    distributed. Of other scores it is much the same.

    Args:
        metrics: the callback that measures the AUC; it must come before this one.
        patience: stop after so many epochs that are worse than the best.

    Reference:
        Hanley and McNeil, 1982, https://doi.org/10.1148/radiology.143.1.7063747.
    """

    def __init__(self, metrics: RankingMetrics, patience: int) -> None:
        super().__init__("val_auc", mode="max", patience=patience, restore_best_weights=True)
        self._metrics = metrics

    def get_monitor_value(self, logs: Mapping[str, Any] | None) -> float | None:
        auc: float | None = super().get_monitor_value(logs)
        ranking = self._metrics.ranking
        if auc is None or ranking is None or self.best is None:
            return auc
        if self.best - auc >= standard_error(auc, ranking.clicks, ranking.rows - ranking.clicks):
            return auc
        # Keras counts an epoch as better if its value is higher, in float32.
        return max(auc, float(self.best) + 1e-6)


def standard_error(auc: float, clicks: int, others: int) -> float:
    """By how much an AUC of so many examples differs from that of all that there could be."""
    of_clicks = (clicks - 1) * (auc / (2 - auc) - auc**2)
    of_others = (others - 1) * (2 * auc**2 / (1 + auc) - auc**2)
    return float(np.sqrt((auc * (1 - auc) + of_clicks + of_others) / (clicks * others)))
