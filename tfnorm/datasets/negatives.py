"""What the auxiliary loss of DIEN needs: items that a user did not choose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tfnorm.datasets.click_log import Examples
from tfnorm.errors import InputError

_ROUNDS = 32
"""How often to draw anew before what is left is looked for."""


def with_negatives(examples: Examples, *, seed: int = 0) -> Examples:
    """The examples with a negative for each item of each history, to train DIEN on.

    A negative is drawn uniformly from the items of `examples` that the history doesn't have.

    Args:
        examples: what to train on.
        seed: decides which negatives are drawn.

    Returns:
        The examples with two more features, int32 `[N, T]`: `negative_items` and
        `negative_categories`, 0 where the history is padding.

    Raises:
        InputError: a history has every item.

    Example:

        >>> log = synthetic(train_size=10, test_size=10)
        >>> list(with_negatives(log.train).features)[-2:]
        ['negative_items', 'negative_categories']
    """
    features = examples.features
    category_of = _categories(features)
    choices = np.flatnonzero(category_of)
    history = features["history_items"]
    rows, steps = np.nonzero(history)
    try:
        drawn = draw_others(history, rows, choices, np.random.default_rng(seed))
    except NoneLeftError as error:
        raise InputError(
            f"the history of example {error.row} has each of the {len(choices)} items: none is left "
            "for a negative"
        ) from None
    negatives = np.zeros_like(history)
    negatives[rows, steps] = choices[drawn]
    return replace(
        examples,
        features={
            **features,
            "negative_items": negatives,
            "negative_categories": category_of[negatives],
        },
    )


class NoneLeftError(Exception):
    """A row has all that could be drawn for it."""

    def __init__(self, row: int):
        super().__init__(row)
        self.row = row


def draw_others(
    had: np.ndarray, rows: np.ndarray, choices: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """For each of `rows` a choice that `had` does not have in that row: its place in `choices`.

    Args:
        had: `[N, T]`, ids.
        rows: `[K]`, of `had`.
        choices: `[M]`, ids, each as likely as it is often there.
        rng: what to draw with.

    Raises:
        NoneLeftError: a row has all choices.
    """
    chosen = np.zeros(len(rows), np.int64)
    pending = np.arange(len(rows))
    for _ in range(_ROUNDS):
        chosen[pending] = rng.integers(len(choices), size=len(pending))
        again = (had[rows[pending]] == choices[chosen[pending]][:, None]).any(axis=1)
        pending = pending[again]
        if not len(pending):
            break
    for n in pending:
        left = np.flatnonzero(~np.isin(choices, had[rows[n]]))
        if not len(left):
            raise NoneLeftError(int(rows[n]))
        chosen[n] = rng.choice(left)
    return chosen


def _categories(features: dict[str, np.ndarray]) -> np.ndarray:
    """The category of each item that is there; 0 for the others."""
    pairs = (("item", "category"), ("history_items", "history_categories"))
    categories = np.zeros(1 + max(features[items].max() for items, _ in pairs), np.int32)
    for items, column in pairs:
        categories[features[items]] = features[column]
    return categories
