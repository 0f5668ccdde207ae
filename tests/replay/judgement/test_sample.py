import pytest

from tfnorm.replay.judgement.sample import AROUND, windows


@pytest.mark.parametrize("count", [0, 1, 3, AROUND, AROUND + 1, 2 * AROUND + 1, 40])
def test_each_item_comes_once_with_those_around_it(count):
    found = list(windows(range(count)))
    assert [item for _, item, _ in found] == list(range(count))
    for before, item, after in found:
        assert before == list(range(max(0, item - AROUND), item))
        assert after == list(range(item + 1, min(count, item + 1 + AROUND)))


def test_items_are_given_as_soon_as_those_after_them_are_there():
    seen = []

    def items():
        for item in range(100):
            seen.append(item)
            yield item

    for _, item, _ in windows(items()):
        assert len(seen) <= item + 1 + AROUND
