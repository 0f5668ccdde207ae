import itertools

import numpy as np
import pytest

from tfnorm.errors import InputError
from tfnorm.metrics import auc
from tfnorm.verify.compositions.plan import Composition
from tfnorm.verify.judgement.judge import compare, judge
from tfnorm.verify.judgement.reference import Reference
from tfnorm.verify.judgement.tolerance import Tolerance
from tfnorm.verify.results import Stake
from tfnorm.verify.stake import at_stake, auc_by_size, checked_labels, most_changed, pairs_changed

BEFORE = np.array([0.1, 0.2, 0.2, 0.4, 0.3])
AFTER = np.array([0.3, 0.2, 0.1, 0.5, 0.5])
LABELS = np.array([0, 1, 0, 1, 1])


def test_pairs_that_change_order_are_counted_one_by_one():
    def order(scores, i, j):
        return np.sign(scores[i] - scores[j])

    pairs = list(itertools.combinations(range(5), 2))
    changed = sum(order(BEFORE, *pair) != order(AFTER, *pair) for pair in pairs)
    assert pairs_changed(BEFORE, AFTER) == changed / len(pairs) > 0
    assert pairs_changed(BEFORE, BEFORE * 2) == 0
    assert pairs_changed(BEFORE, -BEFORE) == 0.9


def test_many_examples_are_all_ranked():
    scores = np.random.default_rng(0).normal(size=20_000)
    assert pairs_changed(scores, -scores) == 1
    assert pairs_changed(scores, np.random.default_rng(1).permutation(scores)) == pytest.approx(
        0.5, abs=0.02
    )


def _composition(name, size, kind="size"):
    return Composition(name, kind, np.resize(np.arange(5), (-(-5 // size), size)))


def test_the_composition_that_changes_most_pairs_is_told_and_auc_by_size():
    moved = [
        (_composition("batches of 2", 2), AFTER),
        (_composition("among zeros", 4, "neighbours"), -BEFORE),
        (_composition("batches of 3", 3), BEFORE),
    ]
    nothing = Stake("score", None, None, 0.0, {})
    assert most_changed(nothing, BEFORE, moved) == Stake("score", "among zeros", 4, 0.9, {})
    assert most_changed(nothing, BEFORE, moved[2:]) == nothing
    found = auc_by_size(BEFORE, moved, LABELS)
    assert found == {1: auc(LABELS, BEFORE), 2: auc(LABELS, AFTER), 3: auc(LABELS, BEFORE)}
    assert auc_by_size(BEFORE, moved, None) == {}
    # Of few examples, all may have the same label.
    assert auc_by_size(BEFORE, moved, np.ones(5)) == {}


def test_a_score_that_becomes_nan_comes_last():
    assert pairs_changed(BEFORE, np.where(BEFORE == 0.4, np.nan, BEFORE)) == 0.4
    assert pairs_changed(BEFORE * np.nan, BEFORE * np.nan) == 0


def test_auc_is_told_of_sizes_that_all_examples_were_scored_in():
    few = Composition("a batch of 4", "size", np.arange(4)[None])
    assert auc_by_size(BEFORE, [(few, AFTER)], LABELS) == {1: auc(LABELS, BEFORE)}


def _at_stake(names, moved, labels=LABELS):
    """What is at stake of outputs that are all `BEFORE` alone and, in a batch of 5, `moved`."""
    tolerance = Tolerance(precision="float32")
    references = {
        name: Reference([values[i : i + 1] for i in range(5)], tolerance)
        for name, values in zip(names, (BEFORE, BEFORE[:, None] * [1, 1]), strict=False)
    }
    outputs = {
        name: moved if reference.values.ndim == 1 else moved[:, None] * [1, 1]
        for name, reference in references.items()
    }
    composition = Composition("all at once", "size", np.arange(5)[None])
    compared = [compare(references, composition, [outputs])]
    return at_stake(references, compared, judge(references, compared), labels)


def test_at_stake_is_the_first_output_that_ranks_and_moves():
    found = _at_stake(["score", "pair"], AFTER)
    assert (found.output, found.composition, found.batch_size) == ("score", "all at once", 5)
    assert found.pairs_changed == pairs_changed(BEFORE, AFTER)
    assert found.auc == {1: auc(LABELS, BEFORE), 5: auc(LABELS, AFTER)}


def test_where_moves_are_rounding_labels_tell_the_auc_by_size_and_else_nothing():
    found = _at_stake(["score", "pair"], BEFORE + 1e-8)
    assert (found.output, found.composition, found.pairs_changed) == ("score", None, 0.0)
    assert found.auc == {1: auc(LABELS, BEFORE), 5: auc(LABELS, BEFORE + 1e-8)}
    assert _at_stake(["score"], BEFORE + 1e-8, labels=None) is None


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.ones(5), "all the same"),
        (np.array([0, 1]), r"shape \[2\]; accepted: one number for each of 5"),
        (np.array(list("aabbb")), "dtype <U1"),
    ],
)
def test_labels_that_make_no_sense_are_refused(labels, message):
    with pytest.raises(InputError, match=message):
        checked_labels(labels, 5)
