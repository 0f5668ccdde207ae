import numpy as np
import pytest

from tfnorm.errors import InputError
from tfnorm.replay.comparison.bounds import Bounds
from tfnorm.replay.comparison.compare import Answered, compare, compare_all
from tfnorm.replay.comparison.outputs import Pair, paired
from tfnorm.verify.judgement.tolerance import Tolerance

SCORE = [Pair("score", "score")]


def compared(logged, new, **options):
    bounds = Bounds(Tolerance(**{"precision": "float32"} | options), {"score": [1.0]})
    logged, new = np.asarray(logged), np.asarray(new)
    return compare(SCORE, Answered({"score": logged}, {"score": new}, len(new)), bounds)


def test_names_that_are_the_same_belong_together():
    assert paired({"a": np.zeros(1), "b": np.zeros(1)}, {"b": np.zeros(1), "c": np.zeros(1)}) == [
        Pair("b", "b")
    ]


def test_single_outputs_belong_together_whatever_their_names():
    scores = {"scores": np.zeros((2, 2)), "classes": np.array([[b"0", b"1"]] * 2, object)}
    assert paired({"predictions": np.zeros(2)}, {"score": np.zeros(2)}) == [
        Pair("predictions", "score")
    ]
    assert paired(scores, {"score": np.zeros(2)}) == [Pair("scores", "score")]


def test_several_of_other_names_are_refused():
    with pytest.raises(InputError, match="the log has 'a', 'b' and the model gives 'c'"):
        paired({"a": np.zeros(1), "b": np.zeros(1)}, {"c": np.zeros(1)})


@pytest.mark.parametrize(
    ("logged", "new", "different"),
    [
        ([0.5, 0.5], [0.5, 0.5000001], [False, False]),
        ([0.5, 0.5], [0.5, 0.6], [False, True]),
        ([0.5, np.nan], [0.5, np.nan], [False, False]),
        ([0.5, np.nan], [0.5, 0.5], [False, True]),
        ([np.inf, -np.inf], [np.inf, np.inf], [False, True]),
        ([[0.5, 0.1]], [[0.5, 0.2]], [True]),
        ([[0.5], [0.1]], [0.5, 0.1], [False, False]),
        ([[0.75, 0.25]], [0.25], [False]),
    ],
)
def test_rows_differ_where_a_value_does(logged, new, different):
    found = compared(np.float32(logged), np.float32(new))
    assert found.different.tolist() == different
    assert found.differs == any(different)


@pytest.mark.parametrize(
    ("logged", "new", "different"), [(3, 3, False), (3, 4, True), (2**60, 2**60 + 1, True)]
)
def test_integers_may_not_differ(logged, new, different):
    assert compared(np.int64([logged]), np.int64([new])).differs == different


def test_strings_are_the_same_or_not():
    one, other = (np.array([text], object) for text in (b"a", b"b"))
    assert not compared(one, one).differs and compared(one, other).differs
    assert compared(one, np.float32([1])).problem is not None


def test_more_digits_in_the_log_than_the_model_has_are_no_difference():
    new = np.float32([0.1, 1 / 3])
    assert compared(np.float64([0.1, 1 / 3]), new).difference.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("logged", "problem"),
    [
        (np.zeros((3, 1)), "the answer has the shape [3, 1] for 2 rows"),
        (np.zeros((2, 3)), "3 values"),
    ],
)
def test_an_answer_of_another_shape_is_a_problem(logged, problem):
    found = compared(logged, np.zeros((2, 1)))
    assert problem in found.problem and found.differs and found.different.all()


def test_tolerances_widen_and_tighten_what_may_differ():
    logged, new = np.float32([0.5]), np.float32([0.50001])
    assert not compared(logged, new).differs
    assert compared(logged, new, atol=0, rtol=0).differs
    assert not compared(logged, logged, atol=0, rtol=0).differs
    assert not compared(logged, np.float32([0.6]), atol=0.2).differs


def test_sixteen_bits_round_coarsely_but_not_much():
    logged = np.float32([0.5])
    assert not compared(logged, np.float32([0.501]), precision="float16").differs
    assert compared(logged, np.float32([0.51]), precision="float16").differs


def test_the_worst_value_is_told():
    found = compared(np.float32([[0.1, 0.2], [0.3, 0.4]]), np.float32([[0.1, 0.2], [0.3, 0.9]]))
    assert found.worst == (1, pytest.approx(0.4), pytest.approx(0.9))
    assert found.difference.tolist() == pytest.approx([0, 0.5])


def test_calls_that_are_compared_together_are_what_each_is_by_itself():
    rng = np.random.default_rng(0)
    pairs = [*SCORE, Pair("shares", "classes")]
    bounds = Bounds(Tolerance(precision="float32"), {"score": [0.5], "shares": [0.3, 0.3]})
    calls = []
    for number in range(40):
        count = int(rng.integers(0, 6))
        logged = {"score": rng.random((count, 1)), "shares": rng.random((count, 2))}
        new = {"score": logged["score"][:, 0], "classes": logged["shares"] + 1e-3 * (number % 3)}
        if number % 4 == 1:
            logged["score"] = logged["score"].astype(np.float32)
        if number % 5 == 1:
            del logged["shares"]
        if number % 7 == 1:
            logged["score"] = np.zeros(count + 1)
        calls.append(Answered(logged, new, count))
    together = compare_all(pairs, calls, bounds)
    assert {one.differs for one in together} == {True, False}
    for call, one in zip(calls, together, strict=True):
        alone = compare(pairs, call, bounds)
        for name, value in vars(alone).items():
            np.testing.assert_array_equal(getattr(one, name), value)


def test_the_scale_is_the_median_of_the_logs_beginning():
    head = {"score": [np.float32([[1000.0], [2000.0]]), np.float32([[-3000.0]])]}
    bounds = Bounds.of(Tolerance(precision="float32"), head)
    assert bounds.scales == {"score": [2000.0]}
    # A logit near 0 among logits near 2,000 may round as they do.
    assert bounds.bound("score", np.float32([[0.0]])) == pytest.approx(
        max(2e-3, 256 * 2**-23 * 2000)
    )
    assert Bounds.from_dict(bounds.to_dict()) == bounds
