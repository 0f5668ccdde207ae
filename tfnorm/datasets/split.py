"""Examples kept from training, to tell when it has gone far enough."""

from __future__ import annotations

import numpy as np

from tfnorm.datasets.click_log import Examples
from tfnorm.errors import InputError


def split_by_user(examples: Examples, share: float, *, seed: int = 0) -> tuple[Examples, Examples]:
    """Split examples into two parts that have no user in common.

    Args:
        examples: what to split.
        share: the share of the users that go to the second part, between 0 and 1.
        seed: decides which users those are.

    Returns:
        The examples of the other users, and those of the chosen ones, in their order.

    Raises:
        InputError: the examples have no users, or the share leaves one of the parts without any.

    Example:

        >>> log = synthetic(train_size=1000, test_size=100)
        >>> train, validation = split_by_user(log.train, 0.1)
        >>> len(train) + len(validation), set(train.users) & set(validation.users)
        (1000, set())
    """
    if examples.users is None:
        raise InputError("the examples have no users; accepted: examples with users")
    users = np.unique(examples.users)
    count = round(share * len(users))
    if not 0 < count < len(users):
        raise InputError(
            f"a share of {share} is {count} of {len(users)} users; both parts need some"
        )
    chosen = np.isin(
        examples.users, np.random.default_rng(seed).choice(users, count, replace=False)
    )
    return examples[~chosen], examples[chosen]
