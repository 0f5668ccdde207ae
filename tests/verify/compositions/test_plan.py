import numpy as np
import pytest

from tfnorm.verify.compositions.padding import Padding
from tfnorm.verify.compositions.plan import (
    AGAIN,
    AS_LOGGED,
    BATCH_SIZES,
    TWICE,
    Plan,
    again,
    compositions,
    concurrent,
    most_telling_first,
    one_at_a_time,
    padded_longer,
)


def _plan(examples=50, sizes=None, **options):
    groups = {
        "other examples": np.arange(examples, examples + 3),
        "zeros": np.array([examples + 3]),
    }
    return Plan(examples, groups, sizes, **options)


def _named(plan, name):
    return [c for c in compositions(plan) if c.name == name]


@pytest.mark.parametrize("examples", [2, 3, 16, 50, 256, 300])
@pytest.mark.parametrize("sizes", [None, [2], [3, 64]])
def test_every_composition_has_every_example_but_for_single_batches(examples, sizes):
    alone = one_at_a_time(examples)
    for composition in [alone, *compositions(_plan(examples, sizes)), again(alone)]:
        rows = np.concatenate(list(composition.batches))
        if not composition.name.startswith("a batch of"):
            assert set(range(examples)) <= set(rows), composition.name
        assert rows.max() < examples + 4
        assert len(rows) == composition.rows


def test_every_usual_batch_size_is_tried_and_all_at_once():
    plan = {composition.name: composition.batch_size for composition in compositions(_plan())}
    assert [plan[f"batches of {size}"] for size in BATCH_SIZES] == list(BATCH_SIZES)
    assert plan["all at once"] == 50


def test_sizes_around_powers_of_two_are_tried_in_one_batch_each():
    single = {c.batch_size for c in compositions(_plan()) if c.name.startswith("a batch of")}
    assert {15, 17, 33, 63, 65, 127, 128, 129, 511, 512, 513, 1025, 4096} <= single
    assert not single & {2, 16, 50, 256}
    assert all(c.batch_size <= 40 for c in compositions(_plan(40, most=40)) if "a batch" in c.name)


def test_a_servers_allowed_sizes_bound_the_batches_and_are_tried_around():
    plan = _plan(300, allowed=[10, 50])
    sizes = {c.batch_size for c in compositions(plan)}
    assert {9, 10, 11, 49, 50} <= sizes
    assert max(sizes) == 50


def test_a_batch_between_two_allowed_sizes_is_padded_to_the_next():
    padded = _named(_plan(300, allowed=[10, 50]), "padded with copies")
    assert [c.batch_size for c in padded] == [10, 50]
    for composition, taken in zip(padded, (5, 25), strict=True):
        for batch in composition.batches:
            assert (batch[taken:] == batch[taken // 2]).all()
            assert len(set(batch[:taken])) == taken


def test_no_batch_is_larger_than_the_sizes_that_were_asked_for():
    plan = compositions(_plan(sizes=[4, 16]))
    assert {composition.batch_size for composition in plan} == {4, 16}
    assert "all at once" not in [composition.name for composition in plan]


def test_a_composition_is_known_by_its_name_and_batch_size():
    for examples in (16, 50, 256, 4096):
        plan = [c.key for c in compositions(_plan(examples, allowed=[32, 64]))]
        assert len(set(plan)) == len(plan)


def test_neighbours_take_half_of_each_batch_at_the_places_of_the_control():
    made = compositions(_plan())
    controls = [c for c in made if c.name == "among other examples"]
    among = [c for c in made if c.name == "among zeros"]
    assert [c.batch_size for c in among] == [16, 256]
    for control, composition in zip(controls, among, strict=True):
        neighbour = composition.batches == 53
        assert (neighbour.sum(axis=1) == composition.batch_size // 2).all()
        assert 0 < neighbour[:, : composition.batch_size // 2].sum() < neighbour.sum()
        np.testing.assert_array_equal(composition.batches[~neighbour], control.batches[~neighbour])
        assert set(control.batches[neighbour]) == {50, 51, 52}
        assert composition.control is control
        assert control.control is None
        assert not composition.same_shapes


def test_the_largest_size_has_neighbours_when_all_at_once_is_as_large():
    assert 256 in [c.batch_size for c in _named(_plan(256), "among zeros")]


def test_padding_rows_copy_the_first_row_of_the_second_request():
    for composition in _named(_plan(), "padded with copies"):
        half = composition.batch_size // 2
        assert (composition.batches[:, half:] == composition.batches[:, half // 2, None]).all()


def test_each_example_stands_at_other_places():
    (moved,) = _named(_plan(), "each at other places")
    (plain,) = _named(_plan(), "batches of 16")
    places = {row: set(np.argwhere(moved.batches == row)[:, 1]) for row in range(16, 32)}
    for place, row in enumerate(plain.batches[1]):
        assert places[row] == {(place + step) % 16 for step in (1, 8, 15)} | {15 - place}


def test_the_same_batch_is_compared_with_itself():
    for examples in (16, 50):
        made = compositions(_plan(examples))
        (twice,) = [c for c in made if c.name == TWICE]
        assert twice.control in made
        np.testing.assert_array_equal(twice.batches, twice.control.batches)
        assert twice.same_shapes


def test_each_example_meets_copies_of_itself():
    (copies,) = _named(_plan(), "copies of each")
    assert all((np.unique(batch, return_counts=True)[1] >= 8).all() for batch in copies.batches)


def test_the_examples_are_scored_one_at_a_time_again():
    alone = one_at_a_time(50)
    last = again(alone)
    assert (last.name, last.against) == (AGAIN, alone.name)
    np.testing.assert_array_equal(last.batches, alone.batches)


def test_logged_requests_are_replayed_as_they_came():
    requests = [np.arange(3), np.arange(3, 50)]
    (logged,) = _named(_plan(requests=requests), AS_LOGGED)
    assert [len(batch) for batch in logged.batches] == [3, 47]
    assert logged.batch_size == 47


def test_concurrent_requests_alternate_with_those_of_the_last_neighbours():
    composition = concurrent(_plan())
    assert composition.kind == "concurrent"
    assert (composition.batches[1::2] == 53).all()
    assert set(composition.batches[::2].ravel()) == set(range(50))
    plan = _plan()
    plan.neighbours["others at 1000x"] = np.array([54, 55])
    plan.neighbours["the lowest-scoring"] = np.array([56])
    assert set(concurrent(plan).batches[1::2].ravel()) == {54, 55}


def test_longer_padding_names_its_inputs():
    padding = Padding((("history", 1), ("days", 1)), 3, True)
    composition = padded_longer(_plan(), padding)
    assert composition.name == "longer padding of 'history', 'days'"
    assert composition.padding is padding


def test_the_seed_decides_the_shuffles():
    def shuffled(seed):
        return _named(_plan(seed=seed), "shuffled")[0].batches

    np.testing.assert_array_equal(shuffled(3), shuffled(3))
    assert (shuffled(3) != shuffled(4)).any()
    assert (shuffled(3) != np.resize(np.arange(50), shuffled(3).shape)).any()


@pytest.mark.parametrize("examples", [2, 3, 16, 50, 256])
@pytest.mark.parametrize("sizes", [None, [2], [3], [16], [3, 64]])
def test_what_tells_most_comes_first_and_what_it_is_compared_with_before_it(examples, sizes):
    plan = _plan(examples, sizes)
    plan.neighbours["others at 1000x"] = np.array([examples + 4])
    planned = compositions(plan)
    usual = plan.usual_sizes[0]
    order = most_telling_first(planned, usual)
    assert sorted(map(id, order)) == sorted(map(id, planned))
    assert [(one.name, one.batch_size) for one in order[:2]] == [
        ("among other examples", usual),
        ("among others at 1000x", usual),
    ]
    place = {id(one): number for number, one in enumerate(order)}
    for one in order:
        assert one.control is None or place[id(one.control)] < place[id(one)]
    first = order[: len([one for one in order if one.batch_size <= usual])]
    assert max(one.batch_size for one in first) <= usual
    kinds = [one.kind for one in order[:8]]
    assert {"size", "neighbours", "repeat", "position"} <= set(kinds)


def test_where_no_number_can_be_larger_other_neighbours_come_first():
    order = most_telling_first(compositions(_plan()), 16)
    assert [one.name for one in order[:2]] == ["among other examples", "among zeros"]


def test_no_batch_is_larger_than_the_largest_but_for_twos_and_threes():
    assert max(one.batch_size for one in compositions(_plan(50, most=20))) == 17
    assert {one.batch_size for one in compositions(_plan(50, most=1))} == {2, 3}
    assert max(one.batch_size for one in compositions(_plan(50, [64], most=1))) == 64
