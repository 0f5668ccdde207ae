"""Parts of a log in another order, with only some of them in memory."""

import itertools

import numpy as np
import pytest

from tfnorm.datasets.click_log import Examples
from tfnorm.datasets.logs.order.shuffle import joined, rebatched, shuffled


def part(*numbers, width=2):
    """Rows whose columns tell which they are."""
    n = np.array(numbers, np.int64)
    return Examples({"n": n, "list": np.tile(n[:, None], (1, width))}, n % 2, n + 100, n / 4)


def parts(*sizes):
    ends = np.cumsum([0, *sizes])
    return [part(*range(a, b)) for a, b in itertools.pairwise(ends)]


def numbers(examples):
    """Of the rows, whose columns must belong together."""
    n = examples.features["n"]
    np.testing.assert_array_equal(examples.features["list"][:, 0], n)
    np.testing.assert_array_equal(examples.labels, n % 2)
    np.testing.assert_array_equal(examples.users, n + 100)
    np.testing.assert_array_equal(examples.weights, n / 4)
    return n.tolist()


@pytest.mark.parametrize("sizes", [(5, 3, 9), (1,) * 17, (17,), (4, 4), (2,)])
def test_rebatched_rows_keep_their_order_in_whole_batches(sizes):
    found = list(rebatched(iter(parts(*sizes)), 4))
    assert [n for each in found for n in numbers(each)] == list(range(sum(sizes)))
    assert all(len(each) % 4 == 0 for each in found[:-1])
    assert list(rebatched(iter([]), 4)) == []


@pytest.mark.parametrize("buffer", [1, 16, 100])
def test_shuffled_rows_are_each_there_once(buffer):
    found = list(shuffled(iter(parts(5, 3, 9, 20, 1, 22)), buffer, np.random.default_rng(0)))
    order = [n for each in found for n in numbers(each)]
    assert sorted(order) == list(range(60)) != order
    again = shuffled(iter(parts(5, 3, 9, 20, 1, 22)), buffer, np.random.default_rng(0))
    assert [n for each in again for n in numbers(each)] == order


def test_a_row_comes_out_only_when_the_buffer_is_full():
    taken = []

    def reading():
        for each in parts(*[2] * 20):
            taken.append(len(each))
            yield each

    found = shuffled(reading(), 10, np.random.default_rng(0))
    held = []
    out = 0
    for each in found:
        held.append(sum(taken) - out)
        out += len(each)
    assert held[0] == 10 and max(held) <= 11
    assert out == 40


def test_rows_of_the_whole_buffer_are_mixed():
    """Each of the first ten has about the same chance to come first."""
    first = [
        numbers(next(shuffled(iter(parts(*[2] * 10)), 10, np.random.default_rng(seed))))[0]
        for seed in range(200)
    ]
    counts = np.bincount(first, minlength=10)
    assert len(counts) == 10 and counts.min() >= 8


def test_joined_lists_are_padded_to_the_longest():
    found = joined([part(1, width=1), part(2, 3, width=3)])
    assert found.features["list"].tolist() == [[1, 0, 0], [2, 2, 2], [3, 3, 3]]
    assert numbers(found) == [1, 2, 3]


@pytest.mark.parametrize("kind", [object, "S"])
def test_joined_strings_keep_their_length_and_are_padded_with_the_empty_one(kind):
    words = [np.array([[b"a"]], kind), np.array([[b"long", b"er"]], kind)]
    found = joined([Examples({"w": each}, np.zeros(1)) for each in words])
    assert found.features["w"].tolist() == [[b"a", b""], [b"long", b"er"]]
    assert (found.users, found.weights) == (None, None)
