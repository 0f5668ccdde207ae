from types import SimpleNamespace

from tfnorm.replay.log.sampling import count, drawn

LOG = SimpleNamespace(entries=lambda: ((n, f"entry {n}") for n in range(50)))


def numbers(limit, seed):
    return [number for number, _ in drawn(LOG, count(LOG), limit, seed)]


def test_all_are_taken_where_they_are_no_more():
    assert numbers(50, 0) == numbers(80, 0) == list(range(50))


def test_as_many_are_drawn_in_order_by_the_seed():
    assert len(numbers(7, 0)) == 7 and numbers(7, 0) == sorted(numbers(7, 0)) == numbers(7, 0)
    assert numbers(7, 0) != numbers(7, 1)


def test_each_is_as_likely_as_any_other():
    found = [number for seed in range(600) for number in numbers(5, seed)]
    counts = [found.count(number) for number in range(50)]
    # 60 expected each, with a standard deviation of 7.3.
    assert min(counts) > 30 and max(counts) < 90
