import keras
import numpy as np
import pytest

from tfnorm.errors import InputError
from tfnorm.metrics import auc, gauc, has_gauc, log_loss


def test_it_is_the_share_of_pairs_in_the_right_order_with_ties_counted_half():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 200).astype(np.float32)
    scores = rng.integers(0, 20, 200) / 20
    difference = scores[labels == 1][:, None] - scores[labels == 0]
    pairs = np.where(difference == 0, 0.5, difference > 0)
    assert auc(labels, scores) == pytest.approx(pairs.mean(), abs=1e-12)


@pytest.mark.parametrize("tie", [np.inf, -np.inf, 0.0])
def test_scores_that_are_all_equal_order_nothing_even_at_infinity(tie):
    labels, scores = np.array([0, 1, 0, 1]), np.full(4, tie)
    assert auc(labels, scores) == 0.5
    assert gauc(labels, scores, users=np.array([1, 1, 2, 2])) == 0.5


def test_infinite_scores_are_above_and_below_all_others():
    labels, scores = np.array([0, 1, 0, 1]), np.array([-np.inf, np.inf, 1.0, np.inf])
    assert auc(labels, scores) == 1.0


@pytest.mark.parametrize(
    ("labels", "scores", "reason"),
    [
        ([1, 1], [0.1, 0.2], "2 positive and 0 negative labels"),
        ([0, 0], [0.1, 0.2], "0 positive and 2 negative labels"),
        ([0, 1], [0.1, np.nan], "1 of 2 scores are NaN"),
    ],
)
def test_what_has_no_auc_is_refused(labels, scores, reason):
    with pytest.raises(InputError, match=reason):
        auc(np.array(labels), np.array(scores))


def test_gauc_is_the_mean_of_the_users_aucs_weighted_by_their_impressions():
    rng = np.random.default_rng(0)
    users = rng.integers(0, 60, 400)
    labels = rng.integers(0, 2, 400).astype(np.float32)
    scores = (rng.integers(0, 15, 400) / 15).astype(np.float32)
    aucs, impressions = [], []
    for user in set(users):
        own = users == user
        if len(set(labels[own])) == 2:
            aucs.append(auc(labels[own], scores[own]))
            impressions.append(own.sum())
    assert 20 < len(aucs) < 60
    expected = np.average(aucs, weights=impressions)
    assert gauc(labels, scores, users) == pytest.approx(expected, abs=1e-12)


def test_gauc_does_not_reward_telling_active_users_from_others():
    users = np.array([1, 1, 1, 2, 2, 2])
    labels = np.array([1, 1, 0, 1, 0, 0])
    scores = np.array([0.9, 0.9, 0.9, 0.1, 0.1, 0.1])
    assert auc(labels, scores) > 0.5
    assert gauc(labels, scores, users) == 0.5


def test_what_has_no_gauc_is_refused():
    labels, users = np.array([0, 1]), np.array([1, 2])
    assert not has_gauc(labels, users)
    with pytest.raises(InputError, match="none of 2 users has both labels"):
        gauc(labels, np.array([0.1, 0.2]), users)
    with pytest.raises(InputError, match="1 of 2 scores are NaN"):
        gauc(labels, np.array([0.1, np.nan]), np.array([1, 1]))


def test_log_loss_is_that_of_keras_at_the_edges_too():
    labels = np.array([0, 1, 1, 0, 1], np.float32)
    scores = np.array([0.2, 0.9, 0.0, 1.0, 1.0], np.float32)
    expected = keras.losses.binary_crossentropy(labels, scores)
    assert log_loss(labels, scores) == pytest.approx(float(expected), rel=1e-2)
    inner = slice(0, 2)
    expected = -np.mean([np.log(0.8), np.log(0.9)])
    assert log_loss(labels[inner], scores[inner]) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("score", [-0.1, 1.5, np.nan])
def test_a_log_loss_of_what_is_no_probability_is_refused(score):
    with pytest.raises(InputError, match="1 of 2 scores are no probabilities"):
        log_loss(np.array([0, 1]), np.array([0.5, score]))
