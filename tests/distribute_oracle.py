"""What tests/distribute_cases.py trains, in NumPy: on the global batch, or on each shard apart."""

import distribute_cases as cases
import numpy as np
import oracles


def forward_and_back(case, x, weights):
    """y of a batch, and dx and the gradients of the weights for the loss sum(sin(y))."""
    _, mean, variance = oracles.moments(x)
    form = {"epsilon": cases.EPSILON}
    if case.startswith("dice"):
        y = oracles.dice(x, mean, variance, *weights, **form)
        return y, *oracles.dice_gradients(x, np.cos(y), *weights, **form)
    y = oracles.normalize(x, mean, variance, *weights, **form)
    return y, *oracles.normalize_gradients(x, np.cos(y), weights[0], **form)


def initial_weights(case):
    zeros, ones = np.zeros(cases.CHANNELS), np.ones(cases.CHANNELS)
    return [zeros] if case.startswith("dice") else [ones, zeros]


def update(case, moving, parts):
    """Move the statistics by the global batch; or on each replica by its own, and take the mean."""
    arguments = cases.ARGUMENTS[case]
    if arguments.get("synchronized"):
        parts = [np.concatenate(parts)]
    after = []
    for part in parts:
        replica = oracles.MovingStatistics(
            cases.CHANNELS, cases.MOMENTUM, unbiased=arguments.get("unbiased_variance", False)
        )
        replica.mean, replica.variance = moving
        replica.update(*oracles.moments(part))
        after.append((replica.mean, replica.variance))
    return np.mean(after, axis=0)


def train(case, steps):
    """(y, dx) of the global batch of each step, and the weights at the end."""
    weights, moving, results = initial_weights(case), initial_statistics(), []
    for n, sizes in enumerate(steps):
        parts = cases.shards(n, sizes)
        together = cases.ARGUMENTS[case].get("synchronized")
        batches = [np.concatenate(parts)] if together else [part for part in parts if len(part)]
        found = [forward_and_back(case, batch, weights) for batch in batches]
        y, dx = (np.concatenate([step[i] for step in found]) for i in (0, 1))
        gradients = [sum(step[2 + i] for step in found) for i in range(len(weights))]
        weights = [w - cases.LEARNING_RATE * g for w, g in zip(weights, gradients, strict=True)]
        moving = update(case, moving, parts)
        results.append((y, dx))
    return results, [*weights, *moving]


def initial_statistics():
    """The moving mean and variance at first."""
    return np.zeros(cases.CHANNELS), np.ones(cases.CHANNELS)
