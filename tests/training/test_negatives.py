import click_rows as clicks
import numpy as np
import pytest

from tfnorm import datasets
from tfnorm.errors import InputError
from tfnorm.schema import History, Id, Schema
from tfnorm.training import Negatives

SCHEMA = Schema(
    [
        Id("item", size=100),
        Id("shop", size=10, hashed=True),
        History("history", of={"item": "seen", "shop": "shops"}),
    ],
    target=["item", "shop"],
)
# Every item is of the shop of its last digit; the targets are 1 to 5, and half of them are 1.
TARGETS = np.array([1, 2, 1, 3, 1, 4, 1, 5] * 50)
SEEN = np.array([[6, 1, 0], [7, 0, 0], [0, 0, 0], [8, 2, 3]] * 100)


def shop(items):
    found = np.array([f"s{item % 10}".encode() if item else b"" for item in items.ravel().tolist()])
    return found.astype(object).reshape(items.shape)


def make_log(targets=TARGETS, seen=SEEN):
    columns = {"item": targets, "shop": shop(targets), "seen": seen, "shops": shop(seen)}
    return datasets.arrays({**columns, "label": targets % 2}, SCHEMA)


def draw(negatives, log, epoch=0):
    parts = [
        features
        for features, _ in log.batches(
            16, shuffle_seed=0, epoch=epoch, change=negatives
        ).as_numpy_iterator()
    ]
    return {
        name: np.concatenate([part[name] for part in parts])
        for name in ("seen", "negative_seen", "negative_shops")
    }


def test_each_step_gets_an_item_that_its_history_does_not_have_with_its_shop():
    found = draw(Negatives(make_log()), make_log())
    there = found["seen"] != 0
    assert ((found["negative_seen"] != 0) == there).all()
    assert (found["negative_shops"] == shop(found["negative_seen"])).all()
    for had, drawn in zip(found["seen"], found["negative_seen"], strict=True):
        assert not set(had) & set(drawn) - {0}


def test_uniform_ones_are_items_of_targets_and_histories_alike():
    drawn = draw(Negatives(make_log()), make_log())["negative_seen"]
    counts = np.bincount(drawn[drawn != 0], minlength=9)[1:]
    assert (counts > 0).all()
    # 4 and 5 are in no history, so nothing keeps them from being drawn.
    assert counts[3] == pytest.approx(counts[4], rel=0.4)


def test_frequent_ones_are_drawn_as_often_as_they_are_shown():
    log = make_log(seen=np.full((400, 1), 9))
    drawn = draw(Negatives(log, "frequency"), log)["negative_seen"]
    assert set(drawn.ravel()) == {1, 2, 3, 4, 5}
    assert (drawn == 1).mean() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("by", ["uniform", "frequency"])
def test_another_epoch_draws_others_and_the_same_one_the_same(by):
    log = make_log()
    first, again, second = (
        draw(Negatives(log, by), log, epoch)["negative_seen"] for epoch in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (np.sort(first, axis=0) != np.sort(second, axis=0)).any()


def test_no_more_than_the_pool_is_kept_and_each_item_has_the_same_chance():
    targets = np.arange(1, 100)
    log = make_log(targets, np.zeros((99, 1), int))
    kept = Negatives(log, pool=20)._pools["item", "shop"]
    assert len(kept[0]) == 20 and len(set(kept[0].tolist())) == 20
    shown = [
        Negatives(log, "frequency", pool=20, seed=seed)._pools["item", "shop"][0]
        for seed in range(200)
    ]
    counts = np.bincount(np.concatenate(shown), minlength=100)[1:]
    # Binomial of 200 draws with a fifth of a chance each: 40 +- 5.7.
    assert counts.min() > 15 and counts.max() < 65


def test_of_a_log_of_any_features_they_are_what_its_columns_hold(tmp_path):
    clicks.write_parquet(tmp_path / "log.parquet", clicks.rows(60))
    log = datasets.parquet(tmp_path / "log.parquet", clicks.SCHEMA)
    batch = next(iter(log.batches(60, shuffle_seed=0, change=Negatives(log))))[0]
    assert batch["negative_hist_items"].shape == batch["hist_items"].shape
    words = set(batch["negative_hist_categories"].numpy().ravel())
    assert words <= {b"", b"books", b"toys", b"new"}


def test_what_can_not_be_drawn_is_refused():
    log = make_log()
    with pytest.raises(InputError, match="by is 'rank'; accepted: 'uniform', 'frequency'"):
        Negatives(log, "rank")
    with pytest.raises(InputError, match="pool is 1; it must be 2 or more"):
        Negatives(log, pool=1)
    flat = Schema([Id("item", size=9)], target=["item"])
    with pytest.raises(InputError, match="has no history; accepted: one or more"):
        Negatives(datasets.arrays({"item": TARGETS, "label": TARGETS % 2}, flat))
    full = make_log(np.array([1, 2]), np.array([[1, 2], [2, 1]]))
    with pytest.raises(InputError, match="a history has each of the 2 items that there are"):
        Negatives(full)(full.examples(2), np.random.default_rng(0))
    empty = make_log(np.array([0, 0]), np.array([[0], [0]]))
    with pytest.raises(InputError, match="the log has no item to draw"):
        Negatives(empty)
