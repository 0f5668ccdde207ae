import itertools

import numpy as np
import pytest

from tfnorm.errors import InputError
from tfnorm.metrics import auc
from tfnorm.verify.compositions.plan import Composition
from tfnorm.verify.judgement.judge import compare, judge
from tfnorm.verify.judgement.reference import Reference
from tfnorm.verify.judgement.tolerance import Tolerance
from tfnorm.verify.stake import at_stake, checked_labels, pairs_changed, stake

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


def test_of_many_examples_some_are_ranked():
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
    found = stake("score", BEFORE, moved, LABELS)
    assert (found.output, found.composition, found.batch_size) == ("score", "among zeros", 4)
    assert found.pairs_changed == 0.9
    assert found.auc == {1: auc(LABELS, BEFORE), 2: auc(LABELS, AFTER), 3: auc(LABELS, BEFORE)}
    assert stake("score", BEFORE, moved[2:], None).composition is None
    assert stake("score", BEFORE, moved, None).auc == {}


def test_auc_is_told_of_sizes_that_all_examples_were_scored_in():
    few = Composition("a batch of 4", "size", np.arange(4)[None])
    assert stake("score", BEFORE, [(few, AFTER)], LABELS).auc == {1: auc(LABELS, BEFORE)}


def _at_stake(names, moved, kind="size"):
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
    composition = Composition("all at once", kind, np.arange(5)[None])
    compared = [compare(references, composition, [outputs])]
    return at_stake(references, compared, judge(references, compared), LABELS)


def test_at_stake_is_the_first_output_that_ranks_and_moves():
    found = _at_stake(["score", "pair"], AFTER)
    assert (found.output, found.composition, found.batch_size) == ("score", "all at once", 5)
    assert found.pairs_changed == pairs_changed(BEFORE, AFTER)
    assert found.auc == {1: auc(LABELS, BEFORE), 5: auc(LABELS, AFTER)}


def test_nothing_is_at_stake_where_moves_are_rounding_or_another_models():
    assert _at_stake(["score"], BEFORE + 1e-8) is None
    parity = _at_stake(["score"], AFTER, kind="parity")
    assert parity.composition is None and parity.auc == {1: auc(LABELS, BEFORE)}


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
