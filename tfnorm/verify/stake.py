"""What moved scores mean for a ranking: pairs that change order; and AUC by batch size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tfnorm.errors import InputError
from tfnorm.metrics import auc_or_none
from tfnorm.parity.ranking import Ranking
from tfnorm.verify.compositions.plan import Composition
from tfnorm.verify.judgement.judge import Compared
from tfnorm.verify.judgement.reference import Reference
from tfnorm.verify.results import DEPENDENCE, CompositionResult, Stake

Moved = Sequence[tuple[Composition, np.ndarray]]
"""Compositions, and the examples' scores in each."""


def pairs_changed(before: np.ndarray, after: np.ndarray) -> float:
    """The share of pairs of examples that are in another order; a tie is one too, and NaN is last."""
    ranking = Ranking()
    before, after = (np.where(np.isnan(scores), -np.inf, scores) for scores in (before, after))
    ranking.add(before, after)
    return ranking.pairs_changed / ranking.pairs


def at_stake(
    references: Mapping[str, Reference],
    compared: Sequence[Compared],
    results: Sequence[CompositionResult],
    labels: np.ndarray | None,
) -> Stake | None:
    """What the moves mean of the first output that ranks and moves by more than rounding.

    Where none does, it is the AUC of the first that ranks; None without labels.

    Args:
        references: output name -> the examples one at a time.
        compared: each composition.
        results: the verdicts on them.
        labels: 1 or 0 for each example; None where they aren't known.
    """
    ranked = [name for name, reference in references.items() if reference.ranks]
    moving = [
        name for name in ranked if any(r.outputs[name].verdict == DEPENDENCE for r in results)
    ]
    if not moving and (labels is None or not ranked):
        return None
    name = (moving or ranked)[0]
    alone = references[name].values.reshape(-1).astype(np.float64)
    moved = [
        (one.composition, scores)
        for one in compared
        if (scores := one.comparisons[name].scores) is not None
    ]
    found = Stake(name, None, None, 0.0, auc_by_size(alone, moved, labels))
    return most_changed(found, alone, moved) if moving else found


def most_changed(stake: Stake, alone: np.ndarray, moved: Moved) -> Stake:
    """It with the composition in which most pairs change order.

    Args:
        stake: what is at stake besides.
        alone: the scores of the examples one at a time.
        moved: their scores in each composition.
    """
    for composition, scores in moved:
        share = pairs_changed(alone, scores)
        if share > stake.pairs_changed:
            name, size = composition.name, composition.batch_size
            stake = replace(stake, composition=name, batch_size=size, pairs_changed=share)
    return stake


def auc_by_size(alone: np.ndarray, moved: Moved, labels: np.ndarray | None) -> dict[int, float]:
    """Batch size -> AUC of the examples scored in batches of that size; empty without labels.

    Args:
        alone: the scores of the examples one at a time.
        moved: their scores in each composition.
        labels: 1 or 0 for each example; None where they aren't known.
    """
    by_size = {
        1: alone,
        **{
            composition.batch_size: scores
            for composition, scores in moved
            if composition.kind == "size" and composition.rows >= len(alone)
        },
    }
    found = {size: auc_or_none(labels, scores) for size, scores in sorted(by_size.items())}
    return {size: value for size, value in found.items() if value is not None}


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
