"""The schema of the published click logs."""

import pytest

from tfnorm.errors import InputError
from tfnorm.schema import History, Id, item_schema


def test_it_has_an_item_its_category_and_a_history_of_both():
    schema = item_schema(100, 10, width=8, length=5)
    assert schema.features == (
        Id("item", size=100, width=8, table="items", dtype="int32"),
        Id("category", size=10, width=8, table="categories", dtype="int32"),
        History(
            "history", of={"item": "history_items", "category": "history_categories"}, length=5
        ),
    )
    assert (schema.target, schema.label, schema.group) == (("item", "category"), "label", "user")


def test_every_column_is_int32_and_an_id_of_its_table():
    found = {name: (c.dtype, c.size, c.limit) for name, c in item_schema(100, 10).columns.items()}
    assert found == {
        "item": ("int32", 100, None),
        "category": ("int32", 10, None),
        "history_items": ("int32", 100, 50),
        "history_categories": ("int32", 10, 50),
    }


@pytest.mark.parametrize("counts", [(0, 10), (10, 0)])
def test_a_table_without_rows_is_refused(counts):
    with pytest.raises(InputError, match="size is 0; accepted: a whole number from 1"):
        item_schema(*counts)
