"""Which elements of a tensor belong to the watched rows."""

import numpy as np
import pytest

from tfnorm.verify.culprit.rounding import Rounding
from tfnorm.verify.culprit.rows import Alignment

EXACT = Rounding(units=0)


def _moved(alignment, fold, seeds=(1, 2), rows=3, neighbours=4):
    """Whether rows that are the same in two batches are seen as moved, after `fold`."""
    watched = np.random.default_rng(0).normal(size=(rows, 5, 2))
    batches = []
    for seed, last in zip(seeds, alignment.last, strict=True):
        others = np.random.default_rng(seed).normal(size=(neighbours, 5, 2))
        batches.append(fold(np.concatenate([others, watched] if last else [watched, others])))
    views = alignment.views(fold(watched).shape, *batches)
    return all(EXACT.differ(*view) for view in views)


FOLDS = {
    "rows first": lambda a: a,
    "time first": lambda a: a.transpose(1, 0, 2),
    "rows and time folded": lambda a: a.reshape(-1, 2),
    "time and rows folded": lambda a: a.transpose(1, 0, 2).reshape(-1, 2),
    "rows between others": lambda a: a.transpose(1, 0, 2).reshape(-1),
}


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("fold", FOLDS.values(), ids=FOLDS)
def test_rows_are_found_wherever_the_batch_axis_is(fold, last):
    assert not _moved(Alignment(3, (7, 7), (last, last)), fold)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("fold", FOLDS.values(), ids=FOLDS)
def test_rows_mixed_with_their_neighbours_are_seen_to_move(fold, last):
    assert _moved(Alignment(3, (7, 7), (last, last)), lambda a: fold(a - a.mean(axis=0)))


def test_rows_are_followed_from_one_end_to_the_other():
    assert not _moved(Alignment(3, (7, 7), (False, True)), FOLDS["time and rows folded"])


def test_a_statistic_without_rows_is_compared_whole():
    assert _moved(Alignment(3, (7, 7)), lambda a: a.mean(axis=0))
    assert not _moved(Alignment(3, (7, 7)), lambda a: np.ones(3))


def test_pairwise_scores_count_all_columns():
    assert _moved(Alignment(3, (7, 7)), lambda a: a[:, 0] @ a[:, 0].T)


def test_ragged_values_are_compared_as_far_as_the_rows_go():
    first, second = np.array([1, 2, 3, 9, 9]), np.array([1, 2, 3, 8])
    views = list(Alignment(2, (4, 4)).views((3,), first, second))
    assert not EXACT.differ(*views[0])


def test_another_rank_is_another_tensor():
    assert not list(Alignment(2, (4, 4)).views((2,), np.zeros(4), np.zeros((4, 1))))


@pytest.mark.parametrize("heads_inside", [False, True])
def test_rows_on_two_axes_are_cut_on_both_where_they_grow_together(heads_inside):
    def pairs_of(count, filler):
        table = np.full((4, count, count), filler)
        table[:, :3, :3] = np.arange(9).reshape(3, 3)
        return table.transpose(1, 2, 0).reshape(count, -1) if heads_inside else table

    first, second = pairs_of(5, 7.0), pairs_of(9, 8.0)
    alone = pairs_of(3, 0.0).shape

    def moved(together):
        alignment = Alignment(3, (5, 9), together=together)
        return all(EXACT.differ(*view) for view in alignment.views(alone, first, second))

    assert moved(together=False)
    assert not moved(together=True)
    second = second + (second < 1)
    assert moved(together=True)
