import datetime

import click_rows as clicks
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from tfnorm import datasets
from tfnorm.datasets.draft import drafted
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
        ("csv", clicks.write_csv),
    ],
)
def test_what_a_log_looks_like_is_drafted_and_the_log_reads_with_it(suffix, write, rows, tmp_path):
    write(tmp_path / f"log.{suffix}", rows)
    schema = datasets.draft(tmp_path)
    expected(schema)
    assert len(datasets.read(tmp_path, schema).examples(1000)) == 400


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


def test_a_table_has_rows_for_what_histories_alone_have(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        {
            "item": int(rng.integers(1, 90)),
            "kind": str(rng.choice(["a", "b"])),
            "seen": rng.integers(1, 100, size=3).tolist(),
            "seen_kinds": rng.choice(["a", "b", "c"], size=3).tolist(),
            "click": n % 2,
        }
        for n in range(400)
    ]
    clicks.write_parquet(tmp_path / "log.parquet", rows)
    schema = datasets.draft(tmp_path)
    assert schema["history"].of == {"item": "seen", "kind": "seen_kinds"}
    assert schema["item"].size == 100
    assert schema["kind"].vocabulary == ("a", "b", "c")


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


def table(path, **columns):
    pa.parquet.write_table(pa.table(columns), path)
    return path


ITEMS = [1, 2, 3, 4]
CLICKS = [0, 1, 1, 0]


@pytest.mark.parametrize(
    "nothing",
    [
        pa.nulls(4),
        pa.nulls(4, pa.int64()),
        pa.nulls(4, pa.float64()),
        pa.nulls(4, pa.bool_()),
        pa.nulls(4, pa.string()),
        pa.nulls(4, pa.timestamp("s")),
        pa.nulls(4, pa.list_(pa.int64())),
        pa.array([[], None, [], []], pa.list_(pa.int64())),
        pa.array([[], None, [], []], pa.list_(pa.null())),
        pa.array([float("nan"), None, float("nan"), None]),
        pa.array([[None], [], None, [None]], pa.list_(pa.string())),
    ],
    ids=lambda array: str(array.type),
)
def test_a_column_without_a_value_is_neither_label_nor_feature(nothing, tmp_path):
    """Even where it is called so, and comes first."""
    path = table(
        tmp_path / "a.parquet", click_seen=nothing, item=ITEMS, label=CLICKS, user_x=nothing
    )
    schema, left_out = drafted(path)
    assert schema.label == "label" and list(schema.columns) == ["item"] and schema.group is None
    assert left_out == dict.fromkeys(["click_seen", "user_x"], "without a value")
    path = table(tmp_path / "b.parquet", click=nothing, item=ITEMS)
    with pytest.raises(InputError, match="none of item has 0 and 1 alone"):
        datasets.draft(path)


def test_nulls_of_no_type_in_one_file_do_not_hide_what_the_next_has(tmp_path):
    table(tmp_path / "a.parquet", shop=pa.nulls(4), item=ITEMS, click=CLICKS)
    table(tmp_path / "b.parquet", shop=["a", "b", "a", "c"], item=ITEMS, click=CLICKS)
    assert datasets.draft(tmp_path)["shop"].dtype == "string"


@pytest.mark.parametrize(
    ("column", "shown"),
    [
        ([-1, 1, 1, -1], "-1, 1"),
        ([1, 2, 2, 1], "1, 2"),
        (["no", "yes", "yes", "no"], "'no', 'yes'"),
        ([0, 0, 0, 0], "0"),
        ([1, 1, 1, 1], "1"),
        ([0, 1, 2, 3], "0, 1, 2, ..."),
    ],
)
def test_a_label_of_other_values_is_refused_and_no_other_column_is_taken_for_it(
    column, shown, tmp_path
):
    path = table(tmp_path / "a.parquet", item=ITEMS, mobile=CLICKS, click=column)
    with pytest.raises(InputError, match=rf"'click', which is called like a label, holds {shown};"):
        datasets.draft(path)


def test_a_label_is_called_like_one_by_its_words(tmp_path):
    path = table(
        tmp_path / "a.parquet", unlikely=CLICKS, item=ITEMS, past_clicks=ITEMS, was_clicked=CLICKS
    )
    assert datasets.draft(path).label == "was_clicked"
    path = table(tmp_path / "a.parquet", candidate_page=ITEMS, account=ITEMS, y=CLICKS)
    schema = datasets.draft(path)
    assert schema.target == ("candidate_page", "account") and schema.time is None


@pytest.mark.parametrize("values", [[False, True, True, False], [0.0, 1.0, None, float("nan")]])
def test_labels_are_booleans_and_have_holes_too(values, tmp_path):
    path = table(tmp_path / "a.parquet", item=ITEMS, click=values)
    schema = datasets.draft(path)
    assert schema.label == "click"
    labels = datasets.parquet(path, schema, nulls="drop").examples(10).labels
    assert labels.tolist() == [float(v) for v in values if v == v and v is not None]


def test_booleans_are_numbers_in_every_format(tmp_path):
    rows = [
        {"item": n + 1, "mobile": n % 3 == 0, "flags": [n > 1, True], "click": n % 2 == 0}
        for n in range(5)
    ]
    clicks.write_parquet(tmp_path / "a.parquet", rows)
    clicks.write_jsonl(tmp_path / "a.jsonl", rows)
    schema = datasets.draft(tmp_path / "a.parquet")
    assert schema == datasets.draft(tmp_path / "a.jsonl")
    assert schema["mobile"] == Number("mobile", scale="standard")
    assert schema["flags"] == Number("flags", length=2, scale="standard")
    for row in rows:
        del row["flags"]
    clicks.write_csv(tmp_path / "b.csv", rows)
    for path in sorted(tmp_path.iterdir()):
        schema = datasets.draft(path)
        found = datasets.read(path, schema).examples(10)
        assert found.features["mobile"].tolist() == [1, 0, 0, 1, 0], path
        assert found.labels.tolist() == [1, 0, 1, 0, 1], path


def test_decimals_without_a_fraction_are_ids_and_others_numbers(tmp_path):
    path = table(
        tmp_path / "a.parquet",
        item=pa.array([10**12, 5, 7, None]).cast(pa.decimal128(38, 0)),
        cents=pa.array([1, 2, 3, 4]).cast(pa.decimal128(25, 2)),
        click=pa.array(CLICKS).cast(pa.decimal128(38, 0)),
    )
    schema = datasets.draft(path)
    assert schema.target == ("item",) and schema["item"].hashed and schema.label == "click"
    assert schema["cents"] == Number("cents", scale="standard")
    found = datasets.parquet(path, schema, nulls="missing").examples(10)
    assert found.features["item"].tolist() == [b"1000000000000", b"5", b"7", b""]


def test_what_can_be_no_feature_is_left_out_and_told(tmp_path):
    day = datetime.datetime(2020, 1, 1)
    path = table(
        tmp_path / "a.parquet",
        item=ITEMS,
        geo=[{"x": 1}] * 4,
        pairs=[[[1, 2]]] * 4,
        prices=[[1.5], [2.5, 3.5], [], [1.0]],
        vector=pa.array([[1.5, 2.5], None, [0.5, 1.5], [1.0, 2.0]]),
        hour=[day.time()] * 4,
        took=pa.array([1, 2, 3, 4], pa.duration("s")),
        ts=pa.array([1, 2, 3, 4]),
        shown=[day] * 4,
        sent=[day.date()] * 4,
        visits=[[day]] * 4,
        click=CLICKS,
        **{"": [1, 2, 3, 4]},
    )
    schema, left_out = drafted(path)
    assert list(schema.columns) == ["item", "vector", "ts"] and schema["vector"].length == 2
    assert (schema.label, schema.time) == ("click", "shown")
    other = "of a type that is neither integers, numbers, strings nor lists of them"
    assert left_out == {
        **dict.fromkeys(["geo", "pairs", "hour", "took"], other),
        "visits": "lists of times",
        "sent": "a time",
        "prices": "lists of numbers of different lengths",
        "": "without a name",
    }
    assert len(datasets.parquet(path, schema, nulls="missing").examples(10)) == 4


def test_the_group_is_the_user_of_most_values_and_ids_may_be_negative(tmp_path):
    path = table(
        tmp_path / "a.parquet",
        user_sex=["a", "b", "a", "b"],
        item_id=[-1, 5, 7, 9],
        userId=[3, 4, 5, 6],
        click=CLICKS,
    )
    schema = datasets.draft(path)
    assert schema.group == "userId" and schema["item_id"].hashed
    assert set(schema.target) == {"user_sex", "item_id"}


def test_bytes_that_are_no_text_are_hashed(tmp_path):
    path = table(tmp_path / "a.parquet", item=[b"\xff", b"a"] * 20, click=CLICKS * 10)
    assert datasets.draft(path)["item"].hashed


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl", "tfrecord"])
def test_files_without_rows_are_refused(suffix, tmp_path):
    path = tmp_path / f"a.{suffix}"
    if suffix == "parquet":
        table(path, item=pa.array([], pa.int64()), click=pa.array([], pa.int64()))
    else:
        path.write_text("item,click\n" if suffix == "csv" else "")
    with pytest.raises(InputError, match=rf"a\.{suffix} (has no rows; accep|can't be read: Empty)"):
        datasets.draft(path)
