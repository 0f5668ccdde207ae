import numpy as np
import pytest

from tfnorm.datasets import as_logs, load, synthetic
from tfnorm.errors import InputError
from tfnorm.metrics import auc

COLUMNS = ("item", "category", "history_items", "history_categories")


@pytest.fixture(scope="module")
def log():
    return synthetic(train_size=20_000, test_size=4_000)


def familiar(examples):
    """Whether the history has an item of the target's category."""
    features = examples.features
    return (features["history_categories"] == features["category"][:, None]).any(axis=1)


def test_shapes_dtypes_and_ids_are_as_declared(log):
    assert (log.name, log.history_length) == ("synthetic", 20)
    for examples, size in ((log.train, 20_000), (log.test, 4_000)):
        assert len(examples) == size
        shapes = [(size,), (size,), (size, 20), (size, 20)]
        for name, shape, count in zip(
            COLUMNS, shapes, [log.item_count, log.category_count] * 2, strict=True
        ):
            column = examples.features[name]
            assert (column.dtype, column.shape) == (np.int32, shape)
            assert column.max() == count - 1
        assert examples.features["item"].min() == examples.features["category"].min() == 1
        assert (examples.labels.dtype, examples.users.dtype) == (np.float32, np.int32)
        assert set(examples.labels) == {0, 1}


def test_histories_are_padded_at_the_end_in_both_columns(log):
    items, categories = (log.train.features[name] for name in COLUMNS[2:])
    lengths = (items != 0).sum(axis=1)
    assert set(lengths) == set(range(21))
    np.testing.assert_array_equal(items != 0, np.arange(20) < lengths[:, None])
    np.testing.assert_array_equal(items != 0, categories != 0)


def test_an_item_has_one_category_wherever_it_appears(log):
    features = log.train.features
    pairs = {
        *zip(features["item"], features["category"], strict=True),
        *zip(
            features["history_items"].ravel(), features["history_categories"].ravel(), strict=True
        ),
    }
    assert len(pairs) == len({item for item, _ in pairs})


def test_clicks_follow_the_documented_probabilities(log):
    # Averaged over the items' appeal: the expectation of sigmoid(x + Normal(0, 0.5)).
    appeal = np.random.default_rng(0).normal(0, 0.5, 100_000)
    for relation, logit in ((False, -2.5), (True, 1.0)):
        expected = np.mean(1 / (1 + np.exp(-logit - appeal)))
        clicked = log.train.labels[familiar(log.train) == relation]
        assert clicked.mean() == pytest.approx(expected, abs=0.03)


def test_no_simple_score_beats_the_best_auc(log):
    relation_alone = auc(log.test.labels, familiar(log.test))
    assert 0.8 < relation_alone < log.best_auc < 0.9


def test_the_seed_decides_the_log():
    first, again, other = (
        synthetic(train_size=200, test_size=100, seed=seed) for seed in (3, 3, 4)
    )
    for name in COLUMNS:
        np.testing.assert_array_equal(first.train.features[name], again.train.features[name])
    np.testing.assert_array_equal(first.test.labels, again.test.labels)
    assert first.best_auc == again.best_auc != other.best_auc
    assert (first.train.features["item"] != other.train.features["item"]).any()


@pytest.mark.parametrize("options", [{"train_size": 0}, {"test_size": -1}])
def test_sizes_below_one_are_refused(options):
    with pytest.raises(InputError, match="it must be 1 or more"):
        synthetic(**options)


def test_load_finds_it_by_name_and_names_what_it_does_not_know():
    assert load("synthetic", train_size=50, test_size=50).name == "synthetic"
    with pytest.raises(InputError, match="no dataset 'movies'; there are 'synthetic', 'amazon'"):
        load("movies")
    with pytest.raises(InputError, match=r"'synthetic'.*'users'"):
        load("synthetic", users=3)
    with pytest.raises(InputError, match=r"'amazon'.*'directory'"):
        load("amazon", category="Beauty")


def test_its_splits_are_logs_with_its_schema():
    log = synthetic(train_size=300, test_size=50)
    train, test = as_logs(log)
    for found, expected in ((train, log.train), (test, log.test)):
        examples = found.examples(1000)
        assert list(examples.features) == list(expected.features)
        for name, column in expected.features.items():
            width = column.shape[1] if column.ndim == 2 else None
            padded = examples.features[name]
            if width is not None:
                padded = np.pad(padded, [(0, 0), (0, width - padded.shape[1])])
            np.testing.assert_array_equal(padded, column)
            assert padded.dtype == column.dtype
        np.testing.assert_array_equal(examples.labels, expected.labels)
        np.testing.assert_array_equal(examples.users, expected.users)
    assert train.fingerprint != test.fingerprint
    assert train.schema.id("item").rows == log.item_count
