import click_rows as clicks
import numpy as np
import pytest

from tfnorm import datasets
from tfnorm.schema import History, Id, Number, Schema

SCHEMA = Schema(
    [
        Id("item", size=101),
        Number("price", scale="standard"),
        Number("embedding", length=2, scale="standard"),
        History(
            "history",
            of={"item": "hist_items"},
            numbers=[Number("hist_seconds", scale="standard")],
            length=4,
        ),
    ],
    target=["item"],
    label="click",
)


def test_statistics_are_exact_over_all_parts_and_no_padding_counts(tmp_path):
    rows = clicks.rows(300)
    for n, row in enumerate(rows):
        row["price"] = 1e4 + n % 3
    clicks.write_parquet(tmp_path / "log.parquet", rows, row_group_size=37)
    schema = datasets.standardize(datasets.parquet(tmp_path, SCHEMA))
    price = np.array([row["price"] for row in rows])
    assert schema["price"].mean == pytest.approx(price.mean(), rel=1e-12)
    assert schema["price"].deviation == pytest.approx(price.std(), rel=1e-9)
    embedding = np.array([row["embedding"] for row in rows])
    np.testing.assert_allclose(schema["embedding"].mean, embedding.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(schema["embedding"].deviation, embedding.std(axis=0), rtol=1e-9)
    steps = np.concatenate([row["hist_seconds"][-4:] for row in rows])
    seconds = schema["history"].side_numbers[0]
    assert (seconds.mean, seconds.deviation) == pytest.approx((steps.mean(), steps.std()))
    assert all(number.is_fitted for number in schema.all_numbers)


def test_statistics_that_are_there_stay_and_the_log_is_not_read():
    schema = SCHEMA.with_statistics(
        {"price": (1.0, 2.0), "embedding": (0.0, 1.0), "hist_seconds": (3.0, 4.0)}
    )
    log = datasets.arrays(clicks.as_arrays(clicks.rows(3)), schema)
    assert datasets.standardize(log) == schema
