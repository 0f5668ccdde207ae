import copy

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfnorm.datasets import Examples
from tfnorm.errors import InputError
from tfnorm.metrics import auc, gauc, log_loss
from tfnorm.training import RankingMetrics, ranking_metrics

ROWS = 5_000


@pytest.fixture(scope="module")
def examples():
    rng = np.random.default_rng(0)
    p = rng.beta(1, 4, ROWS)
    # Many ties, as a model with few features has.
    p[::3] = p[::3].round(1).clip(0.05, 0.95)
    labels = (rng.random(ROWS) < p).astype(np.float32)
    return Examples({"p": p.astype(np.float32)}, labels, rng.integers(1, 400, ROWS))


@pytest.fixture(scope="module")
def model():
    """It scores an example by its only feature."""
    p = keras.Input((), name="p")
    return keras.Model({"p": p}, keras.layers.Reshape((1,))(p))


def exact(examples):
    scores = examples.features["p"]
    return (
        auc(examples.labels, scores),
        gauc(examples.labels, scores, examples.users),
        log_loss(examples.labels, scores),
    )


@pytest.mark.parametrize("batch_size", [7, 1024, 10_000])
def test_the_figures_are_exact_in_batches_of_any_size(examples, model, batch_size):
    found = RankingMetrics(examples, batch_size=batch_size).measure(model)
    assert (found.auc, found.gauc, found.log_loss) == pytest.approx(exact(examples), abs=1e-9)
    assert (found.auc_error, found.gauc_error, found.rows) == (0, 0, ROWS)


def test_counts_of_rounded_scores_are_as_close_as_they_say(examples, model):
    found = RankingMetrics(examples, exact=False).measure(model)
    expected = exact(examples)
    assert 0 < found.auc_error < 2e-2
    assert abs(found.auc - expected[0]) <= found.auc_error
    # All users are kept where there are so few rows.
    assert found.gauc == pytest.approx(expected[1], abs=1e-9) and found.gauc_error == 0
    assert found.log_loss == pytest.approx(expected[2], abs=1e-6)


def test_the_gauc_of_some_users_says_how_far_it_may_be_off(examples, model, monkeypatch):
    monkeypatch.setattr(ranking_metrics, "_MOST", 1_500)
    off = []
    for seed in range(12):
        renamed = np.random.default_rng(seed).permutation(1_000)[examples.users]
        other = Examples(examples.features, examples.labels, renamed)
        found = RankingMetrics(other, exact=False).measure(model)
        assert 0 < found.gauc_error < 0.1
        off.append((found.gauc - exact(examples)[1]) / found.gauc_error)
    assert np.max(np.abs(off)) < 4 and 0.4 < np.std(off) < 1.7


@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")
def test_fit_has_them_in_its_history_and_early_stopping_sees_them(examples, model):
    model.compile("sgd", "mse")
    stopping = keras.callbacks.EarlyStopping("val_auc", mode="max", patience=1)
    fitted = model.fit(
        examples.batches(1000),
        epochs=9,
        callbacks=[RankingMetrics(examples), stopping],
        verbose=0,
    )
    # Nothing can be learned, so the first epoch is the best.
    assert fitted.history["val_auc"] == pytest.approx([exact(examples)[0]] * 2)
    assert {"val_gauc", "val_log_loss"} <= set(fitted.history)


def test_without_users_or_with_one_label_there_is_no_such_figure(examples, model):
    anonymous = Examples(examples.features, examples.labels)
    clicked = examples[examples.labels > 0.5]
    for kept in (True, False):
        assert RankingMetrics(anonymous, exact=kept).measure(model).gauc is None
        found = RankingMetrics(clicked, exact=kept).measure(model)
        assert found.auc is found.gauc is None
        assert list(found.logs("val_")) == ["val_log_loss"]


def test_what_can_not_be_measured_is_refused(examples, model):
    with pytest.raises(InputError, match="batch_size is 0; it must be 1 or more"):
        RankingMetrics(examples, batch_size=0)
    with pytest.raises(InputError, match="the log has no rows"):
        RankingMetrics(examples[:0]).measure(model)
    p = keras.Input((), name="p")
    with pytest.raises(InputError, match="the model has 2 outputs; accepted: one"):
        RankingMetrics(examples).measure(keras.Model({"p": p}, [p, p + 1]))
    beyond = keras.Model({"p": p}, keras.layers.Lambda(lambda p: p + tf.constant(1.0))(p))
    for kept in (True, False):
        with pytest.raises(InputError, match="scores are no probabilities"):
            RankingMetrics(examples, exact=kept).measure(beyond)


@pytest.mark.parametrize("exact", [True, False])
def test_workers_score_a_shard_each_and_give_the_figures_of_all(
    examples, model, monkeypatch, exact
):
    monkeypatch.setattr(ranking_metrics, "_MOST", 1_000)
    whole = RankingMetrics(examples, exact=exact).measure(model)
    kept = []

    def of_all(mine):
        kept.append(copy.deepcopy(mine))
        return copy.deepcopy(kept)

    monkeypatch.setattr(ranking_metrics, "of_all", of_all)
    for index in range(3):
        monkeypatch.setattr(ranking_metrics, "place", lambda index=index: (index, 3))
        found = RankingMetrics(examples, exact=exact).measure(model)
    assert found.rows == whole.rows == ROWS
    assert (found.auc, found.log_loss) == pytest.approx((whole.auc, whole.log_loss), abs=1e-9)
    # Of other users, where not all are kept.
    assert found.gauc == pytest.approx(whole.gauc, abs=1e-9 if exact else 5 * whole.gauc_error)
