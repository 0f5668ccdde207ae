"""How well a model ranks a log that is read a part at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfnorm.datasets import Examples, Log
from tfnorm.datasets.logs.groups import shares
from tfnorm.errors import InputError
from tfnorm.metrics import auc, gauc, has_gauc, log_loss, user_aucs
from tfnorm.training.workers import of_all, place

_BINS = 1 << 20
_MOST = 1 << 20


@dataclass(frozen=True)
class Ranking:
    """How well a model ranks examples.

    Attributes:
        auc: None where all labels are the same.
        auc_error: how far `auc` may be from the exact one at most; 0 where it is exact.
        gauc: the users' AUCs, weighted by their impressions; None where users aren't known, or none
            has both labels.
        gauc_error: the standard error of `gauc` where it is that of some of the users; 0 where it is
            exact.
        log_loss: the mean log loss of an example.
        rows: how many examples there are.
        clicks: how many of them have a click.

    Example:

        ranking = RankingMetrics(validation).measure(model)
        print(ranking.auc, ranking.gauc, ranking.log_loss)
    """

    auc: float | None
    auc_error: float
    gauc: float | None
    gauc_error: float
    log_loss: float
    rows: int
    clicks: int

    def logs(self, prefix: str) -> dict[str, float]:
        """Its figures by name; those that aren't known, and the errors of exact figures, are left out."""
        found = {"auc": self.auc, "gauc": self.gauc, "log_loss": self.log_loss}
        errors = {"auc_error": self.auc_error, "gauc_error": self.gauc_error}
        kept = {name: value for name, value in found.items() if value is not None}
        kept |= {name: error for name, error in errors.items() if error}
        return {f"{prefix}{name}": value for name, value in kept.items()}


class RankingMetrics(keras.callbacks.Callback):
    """Adds `val_auc`, `val_gauc` and `val_log_loss` to what `fit` has measured after each epoch.

        AUC = P(score of a click > score of another) + P(the two are equal) / 2
        GAUC = sum_u n_u AUC_u / sum_u n_u over the users u with both labels, n_u their impressions

    Exact figures keep a score, a label and a user for each row, some 20 bytes. With `exact=False` they take
    25 MB however many rows there are. The AUC is then computed from the highest 20 bits of each score, and
    `val_auc_error` says by how much it can be off at most. The GAUC is computed from users chosen by a
    hash, with at most a million rows, and `val_gauc_error` is its standard error. The log loss is exact in
    both cases. Weights of examples don't count.

    It must come before the callbacks that look at its figures, such as `keras.callbacks.EarlyStopping`. Its
    attribute `ranking` is what it has measured last, or None.

    Under a `tf.distribute` strategy of several workers each scores its shard of the log, and the figures are
    those of all.

    Args:
        log: the log to score; its users or its schema's group say whose row each is.
        batch_size: how many rows are scored at once.
        exact: False for memory that does not grow with the rows.
        prefix: the beginning of the figures' names.

    Raises:
        InputError: `batch_size` is less than 1; when it runs: the model has several outputs, or a
            score is NaN or not from 0 to 1.

    Example:

        stopping = keras.callbacks.EarlyStopping("val_auc", mode="max", patience=2)
        model.fit(train.batches(256, shuffle_seed=0), epochs=20,
                  callbacks=[tfnorm.training.RankingMetrics(validation), stopping])

    Reference:
        Zhou et al., 2018, https://arxiv.org/abs/1706.06978, section 6.2.
    """

    def __init__(
        self,
        log: Log | Examples,
        *,
        batch_size: int = 1024,
        exact: bool = True,
        prefix: str = "val_",
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}; it must be 1 or more")
        self._log = log
        self._batch_size = batch_size
        self._exact = exact
        self._prefix = prefix
        self._scored: keras.Model | None = None
        self.ranking: Ranking | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.ranking = self.measure(self.model)
        if logs is not None:
            logs.update(self.ranking.logs(self._prefix))

    def measure(self, model: keras.Model) -> Ranking:
        """How well a model ranks the log.

        Args:
            model: it gives one score an example, from 0 to 1.

        Raises:
            InputError: as for the class, or the log has no rows.
        """
        if self._scored is not model:
            # Traced once, not in each epoch; parts of a log differ in the lengths of their lists.
            self._scored, self._score = model, tf.function(_scores(model), reduce_retracing=True)
        kept: Any = _Exact() if self._exact else _Bounded()
        for labels, users, scores in self._scored_parts():
            kept.add(labels, users, scores)
        first, *others = of_all(kept)
        for other in others:
            first.merge(other)
        found: Ranking = first.result()
        return found

    def _scored_parts(self) -> Iterator[tuple[np.ndarray, np.ndarray | None, np.ndarray]]:
        size, log = self._batch_size, self._log
        index, count = place()
        if count > 1:
            log = log.sharded(index, count) if isinstance(log, Log) else log[index::count]
        for part in log.parts():
            for start in range(0, len(part), size):
                batch = part[start : start + size]
                scores = self._score(tf.nest.map_structure(tf.constant, batch.features)).numpy()
                yield batch.labels, batch.users, scores


def _scores(model: keras.Model) -> Callable[[Mapping[str, tf.Tensor]], tf.Tensor]:
    def scores(features: Mapping[str, tf.Tensor]) -> tf.Tensor:
        found = model(features, training=False)
        outputs = tf.nest.flatten(found)
        if len(outputs) != 1:
            raise InputError(
                f"the model has {len(outputs)} outputs; accepted: one, the probability of a click"
            )
        return tf.reshape(tf.cast(outputs[0], tf.float32), [-1])

    return scores


class _Exact:
    """Every score that was added."""

    def __init__(self) -> None:
        self._labels: list[np.ndarray] = []
        self._users: list[np.ndarray] = []
        self._scores: list[np.ndarray] = []

    def add(self, labels: np.ndarray, users: np.ndarray | None, scores: np.ndarray) -> None:
        self._labels.append(labels > 0.5)
        self._scores.append(scores)
        if users is not None:
            self._users.append(users)

    def merge(self, other: _Exact) -> None:
        for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True):
            mine += theirs

    def result(self) -> Ranking:
        if not self._labels:
            raise InputError("the log has no rows; accepted: one or more")
        labels, scores = np.concatenate(self._labels), np.concatenate(self._scores)
        users = np.concatenate(self._users) if self._users else None
        both = 0 < labels.sum() < len(labels)
        return Ranking(
            auc(labels, scores) if both else None,
            0.0,
            gauc(labels, scores, users) if users is not None and has_gauc(labels, users) else None,
            0.0,
            log_loss(labels, scores),
            len(labels),
            int(labels.sum()),
        )


class _Bounded:
    """Counts of rounded scores, and the rows of some users."""

    def __init__(self) -> None:
        self._counts = np.zeros((2, _BINS), np.int64)
        self._losses = 0.0
        self._rows = 0
        self._share = 1.0
        self._kept: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
        self._held = 0

    def add(self, labels: np.ndarray, users: np.ndarray | None, scores: np.ndarray) -> None:
        positive = labels > 0.5
        self._losses += log_loss(positive, scores) * len(scores)
        self._rows += len(scores)
        # From 0 to 1, the bits of floats are in the order of the floats.
        bins = scores.astype(np.float32).view(np.uint32) >> 12
        for label in (0, 1):
            self._counts[label] += np.bincount(bins[positive == label], minlength=_BINS)
        if users is None:
            return
        self._keep((shares(users), positive, scores, users))

    def merge(self, other: _Bounded) -> None:
        self._counts += other._counts
        self._losses += other._losses
        self._rows += other._rows
        self._share = min(self._share, other._share)
        kept, self._kept, self._held = [*self._kept, *other._kept], [], 0
        for rows in kept:
            self._keep(rows)

    def _keep(self, rows: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]) -> None:
        chosen = rows[0] < self._share
        self._kept.append((rows[0][chosen], rows[1][chosen], rows[2][chosen], rows[3][chosen]))
        self._held += int(chosen.sum())
        while self._held > _MOST:
            self._share /= 2
            whole = tuple(np.concatenate(parts) for parts in zip(*self._kept, strict=True))
            left = whole[0] < self._share
            self._kept = [(whole[0][left], whole[1][left], whole[2][left], whole[3][left])]
            self._held = int(left.sum())

    def result(self) -> Ranking:
        if not self._rows:
            raise InputError("the log has no rows; accepted: one or more")
        negatives, positives = self._counts.astype(np.float64)
        pairs = positives.sum() * negatives.sum()
        below = np.cumsum(negatives) - negatives
        ties = float((positives * negatives).sum())
        found = None
        if pairs:
            found = float(((positives * below).sum() + ties / 2) / pairs)
        by_user, error = self._by_user()
        return Ranking(
            found,
            ties / 2 / pairs if pairs else 0.0,
            by_user,
            error,
            self._losses / self._rows,
            self._rows,
            int(positives.sum()),
        )

    def _by_user(self) -> tuple[float | None, float]:
        if not self._kept:
            return None, 0.0
        _, labels, scores, users = (
            np.concatenate(parts) for parts in zip(*self._kept, strict=True)
        )
        if not len(labels) or not has_gauc(labels, users):
            return None, 0.0
        aucs, impressions = user_aucs(labels, scores, users)
        found = float(np.average(aucs, weights=impressions))
        if self._share == 1:
            return found, 0.0
        apart = np.sqrt(np.sum(np.square(impressions * (aucs - found)))) / impressions.sum()
        return found, float(apart * np.sqrt(1 - self._share))
