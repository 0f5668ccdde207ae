import math

import numpy as np
import pytest

from tfnorm.verify.compositions.plan import ALONE, Composition, one_at_a_time
from tfnorm.verify.judgement.judge import compare, judge, over_all, refused_alone
from tfnorm.verify.judgement.reference import Reference
from tfnorm.verify.judgement.tolerance import Tolerance
from tfnorm.verify.results import Move

SCORES = np.linspace(0.5, 0.7, 40, dtype=np.float32)
SIGNS = np.random.default_rng(0).choice([-1, 1], 40).astype(np.float32)
EPSILON = np.float32(2.0**-23)
ALL = np.arange(40)[None]


def _references(*names, precision="float32"):
    reference = Reference([row[None] for row in SCORES], Tolerance(precision=precision))
    return dict.fromkeys(names or ("score",), reference)


def _batches(size):
    return np.resize(np.arange(40), (-(-40 // size), size))


def _scored(composition, values):
    return [{"score": values[np.asarray(batch) % 40]} for batch in composition.batches]


def test_each_batch_is_compared_with_the_examples_in_it():
    composition = Composition(
        "shuffled", "order", np.random.default_rng(1).permutation(ALL[0])[None]
    )
    compared = compare(_references(), composition, _scored(composition, SCORES))
    (result,) = judge(["score"], [compared])
    assert (result.name, result.kind, result.against) == ("shuffled", "order", ALONE)
    assert (result.verdict, result.rows_changed, result.passed) == ("same", 0, True)
    other = compare(_references(), composition, [{"score": SCORES}])
    assert judge(["score"], [other])[0].verdict == "dependence"


def test_a_control_is_compared_with_batch_by_batch():
    control = Composition("among other examples", "neighbours", _batches(8))
    among = Composition("among zeros", "neighbours", _batches(8), control)
    shifted = SCORES + np.float32(0.1)
    compared = compare(_references(), among, _scored(among, shifted), _scored(control, shifted))
    (result,) = judge(["score"], [compared])
    assert (result.verdict, result.against) == ("same", "among other examples")


def _over_the_tolerance():
    """Moved by 200 epsilons up or down: more than atol and rtol, less than the most at that size."""
    composition = Composition("batches of 8", "size", _batches(8))
    moved = SCORES + 200 * EPSILON * SCORES * SIGNS
    return compare(_references(), composition, _scored(composition, moved))


def test_a_move_beyond_the_tolerance_is_rounding_unless_neighbours_move_the_output():
    control = Composition("among other examples", "neighbours", _batches(8))
    among = Composition("among zeros", "neighbours", _batches(8), control)

    def verdict(step):
        neighbours = compare(
            _references(), among, _scored(among, SCORES + step), _scored(control, SCORES)
        )
        return [result.verdict for result in judge(["score"], [_over_the_tolerance(), neighbours])]

    assert verdict(np.float32(0)) == ["rounding", "same"]
    assert verdict(np.float32(1e-3)) == ["dependence", "dependence"]


SIZES = [8, 32, 64, 100, 128, 256, 512]


def _growing(size, kind="size", epsilons=0.2, precision="float32"):
    """Moved up or down by so many epsilons a row of the batch."""
    composition = Composition(f"batches of {size}", kind, np.resize(ALL, (2, size)))
    own = {"float32": EPSILON, "float16": np.float32(2.0**-10)}[precision]
    moved = SCORES + np.float32(epsilons * size) * own * SCORES * SIGNS
    return compare(_references(precision=precision), composition, _scored(composition, moved))


def test_a_move_that_grows_with_the_size_is_a_dependence_from_64_rows_on():
    results = judge(["score"], [_growing(size) for size in SIZES])
    assert [r.verdict for r in results] == ["rounding"] * 2 + ["dependence"] * 5


def test_one_size_alone_does_not_grow():
    assert [r.verdict for r in judge(["score"], [_growing(512)])] == ["rounding"]


def test_growth_is_looked_for_among_the_sizes_and_not_in_what_else_is_tried():
    others = [_growing(size, "order") for size in SIZES[:-1]]
    assert {r.verdict for r in judge(["score"], [*others, _growing(512)])} == {"rounding"}


def test_growth_below_four_epsilons_is_rounding():
    results = judge(["score"], [_growing(s, epsilons=0.006, precision="float16") for s in SIZES])
    assert {r.verdict for r in results} == {"rounding"}
    results = judge(["score"], [_growing(s, epsilons=0.02, precision="float16") for s in SIZES])
    assert [r.verdict for r in results] == ["rounding"] * 5 + ["dependence"] * 2


def test_a_dependence_of_another_model_is_a_difference():
    parity = Composition("against other.keras", "parity", one_at_a_time(40).batches)
    compared = compare(_references(), parity, _scored(parity, SCORES + np.float32(0.1)))
    (result,) = judge(["score"], [compared])
    assert (result.verdict, result.passed, result.rows_changed) == ("difference", False, 40)


def test_of_several_outputs_the_worst_counts_and_an_example_once():
    composition = Composition("batches of 40", "size", ALL)
    moved = SCORES.copy()
    moved[[3, 5]] += np.float32(0.25)
    slightly = SCORES.copy()
    slightly[[5, 6]] += EPSILON
    outputs = [{"a": SCORES, "b": moved, "c": slightly}]
    compared = compare(_references("a", "b", "c"), composition, outputs)
    (result,) = judge("abc", [compared])
    assert [result.outputs[name].verdict for name in "abc"] == ["same", "dependence", "rounding"]
    assert (result.verdict, result.passed) == ("dependence", False)
    assert result.rows_changed == 3
    assert result.max_abs_diff == pytest.approx(0.25)
    assert result.max_ulp == max(result.outputs[name].max_ulp for name in "abc") > 1


def test_neighbours_of_one_output_do_not_accuse_another():
    control = Composition("among other examples", "neighbours", _batches(8))
    among = Composition("among zeros", "neighbours", _batches(8), control)
    size = Composition("batches of 8", "size", _batches(8))
    over = SCORES + 200 * EPSILON * SCORES * SIGNS
    outputs = {"a": SCORES, "b": SCORES + np.float32(0.1)}

    def scored(composition, a, b):
        return [{"a": a[batch], "b": b[batch]} for batch in composition.batches]

    references = _references("a", "b")
    results = judge(
        "ab",
        [
            compare(references, size, scored(size, over, over)),
            compare(
                references,
                among,
                scored(among, outputs["a"], outputs["b"]),
                scored(control, SCORES, SCORES),
            ),
        ],
    )
    assert results[0].outputs["a"].verdict == "rounding"
    assert results[0].outputs["b"].verdict == "dependence"


def test_an_output_that_is_missing_fails_by_name():
    composition = Composition("batches of 40", "size", ALL)
    (result,) = judge(["score"], [compare(_references(), composition, [{}])])
    assert result.outputs["score"].problem == "it is missing"
    assert (result.passed, result.rows_changed) == (False, 40)


def test_an_example_refused_alone_is_a_dependence_on_its_company():
    result = refused_alone(["a", "b"], 12, 3, "three or more")
    assert (result.name, result.batch_size, result.against) == (ALONE, 1, "a batch of 3")
    assert (result.verdict, result.passed, result.rows_changed) == ("dependence", False, 12)
    assert result.max_abs_diff == math.inf
    assert {move.problem for move in result.outputs.values()} == {
        "the model takes an example in a batch of 3, but not alone: three or more"
    }


def test_an_output_over_all_compositions_is_its_worst():
    moves = [Move(0.0, 0, 0, "same", True), Move(0.5, 9, 3, "dependence", False)]
    found = over_all("float32", moves)
    assert (found.dtype, found.max_abs_diff, found.max_ulp, found.passed) == (
        "float32",
        0.5,
        9,
        False,
    )
    assert over_all("float32", moves[:1]).passed
    unknown = [*moves, Move(math.inf, None, 1, "dependence", False)]
    assert over_all("float32", unknown).max_ulp is None
