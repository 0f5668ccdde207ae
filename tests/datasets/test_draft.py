import click_rows as clicks
import numpy as np
import pytest

from tfnorm import datasets
from tfnorm.errors import InputError
from tfnorm.schema import History, Id, Number


@pytest.fixture(scope="module")
def rows():
    """Of many items, as a log has them."""
    rng = np.random.default_rng(0)
    found = clicks.rows(400)
    for row in found:
        row["user"] = f"user {rng.integers(100_000)}"
        row["price"] = float(rng.lognormal(3))
    return found


def expected(schema):
    assert (schema.label, schema.group, schema.time) == ("click", "user", "ts")
    assert set(schema.target) == {"item", "category"}
    assert schema["item"] == Id("item", size=101, width=8)
    assert schema["category"] == Id("category", vocabulary=["books", "new", "toys"], width=8)
    user = schema["user"]
    assert user.hashed and 700 <= user.size <= 1000
    assert schema["tags"] == Id("tags", vocabulary=["t0", "t1"], width=8, many=True)
    assert schema["price"] == Number("price", scale="log")
    assert schema["embedding"].length == 2
    assert schema["history"] == History(
        "history",
        of={"item": "hist_items", "category": "hist_categories"},
        numbers=["hist_seconds"],
        length=6,
    )


@pytest.mark.parametrize(
    ("suffix", "write"),
    [
        ("parquet", clicks.write_parquet),
        ("jsonl", clicks.write_jsonl),
        ("tfrecord", clicks.write_tfrecord),
    ],
)
def test_what_a_log_looks_like_is_drafted_and_the_log_reads_with_it(suffix, write, rows, tmp_path):
    write(tmp_path / f"log.{suffix}", rows)
    schema = datasets.draft(tmp_path)
    expected(schema)
    read = {"jsonl": datasets.jsonl, "parquet": datasets.parquet, "tfrecord": datasets.tfrecord}
    assert len(read[suffix](tmp_path, schema).examples(1000)) == 400


def test_integers_with_gaps_or_from_0_in_a_history_are_hashed(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        {
            "video": int(rng.integers(50)),
            "seen": rng.integers(50, size=3).tolist(),
            "shop": int(rng.integers(1, 10)) * 10**9,
            "age": int(rng.integers(80)),
            "hour": int(rng.integers(24)),
            "clicked": n % 2,
        }
        for n in range(200)
    ]
    clicks.write_parquet(tmp_path / "log.parquet", rows)
    schema = datasets.draft(tmp_path)
    assert schema["video"].hashed and schema["video"].dtype == "string"
    assert schema["shop"].hashed
    assert schema["hour"] == Id("hour", size=24, width=8)
    assert schema["age"] == Number("age", scale="log")
    assert schema.target == ("video",)
    assert (schema.group, schema.time) == (None, None)
    assert len(datasets.parquet(tmp_path, schema).examples(1000)) == 200


def test_a_table_without_a_label_or_a_target_is_refused(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("item,price\n1,2.5\n2,3.5\n3,1\n")
    with pytest.raises(InputError, match="none of item, price has 0 and 1 alone"):
        datasets.draft(path)
    path.write_text("click,price\n1,2.5\n0,3.5\n")
    with pytest.raises(InputError, match="none of click, price looks like the id"):
        datasets.draft(path)
    path.rename(tmp_path / "log.txt")
    with pytest.raises(
        InputError, match=r"is of no known kind; accepted: files that end in \.parquet"
    ):
        datasets.draft(tmp_path / "log.txt")
