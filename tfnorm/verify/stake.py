"""What moved scores mean for a ranking: pairs that change order, and AUC by batch size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tfnorm.errors import InputError
from tfnorm.metrics import auc
from tfnorm.verify.compositions.plan import Composition
from tfnorm.verify.judgement.judge import Compared
from tfnorm.verify.judgement.reference import Reference
from tfnorm.verify.results import DEPENDENCE, CompositionResult, Stake

RANKED = 2048
"""Examples that are ranked against each other; of more, as many evenly spread."""


def pairs_changed(before: np.ndarray, after: np.ndarray) -> float:
    """The share of pairs of examples that are in another order after; a tie is an order too."""
    count = len(before)
    chosen = np.unique(np.linspace(0, count - 1, min(count, RANKED)).astype(int))
    before, after = before[chosen], after[chosen]
    changed = sum(
        int(
            np.count_nonzero(
                np.sign(before[i + 1 :] - before[i]) != np.sign(after[i + 1 :] - after[i])
            )
        )
        for i in range(len(chosen) - 1)
    )
    return changed / (len(chosen) * (len(chosen) - 1) / 2)


def at_stake(
    references: Mapping[str, Reference],
    compared: Sequence[Compared],
    results: Sequence[CompositionResult],
    labels: np.ndarray | None,
) -> Stake | None:
    """What the moves mean of the first output that ranks; None where they are only rounding.

    Args:
        references: output name -> the examples one at a time.
        compared: each composition.
        results: the verdicts on them.
        labels: 1 or 0 for each example; None where they aren't known.
    """
    for name, reference in references.items():
        if reference.ranks and any(r.outputs[name].verdict == DEPENDENCE for r in results):
            moved = [
                (one.composition, scores)
                for one in compared
                if one.composition.kind != "parity"
                and (scores := one.comparisons[name].scores) is not None
            ]
            return stake(name, reference.values.reshape(-1).astype(np.float64), moved, labels)
    return None


def stake(
    output: str,
    alone: np.ndarray,
    moved: Sequence[tuple[Composition, np.ndarray]],
    labels: np.ndarray | None,
) -> Stake:
    """What the moves of an output mean.

    Args:
        output: its name.
        alone: the scores of the examples one at a time.
        moved: each composition and the examples' scores in it.
        labels: 1 or 0 for each example; None where they aren't known.
    """
    worst, name, size = 0.0, None, None
    for composition, scores in moved:
        share = pairs_changed(alone, scores)
        if share > worst:
            worst, name, size = share, composition.name, composition.batch_size
    by_size: Mapping[int, np.ndarray] = {
        1: alone,
        **{
            composition.batch_size: scores
            for composition, scores in moved
            if composition.kind == "size" and composition.rows >= len(alone)
        },
    }
    known = {}
    if labels is not None:
        known = {size: _auc(labels, scores) for size, scores in sorted(by_size.items())}
    return Stake(output, name, size, worst, {k: v for k, v in known.items() if v is not None})


def _auc(labels: np.ndarray, scores: np.ndarray) -> float | None:
    return None if np.isnan(scores).any() else auc(labels, scores)


def checked_labels(labels: np.ndarray, count: int) -> np.ndarray:
    """The labels as `[examples]`.

    Raises:
        InputError: they are not one for each example, or all the same.
    """
    labels = np.asarray(labels)
    if labels.size != count or labels.dtype.kind not in "biuf":
        raise InputError(
            f"labels have dtype {labels.dtype} and shape {list(labels.shape)}; "
            f"accepted: one number for each of {count:,} examples"
        )
    labels = labels.reshape(count)
    if not ((labels > 0.5).any() and (labels <= 0.5).any()):
        raise InputError("labels are all the same; accepted: some above 0.5, some not")
    return labels
