import json
import time

import numpy as np
import pytest

from tfnorm.datasets import amazon, load
from tfnorm.errors import InputError

LINES = ["1 1 2 3 4", "2 5 3", "3 2 6 7", "7 8 1 5 9 10 11"]
# 20 is everywhere, so that the rarer 10, 11 or 12 is the category, wherever it stands.
ATTRIBUTES = {
    str(item): [10 + item % 3, 20] if item % 2 else [20, 10 + item % 3] for item in range(1, 13)
}


def write(directory, lines=LINES, attributes=ATTRIBUTES, category="Toys"):
    (directory / f"{category}.txt").write_text("".join(f"{line}\n" for line in lines))
    text = attributes if isinstance(attributes, str) else json.dumps(attributes)
    (directory / f"{category}_item2attributes.json").write_text(text)


def category_of(items):
    return np.where(np.array(items) == 0, 0, 10 + np.array(items) % 3)


def expected(line, test):
    """The positives of a line by the protocol: (user, target, history)."""
    user, *items = map(int, line.split())
    if len(items) < 3:
        return []
    positions = [len(items) - 1] if test else range(1, len(items) - 1)
    return [(user, items[k], items[:k]) for k in positions]


@pytest.mark.parametrize("split", ["train", "test"])
def test_examples_follow_the_protocol(tmp_path, split):
    write(tmp_path)
    examples = getattr(amazon(tmp_path, "Toys"), split)
    rows = [row for line in LINES for row in expected(line, split == "test")]
    assert len(examples) == 2 * len(rows)
    for i, (user, target, history) in enumerate(rows):
        padded = history + [0] * (50 - len(history))
        assert examples.features["item"][2 * i] == target
        assert examples.features["item"][2 * i + 1] != target
        assert examples.labels[2 * i : 2 * i + 2].tolist() == [1, 0]
        for row in (2 * i, 2 * i + 1):
            assert examples.users[row] == user
            assert examples.features["history_items"][row].tolist() == padded
    for items, categories in (("item", "category"), ("history_items", "history_categories")):
        np.testing.assert_array_equal(
            examples.features[categories], category_of(examples.features[items])
        )


def test_dtypes_and_counts_are_as_declared(tmp_path):
    write(tmp_path)
    log = load("amazon", directory=tmp_path, category="Toys")
    assert (log.name, log.item_count, log.category_count) == ("amazon Toys", 13, 13)
    assert (log.history_length, log.best_auc) == (50, None)
    for examples in (log.train, log.test):
        columns = {name: column.dtype.name for name, column in examples.features.items()}
        assert columns == dict.fromkeys(
            ("item", "category", "history_items", "history_categories"), "int32"
        )
        assert (examples.labels.dtype.name, examples.users.dtype.name) == ("float32", "int32")


def test_a_long_history_keeps_its_latest_fifty(tmp_path):
    items = list(range(1, 61))
    write(
        tmp_path,
        lines=["1 " + " ".join(map(str, items)), "2 61 62 63"],
        attributes={str(item): [1] for item in range(1, 64)},
    )
    log = amazon(tmp_path, "Toys")
    assert log.test.features["history_items"][0].tolist() == items[9:59]
    lengths = (log.train.features["history_items"] != 0).sum(axis=1)
    assert lengths[:116:2].tolist() == [min(k, 50) for k in range(1, 59)]


def test_negatives_are_uniform_over_the_items_that_the_user_never_had(tmp_path):
    write(tmp_path, lines=["1 1 2 3 4"] + [f"{user} 5 6 7 8 9" for user in range(2, 2002)])
    log = amazon(tmp_path, "Toys", seed=5)
    drawn = log.train.features["item"][1::2]
    users = log.train.users[1::2]
    assert set(drawn[users == 1]) <= {5, 6, 7, 8, 9}
    items, counts = np.unique(drawn[users != 1], return_counts=True)
    assert items.tolist() == [1, 2, 3, 4]
    np.testing.assert_allclose(counts / counts.sum(), 0.25, atol=0.03)


def test_the_seed_decides_the_negatives(tmp_path):
    write(tmp_path, lines=[f"{user} 1 2 3 {4 + user % 8}" for user in range(1, 50)])
    first, again, other = (amazon(tmp_path, "Toys", seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.train.features["item"], again.train.features["item"])
    assert (first.train.features["item"] != other.train.features["item"]).any()


def test_blank_lines_and_a_missing_final_newline_are_no_damage(tmp_path):
    write(tmp_path)
    complete = amazon(tmp_path, "Toys")
    (tmp_path / "Toys.txt").write_text("\n\n".join(LINES))
    np.testing.assert_array_equal(
        amazon(tmp_path, "Toys").train.features["item"], complete.train.features["item"]
    )


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["1 1 2 3", "2 4 x 5"], r"Toys\.txt, line 2 is '2 4 x 5'; accepted: user item item"),
        (["1 1 2 3", "", "2 4 5.0 6"], r"Toys\.txt, line 3 is '2 4 5\.0 6'"),
        (["1 1 -2 3"], r"Toys\.txt, line 1 is"),
        (["1 1 0 3"], r"Toys\.txt, line 1 is"),
        (["1 1 2 4294967297"], r"Toys\.txt, line 1 is"),
        (["1 1 2 " + "9" * 5000], r"Toys\.txt, line 1 is"),
        (
            ["1 1 2 3", "2 4 5 999"],
            r"line 2: item 999 is far beyond those with attributes, which end at 12; accepted: up to 130",
        ),
        (["5 1 2 3", "6 1 2 3", "5 4 5 6"], r"user 5 is on line 1 and on line 3"),
        (["1 1 2", "2 3"], r"Toys\.txt has no user with three items or more"),
        ([], r"Toys\.txt has no user with three items or more"),
        (["1 1 2 3"], r"user 1 has had each of the 3 items"),
    ],
)
def test_damaged_interactions_are_named_with_file_and_line(tmp_path, lines, message):
    write(tmp_path, lines=lines)
    with pytest.raises(InputError, match=message) as caught:
        amazon(tmp_path, "Toys")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ('{"1": [1],\n "2": [1', r"Toys_item2attributes\.json is not JSON: .*line 2"),
        ("[1, 2]", r"Toys_item2attributes\.json holds no items"),
        ({"1": [1], "2": 5}, r"item '2' has the attributes 5"),
        ({"1": [1], "2": [1, "brand"]}, r"item '2' has the attributes \[1, \"brand\"\]"),
        ({"1": [1], "2": [0]}, r"item '2' has the attributes \[0\]"),
        ({"1": [1], "two": [1]}, r"item 'two' is no whole number"),
        ({"1": [1], "\u00b2": [1]}, r"item '\u00b2' is no whole number"),
    ],
)
def test_damaged_attributes_are_named_with_file_and_item(tmp_path, attributes, message):
    write(tmp_path, attributes=attributes)
    with pytest.raises(InputError, match=message) as caught:
        amazon(tmp_path, "Toys")
    assert "\n" not in str(caught.value)


def test_items_without_attributes_share_an_unknown_category(tmp_path):
    attributes = {item: ids for item, ids in ATTRIBUTES.items() if item != "3"} | {"5": []}
    write(tmp_path, lines=[*LINES, "9 14 1 2"], attributes=attributes)
    log = amazon(tmp_path, "Toys")
    assert (log.item_count, log.category_count) == (15, 14)
    for items, categories in (("item", "category"), ("history_items", "history_categories")):
        found = log.train.features[items]
        expected = np.where(np.isin(found, [3, 5, 14]), 13, category_of(found))
        np.testing.assert_array_equal(log.train.features[categories], expected)


def test_binary_rubbish_is_refused(tmp_path):
    write(tmp_path)
    (tmp_path / "Toys.txt").write_bytes(b"\xff\xfe\x00\x01 3\n")
    with pytest.raises(InputError, match=r"Toys\.txt, line 1"):
        amazon(tmp_path, "Toys")
    (tmp_path / "Toys_item2attributes.json").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InputError, match=r"Toys_item2attributes\.json is not JSON"):
        amazon(tmp_path, "Toys")


def test_a_missing_folder_category_or_file_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere is no folder"):
        amazon(tmp_path / "nowhere", "Toys")
    write(tmp_path)
    write(tmp_path, category="Beauty")
    with pytest.raises(InputError, match=r"'Books'.*no Books\.txt.*there: 'Beauty', 'Toys'"):
        amazon(tmp_path, "Books")
    (tmp_path / "Toys_item2attributes.json").unlink()
    with pytest.raises(InputError, match=r"has no Toys_item2attributes\.json; .*there: 'Beauty'"):
        amazon(tmp_path, "Toys")


@pytest.mark.slow
def test_a_log_as_large_as_beauty_is_read_in_under_five_seconds(tmp_path):
    rng = np.random.default_rng(0)
    write(
        tmp_path,
        lines=[
            " ".join(map(str, [user, *rng.integers(1, 12_102, size=9)]))
            for user in range(1, 22_364)
        ],
        attributes={str(item): [1, 2, 3, 4] for item in range(1, 12_102)},
    )
    started = time.process_time()
    log = amazon(tmp_path, "Toys")
    assert time.process_time() - started < 5
    assert len(log.train) == 2 * 7 * 22_363
