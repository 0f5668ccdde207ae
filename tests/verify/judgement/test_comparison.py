import math
import re

import numpy as np
import pytest

from tfnorm.verify.judgement.comparison import Comparison
from tfnorm.verify.judgement.reference import Reference
from tfnorm.verify.judgement.tolerance import Tolerance

DEFAULT = Tolerance(precision="float32")


def _move(alone, together, tolerance=DEFAULT, moved_by_neighbours=True):
    reference = Reference([row[None] for row in np.asarray(alone)], tolerance)
    comparison = Comparison(reference)
    comparison.add(np.asarray(together), np.arange(len(alone)))
    return comparison.move(moved_by_neighbours)


def test_a_difference_passes_up_to_atol_plus_rtol_of_the_reference():
    alone = np.array([0.5, 0.5, 0.5])
    bound = 1e-6 + 1e-5 * 0.5
    assert _move(alone, alone + np.array([0, 0.99 * bound, 0])).passed
    move = _move(alone, alone + np.array([0, 1.01 * bound, 0]))
    assert not move.passed
    assert move.rows_changed == 1
    assert move.max_abs_diff == pytest.approx(1.01 * bound)


def test_a_logit_near_zero_among_large_ones_may_round_as_they_do():
    alone = np.array([0.0, 900.0, -1100.0, 1000.0])
    assert _move(alone, alone + np.array([9e-4, 0, 0, 0])).passed
    assert not _move(alone, alone + np.array([2e-3, 0, 0, 0])).passed


def test_one_huge_score_does_not_loosen_the_tolerance_of_the_others():
    alone = np.array([0.5, 0.6, 0.4, 1e9])
    assert not _move(alone, alone + np.array([1e-3, 0, 0, 0])).passed


def test_a_column_of_large_numbers_does_not_loosen_the_tolerance_of_another():
    alone = np.array([[0.5, 1e6], [0.6, 2e6], [0.4, 3e6]])
    together = alone.copy()
    together[0, 0] += 1e-3
    assert not _move(alone, together).passed


def _in_float16(together, control=None, precision="float16", same_shapes=None):
    """The verdict on scores from 0.5 to 0.7 of 40 examples, of a model that computes in 16 bits."""
    reference = Reference([row[None] for row in SCORES], Tolerance(precision=precision))
    comparison = Comparison(reference, control is not None, same_shapes)
    comparison.add(together, np.arange(len(SCORES)), control)
    return comparison


SCORES = np.linspace(0.5, 0.7, 40, dtype=np.float32)
EPSILON = 2.0**-10
RANDOM = np.random.default_rng(0).choice([-1, 1], 40).astype(np.float32)


@pytest.mark.parametrize("precision", ["float16", None])
def test_16_bits_may_round_at_another_shape_as_long_as_neighbours_move_nothing(precision):
    rounded = SCORES + 8 * EPSILON * SCORES * RANDOM
    comparison = _in_float16(rounded, precision=precision)
    assert comparison.verdict(moved_by_neighbours=False) == "rounding"
    assert comparison.verdict(moved_by_neighbours=True) == "dependence"
    further = _in_float16(SCORES + 64 * EPSILON * SCORES * RANDOM, precision=precision)
    assert further.verdict(moved_by_neighbours=False) == "dependence"
    assert _in_float16(rounded, precision="float32").verdict(False) == "dependence"


def test_32_bits_may_round_beyond_the_tolerance_as_long_as_neighbours_move_nothing():
    def verdict(epsilons, **options):
        together = SCORES + np.float32(epsilons * 2.0**-23) * SCORES * RANDOM
        tolerance = Tolerance(precision="float32", **options.pop("tolerances", {}))
        return _move(SCORES, together, tolerance, **options).verdict

    assert verdict(200, moved_by_neighbours=False) == "rounding"
    assert verdict(200, moved_by_neighbours=True) == "dependence"
    assert verdict(400, moved_by_neighbours=False) == "dependence"
    tight = {"atol": 1e-7, "rtol": 1e-6}
    assert verdict(200, moved_by_neighbours=False, tolerances=tight) == "dependence"
    assert verdict(4, moved_by_neighbours=False, tolerances=tight) == "rounding"


def test_16_bits_that_all_move_the_same_way_do_not_round():
    assert _in_float16(SCORES + 8 * EPSILON * SCORES).verdict(False) == "dependence"
    assert _in_float16(SCORES - 8 * EPSILON * SCORES).verdict(False) == "dependence"
    assert _in_float16(SCORES + 2 * EPSILON * SCORES).verdict(False) == "rounding"


def test_values_that_all_move_outwards_do_not_round():
    alone = RANDOM * np.linspace(1.0, 1.01, 40, dtype=np.float32)
    for factor, verdict in ((1 + 2e-6, "dependence"), (1 + 2e-7, "rounding")):
        assert _move(alone, alone * np.float32(factor)).verdict == verdict
    assert _move(alone, alone + np.float32(2e-6) * RANDOM[::-1]).verdict == "rounding"


@pytest.mark.parametrize("moved", [2, 15, 16])
def test_fewer_than_16_values_that_move_the_same_way_may_be_chance(moved):
    scores = SCORES[:moved]
    reference = Reference([row[None] for row in scores], Tolerance(precision="float16"))
    comparison = Comparison(reference)
    comparison.add(scores + 8 * EPSILON * scores, np.arange(moved))
    assert comparison.verdict(False) == ("rounding" if moved < 16 else "dependence")


@pytest.mark.parametrize(("moved", "verdict"), [(19, "rounding"), (20, "dependence")])
def test_the_same_way_means_most_values_and_not_those_that_moved_alone(moved, verdict):
    steps = np.zeros(40, np.float32)
    steps[:moved] = 8 * EPSILON
    assert _in_float16(SCORES + steps * SCORES).verdict(False) == verdict


@pytest.mark.parametrize(("others", "verdict"), [(2, "dependence"), (3, "rounding")])
def test_one_in_twenty_may_move_the_other_way(others, verdict):
    steps = np.full(40, 8 * EPSILON, np.float32)
    steps[:others] *= -1
    assert _in_float16(SCORES + steps * SCORES).verdict(False) == verdict


def test_at_equal_batch_sizes_four_epsilons_tell_rounding_from_a_dependence():
    ulp = np.float32(2.0**-23)
    for epsilons, verdict in ((0, "same"), (3, "rounding"), (6, "dependence")):
        together = SCORES.copy()
        together[0] += np.float32(epsilons) * ulp * np.float32(0.6)
        control = SCORES + np.float32(0.01)
        comparison = _in_float16(together + np.float32(0.01), control, "float32", True)
        assert comparison.verdict(False) == verdict
        assert comparison.dependent == (verdict == "dependence")


@pytest.mark.parametrize(
    ("same_shapes", "epsilons", "verdict"),
    [
        (True, 1, "dependence"),
        (None, 1, "rounding"),
        (None, 6, "dependence"),
        (False, 6, "rounding"),
        (False, 40, "dependence"),
    ],
)
def test_where_shapes_may_differ_a_value_rounds_as_the_model_computes(
    same_shapes, epsilons, verdict
):
    moved = SCORES + epsilons * EPSILON * SCORES * RANDOM
    assert _in_float16(moved, SCORES, same_shapes=same_shapes).verdict(False) == verdict


def test_doubtful_are_the_batches_that_hang_on_shapes_the_worst_first():
    reference = Reference([row[None] for row in SCORES], DEFAULT)
    comparison = Comparison(reference, controlled=True)
    for epsilons in (0, 3, 20, 200, 400):
        moved = SCORES + np.float32(epsilons * 2.0**-23) * SCORES * RANDOM
        comparison.add(moved, np.arange(40), SCORES)
    assert comparison.doubtful == [3, 2]
    comparison.same_shapes = True
    assert comparison.doubtful == []
    alone = Comparison(reference)
    alone.add(SCORES * np.float32(1 + 1e-5), np.arange(40))
    assert alone.doubtful == []


def test_examples_that_are_alike_have_one_vote():
    repeated = np.resize(SCORES[:15], 200)
    for distinct, verdict in ((15, "rounding"), (16, "dependence")):
        repeated = np.resize(SCORES[:distinct], 200)
        assert _move(repeated, repeated * np.float32(1 + 2e-6)).verdict == verdict


def test_examples_that_share_an_input_have_one_vote():
    def verdict(*labels):
        reference = Reference([row[None] for row in SCORES], DEFAULT, labels)
        comparison = Comparison(reference)
        comparison.add(SCORES * np.float32(1 + 2e-6), np.arange(40))
        return comparison.verdict(False)

    items, users = np.arange(40), np.arange(40) // 4
    assert verdict(items) == verdict() == "dependence"
    assert verdict(items, users) == verdict(users) == "rounding"


def test_many_values_of_one_example_have_one_vote():
    values = np.outer(np.linspace(1, 2, 16, dtype=np.float32), np.linspace(1, 3, 64)).astype("f")
    assert _move(values, values * np.float32(1 + 2e-6)).verdict == "dependence"
    assert _move(values[:15], values[:15] * np.float32(1 + 2e-6)).verdict == "rounding"


def test_an_example_whose_values_move_both_ways_votes_for_neither():
    values = np.outer(np.linspace(1, 2, 40, dtype=np.float32), np.ones(2)).astype("f")
    steps = np.float32(1 + 2e-6 * np.resize([1, -1], (40, 2)))
    assert _move(values, values * steps).verdict == "rounding"


def test_a_drift_of_unknown_precision_is_unclear_up_to_what_16_bits_round():
    def drifted(epsilons, precision=None):
        comparison = _in_float16(SCORES * (1 + epsilons * EPSILON), precision=precision)
        return comparison.unclear, comparison.verdict(False)

    assert drifted(2) == (True, "rounding")
    assert drifted(6) == (False, "dependence")
    assert drifted(2.0**-12) == (False, "rounding")
    assert drifted(2, "float32") == (False, "dependence")
    assert drifted(2, "float16") == (False, "rounding")


def test_a_wider_tolerance_widens_all_bounds_alike():
    def verdict(**tolerances):
        reference = Reference([row[None] for row in SCORES], Tolerance(**tolerances))
        comparison = Comparison(reference, controlled=True)
        comparison.add(SCORES + np.float32(1e-4), np.arange(40), SCORES)
        return comparison.verdict(False)

    assert verdict() == "dependence"
    assert verdict(atol=1e-3) == verdict(rtol=1e-2) == "rounding"


def test_bitwise_lets_nothing_move():
    alone = np.array([0.5, 0.6], np.float32)
    bitwise = Tolerance(bitwise=True, precision="float32")
    moved = np.nextafter(alone, np.float32(1))
    assert _move(alone, moved).passed
    assert not _move(alone, moved, bitwise).passed
    assert _move(alone, alone, bitwise).passed
    assert not _move(np.float32([0.0, 1.0]), np.float32([-0.0, 1.0]), bitwise).passed


def test_a_score_that_becomes_nan_fails_and_one_that_stays_nan_passes():
    assert _move([np.nan, 1.0], [np.nan, 1.0]).passed
    move = _move([0.5, 1.0], [np.nan, 1.0])
    assert not move.passed
    assert move.max_abs_diff == math.inf
    assert move.max_ulp is None


def test_scores_that_are_all_nan_or_infinite_are_compared():
    alone = np.array([np.nan, np.inf, -np.inf], np.float32)
    assert _move(alone, alone) == _move(np.float32([1, 2, 3]), np.float32([1, 2, 3]))
    assert not _move(alone, alone[::-1]).passed


def test_integers_may_not_move_at_all():
    move = _move(np.array([1, 10**6]), np.array([1, 10**6 + 1]))
    assert not move.passed
    assert move.max_abs_diff == 1
    assert move.max_ulp is None


def test_rows_of_neighbours_are_not_compared():
    reference = Reference([np.array([1.0]), np.array([2.0])], DEFAULT)
    comparison = Comparison(reference)
    comparison.add(np.array([9.0, 2.0, 1.0]), np.array([2, 1, 0]))
    assert comparison.move().passed
    comparison.add(np.array([9.0, 2.5, 1.0]), np.array([2, 1, 0]))
    assert comparison.move().rows_changed == 1


def test_an_example_that_moves_in_two_batches_counts_once():
    comparison = Comparison(Reference([np.array([1.0]), np.array([2.0])], DEFAULT))
    comparison.add(np.array([1.5, 2.0]), np.array([0, 1]))
    comparison.add(np.array([1.25, 2.0]), np.array([0, 1]))
    move = comparison.move()
    assert move.rows_changed == 1
    assert move.max_abs_diff == 0.5


@pytest.mark.parametrize(
    ("together", "reason"),
    [
        (np.array(1.0), r"shape \[\] for 2"),
        (np.zeros(3), r"shape \[3\] for 2"),
        (np.zeros((2, 4)), r"\[4\] in a batch of 2 and \[\] alone"),
        (None, "missing"),
    ],
)
def test_an_output_without_a_row_for_each_example_is_a_problem(together, reason):
    comparison = Comparison(Reference([np.array([1.0]), np.array([2.0])], DEFAULT))
    comparison.add(together, np.arange(2))
    move = comparison.move()
    assert not move.passed
    assert move.rows_changed == 2
    assert re.search(reason, move.problem)
