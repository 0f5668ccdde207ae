import numpy as np
import pytest

from tfnorm.verify.judgement.votes import fewest, labels_of, shared_parts


@pytest.mark.parametrize(
    "array",
    [
        np.array([5, 7, 5, 9]),
        np.float32([0.5, -1.0, 0.5, np.inf]),
        np.array([True, False, True, True])[:, None] * np.array([[1, 2], [1, 2], [1, 2], [3, 4]]),
        np.array([b"a", b"b", b"a", b"c"], object),
        np.array([[b"a", b"b"], [b"ab", b""], [b"a", b"b"], [b"", b"ab"]], object),
    ],
)
def test_rows_that_are_the_same_have_the_same_label(array):
    labels = labels_of(array)
    assert labels[0] == labels[2]
    assert len(set(labels.tolist())) == 3


def test_flags_and_categories_of_few_values_are_no_shared_part():
    user = np.array([700, 700, 701])
    inputs = {
        "flag": np.array([True, False, True]),
        "category": np.array([0, 15, 3]),
        "count": np.float32([[1, 2], [1, 2], [1, 2]]),
        "user": user,
        "x": np.float32([0.5, 1, 1]),
        "country": np.array([b"de", b"de", b"fr"], object),
        "unknown": np.float32([np.nan, 1, 1]),
    }
    shared = shared_parts(inputs)
    assert len(shared) == 4
    np.testing.assert_array_equal(shared[0], labels_of(user))


def test_the_fewest_different_labels_count():
    assert fewest([np.arange(4), np.array([9, 9, 9, 1]), np.array([0, 1, 2, 2])]).tolist() == [
        9,
        9,
        9,
        1,
    ]


def test_what_is_a_flag_in_most_rows_alone_is_a_shared_part():
    mostly = np.zeros((200, 3), np.float32)
    mostly[150, 2] = 0.5
    assert shared_parts({"x": mostly[:150]}) == []
    assert len(shared_parts({"x": mostly})) == 1
