import numpy as np
import pytest
import tensorflow as tf

from tfnorm.verify.compositions.agenda import BATCH_BYTES, BY_SCORE, agenda
from tfnorm.verify.compositions.plan import AGAIN, ALONE, AS_LOGGED, CONCURRENT

X = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
ROWS = {"x": X, "id": np.arange(50)}
HISTORY = {"history": tf.TensorSpec([None, None], tf.int64, "history")}


def _names(todo):
    return [composition.name for composition in todo.compositions]


def test_the_examples_come_alone_first_and_again_last():
    todo = agenda(ROWS, None)
    assert todo.alone.name == ALONE
    assert todo.compositions[-1].name == AGAIN
    assert todo.compositions[-1].control is todo.alone
    assert todo.rows == 50 + sum(composition.rows for composition in todo.compositions)


def test_every_number_in_a_composition_is_a_row_that_there_will_be():
    todo = agenda(ROWS, None, remote=True)
    neighbours = sum(group.count for group in todo.neighbours.values()) + len(BY_SCORE)
    numbers = np.concatenate([np.ravel(one.batches) for one in todo.compositions])
    assert numbers.max() == 50 + neighbours - 1
    assert set(range(50 + neighbours)) == set(numbers)


def test_neighbours_are_numbered_group_by_group_and_those_by_score_last():
    todo = agenda(ROWS, None, batch_sizes=[8])
    start = 50
    counts = {**{name: group.count for name, group in todo.neighbours.items()}}
    for name in (*counts, *BY_SCORE):
        (among,) = [one for one in todo.compositions if one.name == f"among {name}"]
        neighbours = {number for number in np.ravel(among.batches) if number >= 50}
        assert neighbours == set(range(start, start + counts.get(name, 1)))
        start += counts.get(name, 1)


def test_only_a_remote_scorer_gets_concurrent_requests():
    assert CONCURRENT not in _names(agenda(ROWS, None))
    assert CONCURRENT in _names(agenda(ROWS, None, remote=True))


@pytest.mark.parametrize("padded", [False, True])
def test_padding_is_tried_where_some_example_shows_it_and_else_told_as_left_out(padded):
    history = np.random.default_rng(1).integers(1, 9, (20, 5))
    if padded:
        history[::4, 3:] = 0
    todo = agenda({"history": history}, HISTORY, batch_sizes=[4])
    name = "longer padding of 'history'"
    assert (name in _names(todo)) == padded
    reason = {} if padded else {name: "no example ends in zeros: they may mean more"}
    assert todo.left_out == reason


def test_logged_requests_are_composed_as_they_came():
    todo = agenda({"x": X[:6]}, None, requests=[3, 1, 2])
    (logged,) = [one for one in todo.compositions if one.name == AS_LOGGED]
    assert [batch.tolist() for batch in logged.batches] == [[0, 1, 2], [3], [4, 5]]
    assert AS_LOGGED not in _names(agenda({"x": X[:6]}, None))


def test_large_inputs_make_small_batches():
    wide = {"x": np.zeros((4, BATCH_BYTES // 4 // 100), np.float32)}
    single = [one for one in agenda(wide, None).compositions if one.name.startswith("a batch of")]
    assert max(one.batch_size for one in single) <= 100
    assert len(single) > 5


def test_the_sizes_are_those_asked_for():
    todo = agenda(ROWS, None, batch_sizes=[32, 8, 8])
    assert todo.batch_sizes == [8, 32]
    assert todo.usual_size == 8
    allowed = agenda(ROWS, None, allowed=[10, 20])
    assert max(one.batch_size for one in allowed.compositions) == 20


def test_another_seed_shuffles_otherwise_and_the_same_one_alike():
    def shuffled(seed):
        todo = agenda(ROWS, None, batch_sizes=[8], seed=seed)
        return np.concatenate([np.ravel(o.batches) for o in todo.compositions if o.kind == "order"])

    np.testing.assert_array_equal(shuffled(3), shuffled(3))
    assert (shuffled(3) != shuffled(4)).any()
