"""A click log whose true click probabilities are known."""

from __future__ import annotations

import numpy as np

from tfnorm.datasets.click_log import ClickLog, Examples
from tfnorm.errors import InputError
from tfnorm.metrics import auc

_USERS = 2_000
_ITEMS = 500
_CATEGORIES = 20
_HISTORY_LENGTH = 20


def synthetic(*, train_size: int = 80_000, test_size: int = 8_000, seed: int = 0) -> ClickLog:
    """A click log drawn from a known distribution: users click what resembles their history.

        interests_u ~ Dirichlet(0.15, ..., 0.15) over the 20 categories
        popularity_i ~ LogNormal(0, 1),    appeal_i ~ Normal(0, 0.5)
        history of u: 0 to 20 items, each of a category drawn from interests_u,
                      the item within it in proportion to popularity
        target: likewise, but half of the time its category is drawn uniformly
        familiar: whether the history has an item of the target's category
        p(click) = sigmoid(3.5 familiar - 2.5 + appeal_target)

    One item of the right category is enough, however long the history: the history's mean blurs
    that, and attention sees it.

    Args:
        train_size: examples to train on.
        test_size: examples to test on.
        seed: the same seed gives the same log.

    Returns:
        The click log; its `best_auc` is the AUC of p(click) on the test examples.

    Raises:
        InputError: a size is less than 1, or the test examples are so few that all or none of them
            are clicks.

    Example:

        >>> log = synthetic(train_size=1000, test_size=500)
        >>> len(log.train), log.item_count, log.best_auc > 0.8
        (1000, 501, True)
    """
    for name, size in (("train_size", train_size), ("test_size", test_size)):
        if size < 1:
            raise InputError(f"{name} is {size}; it must be 1 or more")
    rng = np.random.default_rng(seed)
    size = train_size + test_size
    catalogue = _Catalogue(rng)
    interests = rng.dirichlet(np.full(_CATEGORIES, 0.15), _USERS).cumsum(axis=1)
    streams = catalogue.draw_items(
        _draw_categories(np.repeat(interests[:, None], _HISTORY_LENGTH, axis=1), rng), rng
    )

    users = rng.integers(_USERS, size=size)
    lengths = rng.integers(_HISTORY_LENGTH + 1, size=size)
    history = np.where(np.arange(_HISTORY_LENGTH) < lengths[:, None], streams[users], 0)
    category = np.where(
        rng.random(size) < 0.5,
        _draw_categories(interests[users], rng),
        rng.integers(1, _CATEGORIES + 1, size=size),
    )
    item = catalogue.draw_items(category, rng)
    history_categories = catalogue.category_of[history]
    familiar = (history_categories == category[:, None]).any(axis=1)
    probabilities = 1 / (1 + np.exp(2.5 - 3.5 * familiar - catalogue.appeal[item]))
    labels = (rng.random(size) < probabilities).astype(np.float32)

    def split(rows: slice) -> Examples:
        return Examples(
            features={
                "item": item[rows],
                "category": category[rows].astype(np.int32),
                "history_items": history[rows],
                "history_categories": history_categories[rows],
            },
            labels=labels[rows],
            users=users[rows].astype(np.int32),
        )

    test = slice(train_size, None)
    return ClickLog(
        name="synthetic",
        train=split(slice(train_size)),
        test=split(test),
        item_count=_ITEMS + 1,
        category_count=_CATEGORIES + 1,
        history_length=_HISTORY_LENGTH,
        best_auc=auc(labels[test], probabilities[test]),
    )


class _Catalogue:
    """The items 1.._ITEMS, sorted by category; 0 is padding."""

    def __init__(self, rng: np.random.Generator):
        # An item of each category first: none may be empty.
        categories = np.concatenate(
            [
                np.arange(1, _CATEGORIES + 1),
                rng.integers(1, _CATEGORIES + 1, size=_ITEMS - _CATEGORIES),
            ]
        )
        self.category_of = np.concatenate([[0], np.sort(categories)]).astype(np.int32)
        self.appeal = np.concatenate([[0], rng.normal(0, 0.5, _ITEMS)])
        self.popularity = np.concatenate([[0], rng.lognormal(size=_ITEMS)]).cumsum()

    def draw_items(self, categories: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """An item of each category, int32, in proportion to popularity."""
        first = np.searchsorted(self.category_of, categories, "left")
        last = np.searchsorted(self.category_of, categories, "right") - 1
        low, high = self.popularity[first - 1], self.popularity[last]
        drawn = np.searchsorted(
            self.popularity, low + (high - low) * rng.random(low.shape), "right"
        )
        # Rounding must not leave the category.
        kept: np.ndarray = np.clip(drawn, first, last).astype(np.int32)
        return kept


def _draw_categories(interests: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A category for each row of cumulated probabilities."""
    above = rng.random(interests.shape[:-1])[..., None] > interests
    drawn: np.ndarray = 1 + np.minimum(above.sum(axis=-1), _CATEGORIES - 1)
    return drawn
