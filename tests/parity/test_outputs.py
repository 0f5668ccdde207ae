import numpy as np
import pytest

from tfnorm.errors import InputError
from tfnorm.parity.outputs import alike, matched, ranking_column


def outputs(*names):
    return {name: np.zeros(2, np.float32) for name in names}


@pytest.mark.parametrize(
    ("names", "others", "named", "expected"),
    [
        (["a", "b"], ["b", "c"], {}, {"b": "b"}),
        (["dense_2"], ["output_0"], {}, {"dense_2": "output_0"}),
        (["a", "b"], ["c"], {}, {}),
        (["a"], ["c", "d"], {}, {}),
        (["a", "b"], ["c", "b"], {"a": "c"}, {"a": "c", "b": "b"}),
        (["a", "b"], ["b", "a"], {"a": "b"}, {"a": "b"}),
        (["a", "b"], ["b", "a"], {"a": "b", "b": "a"}, {"a": "b", "b": "a"}),
        (["a"], ["c", "d"], {"a": "d"}, {"a": "d"}),
    ],
)
def test_outputs_belong_together_by_what_is_named_by_name_or_as_single_ones(
    names, others, named, expected
):
    found = matched(outputs(*names), outputs(*others), named)
    assert found == expected
    assert list(found.values()) == [name for name in others if name in found.values()]


def test_the_single_output_of_numbers_belongs_to_a_single_one():
    several = {"scores": np.zeros((2, 2)), "classes": np.array([[b"0"]] * 2, object)}
    assert matched(several, outputs("score")) == {"scores": "score"}


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"x": "c"}, "output names 'x', which the model does not give; accepted: 'a', 'b'"),
        ({"a": "x"}, "output names 'x', which the other model does not give; accepted: 'c', 'd'"),
        ({"a": "c", "b": "c"}, "an output of the other model twice"),
    ],
)
def test_what_is_named_must_be_there_and_once(named, message):
    with pytest.raises(InputError, match=message):
        matched(outputs("a", "b"), outputs("c", "d"), named)


def test_a_column_is_as_good_as_a_vector_and_the_coarser_type_counts():
    one, other = alike(np.float64([0.1, 1 / 3]), np.float32([[0.1], [1 / 3]]), 2)
    assert one.dtype == other.dtype == np.float32 and one.shape == (2, 1)
    assert (one == other).all()


def test_what_can_not_be_compared_is_said_in_the_words_that_are_given():
    whose = "'a'", "'b' of the other"
    assert alike(np.zeros((2, 3)), np.zeros((2, 4)), 2, whose) == (
        "a row of 'a' has 3 values, of 'b' of the other 4"
    )
    assert alike(np.zeros(2), np.zeros(3), 2, whose) == (
        "'b' of the other has the shape [3] for 2 rows"
    )


def test_rows_are_ranked_by_a_single_number_or_that_of_the_positive_class():
    assert ranking_column("score", np.float32([[0.25], [0.5]])).tolist() == [0.25, 0.5]
    assert ranking_column("scores", np.float32([[0.75, 0.25]])).tolist() == [0.25]
    assert ranking_column("towers", np.float32([[0.75, 0.25]])) is None
    assert ranking_column("id", np.int64([[1]])) is None
