"""The schema of the published click logs: an item with its category, and those before it."""

from __future__ import annotations

from tfnorm.schema.features import History, Id
from tfnorm.schema.schema import Schema


def item_schema(
    item_count: int, category_count: int, *, width: int = 18, length: int = 50
) -> Schema:
    """An item, its category, and a history of both, all int32.

    Args:
        item_count: item ids are in [0, item_count).
        category_count: category ids are in [0, category_count).
        width: how many numbers the embedding of an item has, and that of a category.
        length: the most items of a history that are kept.

    Returns:
        The schema, with the columns `item`, `category`, `history_items`, `history_categories`,
        `label` and `user`.

    Raises:
        InputError: a number is below 1.

    Example:

        >>> list(item_schema(100, 10).columns)
        ['item', 'category', 'history_items', 'history_categories']
    """
    return Schema(
        [
            Id("item", size=item_count, width=width, table="items", dtype="int32"),
            Id("category", size=category_count, width=width, table="categories", dtype="int32"),
            History(
                "history",
                of={"item": "history_items", "category": "history_categories"},
                length=length,
            ),
        ],
        target=["item", "category"],
        group="user",
    )
