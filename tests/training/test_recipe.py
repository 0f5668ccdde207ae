import numpy as np
import pytest

from tfnorm.datasets import synthetic
from tfnorm.errors import InputError
from tfnorm.models import DIEN, DIN
from tfnorm.training import Recipe


def rates(recipe, steps):
    schedule = recipe.schedule(steps)
    return np.array([float(schedule(step)) for step in range(steps + 1)])


def test_without_warm_up_and_decay_the_rate_is_a_number():
    assert Recipe(learning_rate=0.01, warmup=0, decay=False).schedule(100) == 0.01


def test_the_rate_grows_with_the_batch_size_where_that_is_asked_for():
    assert Recipe(batch_size=1024).peak_learning_rate == 4e-3
    assert Recipe(batch_size=1024, linear_scaling=True).peak_learning_rate == 1.6e-2
    assert Recipe(batch_size=64, linear_scaling=True).peak_learning_rate == 1e-3


def test_a_warm_up_rises_in_a_line_and_stays():
    found = rates(Recipe(learning_rate=0.1, warmup=0.2, decay=False), 50)
    np.testing.assert_allclose(found[:11], 0.1 * np.arange(11) / 10, rtol=1e-5)
    np.testing.assert_allclose(found[10:], 0.1, rtol=1e-5)


def test_a_decay_falls_by_a_cosine_to_0():
    found = rates(Recipe(learning_rate=0.1, warmup=0, decay=True), 40)
    expected = 0.05 * (1 + np.cos(np.pi * np.arange(41) / 40))
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_a_warm_up_and_a_decay_follow_each_other():
    found = rates(Recipe(learning_rate=0.1, warmup=0.5, decay=True), 40)
    assert found.argmax() == 20
    np.testing.assert_allclose(
        found[20:], 0.05 * (1 + np.cos(np.pi * np.arange(21) / 20)), atol=1e-8
    )


def test_the_model_is_the_one_that_is_named():
    schema = synthetic(train_size=100, test_size=100).schema
    din, dien, base = (
        Recipe(model=name, dropout=0.3).make_model(schema) for name in ("din", "dien", "base")
    )
    assert isinstance(din, DIN) and din.attention
    assert isinstance(base, DIN) and not base.attention
    assert isinstance(dien, DIEN)
    assert all(model.dropout == 0.3 and model.schema == schema for model in (din, dien, base))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"model": "dnn"}, "model is 'dnn'; accepted: 'din', 'dien', 'base'"),
        ({"epochs": 0}, "epochs is 0; it must be 1 or more"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0; it must be more than 0"),
        ({"warmup": 1.5}, "warmup is 1.5; it must be from 0 to 1"),
        ({"patience": -1}, "patience is -1; it must be 0 or more"),
        ({"validation_share": 1.0}, "validation_share is 1.0; it must be between 0 and 1"),
        ({"embedding_l2": -1.0}, "embedding_l2 is -1.0"),
        ({"dropout": 1.0}, "dropout is 1.0; it must be from 0 to less than 1"),
        ({"positive_weight": 0.0}, "positive_weight is 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"negatives": "all"}, "negatives is 'all'; accepted: 'uniform', 'frequency'"),
    ],
)
def test_what_is_out_of_range_is_refused(options, reason):
    with pytest.raises(InputError, match=reason):
        Recipe(**options)
