import numpy as np
import pytest

from tfnorm.replay.judgement.transforms import transformed


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def logit(p):
    return np.log(p / (1 - p))


def logits(seed, count=300):
    return np.random.default_rng(seed).normal(0, 2, count).astype(np.float32).astype(np.float64)


def single(values):
    return values.astype(np.float32).astype(np.float64)


# What the log has, what the model gives, both of the same logits; and what is said of it.
FUNCTIONS = {
    "the log has logits": lambda z: (z, sigmoid(z)),
    "the log has probabilities": lambda z: (sigmoid(z), z),
    "1 - score": lambda z: (1 - sigmoid(z), sigmoid(z)),
    "the negative": lambda z: (-z, z),
    "the logarithm": lambda z: (np.log(sigmoid(z)), sigmoid(z)),
    "the exponential": lambda z: (np.exp(z), z),
    "rounded to 6 decimals": lambda z: (np.round(sigmoid(z), 6), sigmoid(z)),
    "rounded to 3 decimals": lambda z: (np.round(sigmoid(z), 3), sigmoid(z)),
    "the log has 2.5 x score - 1": lambda z: (2.5 * z - 1, z),
    "the log has 100 x score": lambda z: (100 * sigmoid(z), sigmoid(z)),
    "the log's logit is": lambda z: (sigmoid(0.7 * z + 1.1), sigmoid(z)),
    "the sigmoid of 0.7 x score + 1.1": lambda z: (sigmoid(0.7 * z + 1.1), z),
    "rises with the score": lambda z: (sigmoid(z) ** 3, sigmoid(z)),
    "falls with the score": lambda z: (-(z**3), z),
}


@pytest.mark.parametrize("said", FUNCTIONS)
@pytest.mark.parametrize("seed", range(20))
def test_a_function_of_the_score_is_named(said, seed):
    logged, new = map(single, FUNCTIONS[said](logits(seed)))
    assert said in (transformed(logged, new) or "")


@pytest.mark.parametrize("seed", range(20))
def test_what_only_rounds_is_no_constant(seed):
    score = single(sigmoid(logits(seed)))
    assert transformed(single(100 * score), score) == "the log has 100 x score"
    assert transformed(single(score + 2e-5), score).startswith("the log has 1 x score + ")


@pytest.mark.parametrize("count", [8, 30, 300])
@pytest.mark.parametrize("seed", range(20))
def test_other_scores_are_no_function(count, seed):
    z = logits(seed, count)
    noise = np.random.default_rng(seed + 100).normal(size=count)
    for logged in (sigmoid(z + 0.05 * noise), sigmoid(noise), z + 1e-3 * noise):
        assert transformed(single(logged), single(sigmoid(z))) is None


@pytest.mark.parametrize("size", [1e-7, 1e-5, 1e-4])
@pytest.mark.parametrize("seed", range(20))
def test_noise_that_leaves_the_order_as_it_was_is_no_function(seed, size):
    new = sigmoid(logits(seed, 64))
    noise = size * np.random.default_rng(seed + 100).normal(size=64)
    assert transformed(single(new + noise), single(new)) is None


def test_few_or_equal_scores_say_nothing():
    z = logits(0)
    assert transformed(z[:7], 2 * z[:7]) is None
    assert transformed(np.full(300, 0.5), sigmoid(z)) is None
    assert transformed(z, np.full(300, 0.5)) is None
    assert transformed(np.full(300, np.nan), z) is None
