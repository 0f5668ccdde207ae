"""Each formula against the same by hand, and where there is nothing to compute with."""

import numpy as np
import oracles
import pytest
from oracles import assert_close

from tfnorm.export.numpy_predictor import formulas

RNG = np.random.default_rng(0)
X = RNG.normal(1, 2, (4, 5, 3))
VALID = np.array([[1, 1, 0, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]], bool)
MEAN, GAMMA, BETA = RNG.normal(size=(3, 3))
VARIANCE = RNG.uniform(0.5, 2, 3)
NOWHERE = np.zeros((4, 0, 3)), np.zeros((4, 0), bool)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    return np.exp(x) / np.exp(x).sum()


def test_normalizations_use_the_statistics_that_they_are_given():
    assert_close(
        formulas.batch_normalization(X, MEAN, VARIANCE, GAMMA, BETA, epsilon=0.01),
        oracles.normalize(X, MEAN, VARIANCE, GAMMA, BETA, epsilon=0.01),
        1e-12,
    )
    assert_close(
        formulas.dice(X, GAMMA, MEAN, VARIANCE, epsilon=0.01),
        oracles.dice(X, MEAN, VARIANCE, GAMMA, epsilon=0.01),
        1e-12,
    )


def test_layer_normalization_uses_each_example_s_own():
    found = formulas.layer_normalization(X, GAMMA, BETA, axis=(1, 2), epsilon=0.01)
    for y, x in zip(found, X, strict=True):
        assert_close(y, GAMMA * (x - x.mean()) / np.sqrt(x.var() + 0.01) + BETA, 1e-12)


def test_what_was_standardized_is_undone_and_a_constant_is_not_divided_by_zero():
    variance = np.array([4.0, 0.25, 0.0])
    y = formulas.standardized(X, MEAN, variance, epsilon=1e-7)
    assert_close(y[..., :2], (X - MEAN)[..., :2] / [2.0, 0.5], 1e-12)
    assert_close(formulas.unstandardized(y, MEAN, variance, epsilon=1e-7), X, 1e-12)


def test_a_row_of_zeros_has_no_direction():
    x = np.array([[3.0, 4.0], [0.0, 0.0]])
    assert_close(formulas.unit_normalization(x, axis=-1, epsilon=1e-12), [[0.6, 0.8], [0, 0]])


def test_products_are_over_the_last_axis_or_those_of_the_equation():
    kernel = RNG.normal(size=(3, 2))
    expected = np.array(
        [[sum(v * k for v, k in zip(row, kernel, strict=True)) for row in x] for x in X]
    )
    assert_close(formulas.dense(X, kernel, np.ones(2)), expected + 1, 1e-12)
    assert_close(formulas.einsum_dense(X, kernel, equation="abc,cd->abd"), expected, 1e-12)
    assert_close(formulas.whitened(X + MEAN, MEAN, kernel), expected, 1e-12)


def test_prelu_has_a_slope_for_each_channel_below_zero():
    assert formulas.prelu(np.array([[-2.0, -2.0, 3.0]]), np.array([0.5, 0.1, 0.1])).tolist() == [
        [-1.0, -0.2, 3.0]
    ]


@pytest.mark.parametrize("ids", [[[0, 3]], [[-1, 0]]])
def test_an_id_outside_of_the_table_raises_what_is_inside(ids):
    with pytest.raises(IndexError, match="accepted: 0 to 2"):
        formulas.embedding(np.array(ids), np.eye(3))


def test_ids_are_looked_up_and_none_are_no_error():
    assert formulas.embedding(np.array([[2, 0]]), 5 * np.eye(3)).tolist() == [
        [[0, 0, 5], [5, 0, 0]]
    ]
    assert formulas.embedding(np.zeros((2, 0), int), np.eye(3)).shape == (2, 0, 3)


def test_shapes_are_found_without_a_row():
    assert formulas.flatten(X[:0]).shape == (0, 15)
    assert formulas.reshape(X[:0], (-1, 3, 1)).shape == (0, 5, 3, 1)
    np.testing.assert_array_equal(formulas.flatten(X), X.reshape(4, 15))
    np.testing.assert_array_equal(formulas.reshape(X, (3, -1)), X.reshape(4, 3, 5))


def test_what_is_masked_has_no_part_in_a_mean_a_sum_or_a_softmax():
    x = np.where(VALID[..., None], X, 1e6)
    scores = np.where(VALID, 300 * X[..., 0], 1e9)
    mean, total = formulas.masked_mean(x, VALID), formulas.masked_sum(x, VALID)
    softmaxes = formulas.masked_softmax(scores, VALID)
    for i, valid in enumerate(VALID):
        assert_close(mean[i], X[i, valid].mean(0) if valid.any() else np.zeros(3), 1e-12)
        assert_close(total[i], X[i, valid].sum(0), 1e-12)
        assert not softmaxes[i, ~valid].any()
        largest = np.max(scores[i, valid], initial=-np.inf)
        assert_close(softmaxes[i, valid], softmax(scores[i, valid] - largest), 1e-12)
    some = [0, 2, 3]
    average = formulas.masked_average(x[some], VALID[some])
    assert_close(average, mean[some], 1e-12)
    assert formulas.masked_average(x[some], VALID[some], keepdims=True).shape == (3, 1, 3)


def test_a_step_of_padding_is_put_where_there_is_none():
    x, valid = formulas.at_least_one_step(*NOWHERE)
    assert (x.shape, valid.shape, x.any(), valid.any()) == ((4, 1, 3), (4, 1), False, False)
    x, valid = formulas.at_least_one_step(X, VALID)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(valid, VALID)


@pytest.mark.parametrize("normalized", [True, False])
def test_attention_weighs_the_valid_keys(normalized):
    query = RNG.normal(size=(4, 3))
    hidden = {"kernel": RNG.normal(size=(12, 2)), "bias": RNG.normal(size=2)}
    last = {"kernel": RNG.normal(size=(2, 1)), "bias": RNG.normal(size=1)}
    found = formulas.target_attention(query, X, VALID, hidden, last, softmax=normalized)
    for y, q, keys, valid in zip(found, query, X, VALID, strict=True):
        rows = [np.concatenate([q, k, q - k, q * k]) for k in keys[valid]]
        logits = [
            (sigmoid(row @ hidden["kernel"] + hidden["bias"]) @ last["kernel"] + last["bias"])[0]
            for row in rows
        ]
        weights = softmax(np.array(logits)) if normalized and rows else logits
        assert_close(
            y, sum((w * k for w, k in zip(weights, keys[valid], strict=True)), np.zeros(3)), 1e-12
        )


def test_interest_scores_are_the_softmax_of_a_bilinear_form():
    query, kernel = RNG.normal(size=(4, 2)), RNG.normal(size=(3, 2))
    found = formulas.interest_scores(query, X, VALID, kernel)
    for a, q, interests, valid in zip(found, query, X, VALID, strict=True):
        assert_close(a[valid], softmax(interests[valid] @ kernel @ q), 1e-12)
        assert not a[~valid].any()


def test_a_gru_of_one_unit_is_the_recurrence_by_hand():
    """With the reset before the product and after it, which differ where the recurrent bias is not 0."""
    x, kernel, recurrent = X[:1, :, :1], np.array([[0.5, -0.3, 0.8]]), np.array([[0.2, 0.4, -0.6]])
    bias = np.array([[0.1, 0.2, 0.3], [-0.2, 0.5, 0.7]])
    gates = {"activation": np.tanh, "recurrent_activation": sigmoid}
    after = formulas.gru(x, kernel, recurrent, bias, **gates)
    before = formulas.gru_reset_before(x, kernel, recurrent, bias[0], **gates)
    h, g = 0.0, 0.0
    for t, v in enumerate(x[0, :, 0]):
        (z, r), c = sigmoid(v * kernel + bias[0] + h * recurrent + bias[1])[0, :2], (0.8 * v + 0.3)
        h = z * h + (1 - z) * np.tanh(c + r * (-0.6 * h + 0.7))
        (z, r), c = sigmoid(v * kernel + bias[0] + g * recurrent)[0, :2], (0.8 * v + 0.3)
        g = z * g + (1 - z) * np.tanh(c + -0.6 * (r * g))
        assert_close([after[0, t, 0], before[0, t, 0]], [h, g], 1e-12)


def test_attention_opens_the_update_gate_of_an_augru():
    """A score of 0 keeps the state, as does a masked step; a score of 1 is a GRU's step."""
    kernel, recurrent, bias = RNG.normal(size=(3, 6)), RNG.normal(size=(2, 6)), RNG.normal(size=6)
    scores = np.broadcast_to([1.0, 0.0, 0.5, 1.0, 1.0], (4, 5))[..., None]
    states = formulas.augru(np.concatenate([X, scores], -1), kernel, recurrent, bias, mask=VALID)
    for row, x, valid in zip(states, X, VALID, strict=True):
        h = np.zeros(2)
        for t in range(5):
            if valid[t]:
                new, old = x[t] @ kernel + bias, h @ recurrent
                u, r = scores[0, t, 0] * sigmoid(new + old)[:2], sigmoid(new + old)[2:4]
                h = (1 - u) * h + u * np.tanh(new[4:] + r * old[4:])
            assert_close(row[t], h, 1e-12)
    np.testing.assert_array_equal(states[0, 1], states[0, 0])
