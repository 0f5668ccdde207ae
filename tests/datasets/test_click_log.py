import keras
import numpy as np
import pytest

from tfnorm.datasets import Examples
from tfnorm.errors import InputError

COUNT = 23


@pytest.fixture
def examples():
    ids = np.arange(COUNT, dtype=np.int32)
    history = ids[:, None] * 10 + np.arange(3, dtype=np.int32)
    return Examples(
        features={
            "item": ids,
            "category": ids + 100,
            "history_items": history,
            "history_categories": history + 1000,
        },
        labels=(ids % 2).astype(np.float32),
        users=ids // 4,
    )


def order(dataset):
    """The items of one pass; every other column must have come along with them."""
    items = []
    for features, labels in dataset.as_numpy_iterator():
        np.testing.assert_array_equal(features["category"], features["item"] + 100)
        np.testing.assert_array_equal(features["history_items"][:, 2], features["item"] * 10 + 2)
        np.testing.assert_array_equal(
            features["history_categories"][:, 0] % 1000, features["item"] * 10
        )
        np.testing.assert_array_equal(labels, features["item"] % 2)
        items += features["item"].tolist()
    return items


def test_unshuffled_batches_keep_the_order_and_the_final_short_batch(examples):
    dataset = examples.batches(10)
    assert order(dataset) == list(range(COUNT))
    assert [len(labels) for _, labels in dataset] == [10, 10, 3]
    assert dataset.cardinality() == 3


def test_a_shuffled_epoch_has_each_example_once_and_every_epoch_has_another_order(examples):
    dataset = examples.batches(10, shuffle_seed=7)
    assert dataset.cardinality() == 3
    first, second = order(dataset), order(dataset)
    assert sorted(first) == sorted(second) == list(range(COUNT))
    assert len({tuple(first), tuple(second), tuple(range(COUNT))}) == 3


def test_the_seed_decides_the_orders(examples):
    def two_epochs(seed):
        dataset = examples.batches(10, shuffle_seed=seed)
        return order(dataset), order(dataset)

    keras.utils.set_random_seed(0)
    first = two_epochs(7)
    assert two_epochs(7) == first
    assert two_epochs(8) != first


def test_batches_have_a_fixed_history_length_and_the_dtypes_of_the_arrays(examples):
    features, labels = examples.batches(10, shuffle_seed=0).element_spec
    assert {name: (spec.dtype.name, spec.shape.as_list()) for name, spec in features.items()} == {
        "item": ("int32", [None]),
        "category": ("int32", [None]),
        "history_items": ("int32", [None, 3]),
        "history_categories": ("int32", [None, 3]),
    }
    assert (labels.dtype.name, labels.shape.as_list()) == ("float32", [None])


def test_a_batch_of_no_examples_is_refused(examples):
    with pytest.raises(InputError, match="batch_size is 0"):
        examples.batches(0)
