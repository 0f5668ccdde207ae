"""The streams of an epoch: whoever reads them, the batches are the same."""

import itertools

import numpy as np
import pytest
from readers import together

from tfnorm.datasets.click_log import Examples
from tfnorm.datasets.logs.order.lanes import LANES, interleaved, of_lanes, turns
from tfnorm.errors import InputError

ROWS = [13, 0, 40, 7, 20]


def stream(lane, count, sizes=(3, 5)):
    """The rows of a lane, in parts; a row is 1000 times its lane and its number."""
    numbers = np.arange(count) + 1000 * lane
    for size in itertools.cycle(sizes):
        if not len(numbers):
            return
        n, numbers = numbers[:size], numbers[size:]
        yield Examples({"n": n}, n % 2)


def batches(rows, batch_size, size, reader=(0, 1)):
    index, count = reader
    lanes = {n: stream(n, rows[n]) for n in range(index % len(rows), len(rows), count)}
    for part, ends in interleaved(lanes, rows, batch_size, size, reader):
        numbers = [] if part is None else part.features["n"].tolist()
        assert ends[-1] == len(numbers)
        yield from (numbers[a:b] for a, b in itertools.pairwise([0, *ends]))


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_every_row_has_one_turn_in_the_order_of_its_lane_and_each_lane_its_due(size):
    told = list(turns(ROWS, size))
    assert all(len(lane) == len(row) == size for lane, row in told[:-1])
    lane, row = (np.concatenate(column) for column in zip(*told, strict=True))
    for number, count in enumerate(ROWS):
        assert row[lane == number].tolist() == list(range(count))
        due = np.arange(1, len(lane) + 1) * count / sum(ROWS)
        assert np.abs(np.cumsum(lane == number) - due).max() <= 1.5
    assert list(turns([0, 0], 4)) == []


def test_turns_are_those_of_sainte_lague_however_many_are_told_at_once():
    seats = sorted(
        (float(2 * n + 1) / (2 * count), lane)
        for lane, count in enumerate(ROWS)
        for n in range(count)
    )
    for size in (1, 3, 80):
        assert np.concatenate([lane for lane, _ in turns(ROWS, size)]).tolist() == [
            x for _, x in seats
        ]


@pytest.mark.parametrize("readers", [2, 3, 5, 7, 12])
@pytest.mark.parametrize("size", [8, 1000])
def test_the_rows_of_all_readers_are_those_of_one(readers, size):
    whole = list(batches(ROWS, 8, size))
    assert [len(batch) for batch in whole] == [8] * 10
    shares = [list(batches(ROWS, 8, size, (n, readers))) for n in range(readers)]
    for batch, *parts in zip(whole, *shares, strict=True):
        assert sorted(itertools.chain(*parts)) == sorted(batch)
    for n, share in enumerate(shares):
        read = {row // 1000 for row in itertools.chain(*share)}
        assert read <= {lane for lane in range(5) if lane % readers == n % 5}


def test_the_last_batch_has_what_is_left_and_a_large_one_is_whole():
    assert [len(batch) for batch in batches([5, 6], 4, 8)] == [4, 4, 3]
    assert [len(batch) for batch in batches([50, 60], 100, 8)] == [100, 10]


def test_a_log_that_has_lost_rows_is_an_error():
    lanes = {0: stream(0, 5)}
    with pytest.raises(InputError, match="the log has lost rows since they were counted"):
        list(interleaved(lanes, [6], 2, 2, (0, 1)))


@pytest.mark.parametrize("count", [1, 2, 9])
def test_each_reader_asks_for_its_own_lanes_and_has_all_in_their_order(count):
    asked = []
    found = together(
        count,
        lambda readers: of_lanes("abcde", readers, lambda n, x: asked.append(n) or f"{n}{x}"),
    )
    assert found == [["0a", "1b", "2c", "3d", "4e"]] * count
    assert sorted(asked) == [0, 1, 2, 3, 4] and LANES == 16


def test_what_is_wrong_with_the_lane_of_one_reader_is_told_to_all():
    def of_lane(number, lane):
        if number == 1:
            raise InputError("b.parquet: damaged")
        return lane

    def one(readers):
        with pytest.raises(InputError, match=r"b\.parquet: damaged"):
            of_lanes("abc", readers, of_lane)

    together(2, one)
