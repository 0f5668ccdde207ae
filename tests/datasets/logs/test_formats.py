"""Every format gives the same examples, and says what is wrong where."""

import gzip

import click_rows as clicks
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from tfnorm import datasets
from tfnorm.errors import InputError

COUNT = 30
FORMATS = {
    "parquet": (clicks.write_parquet, datasets.parquet),
    "csv": (clicks.write_csv, datasets.csv),
    "jsonl": (clicks.write_jsonl, datasets.jsonl),
    "tfrecord": (clicks.write_tfrecord, datasets.tfrecord),
}


def open_log(suffix, folder, given, **options):
    write, read = FORMATS[suffix]
    write(folder / f"log.{suffix}", given)
    return read(folder, clicks.SCHEMA, **options)


def whole(log):
    return log.examples(1000)


@pytest.fixture(scope="module")
def expected():
    return clicks.SCHEMA.examples(clicks.rows(COUNT))


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype.kind == array.dtype.kind, name
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_gives_the_examples_of_its_rows(suffix, tmp_path, expected):
    found = whole(open_log(suffix, tmp_path, clicks.rows(COUNT)))
    assert_same(found.features, expected)
    np.testing.assert_array_equal(found.labels, np.arange(COUNT) % 2)
    assert found.users.tolist() == [f"u{n % 7}".encode() for n in range(COUNT)]


def test_arrays_give_the_examples_of_their_rows(expected):
    found = whole(datasets.arrays(clicks.as_arrays(clicks.rows(COUNT)), clicks.SCHEMA))
    assert_same(found.features, expected)


def test_padded_arrays_give_the_examples_that_they_are(expected):
    columns = {**expected, "click": np.arange(COUNT) % 2, "ts": np.arange(COUNT)}
    assert_same(whole(datasets.arrays(columns, clicks.SCHEMA)).features, expected)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_text_may_be_packed(suffix, tmp_path, expected):
    write, read = FORMATS[suffix]
    write(tmp_path / "plain", clicks.rows(COUNT))
    (tmp_path / f"log.{suffix}.gz").write_bytes(gzip.compress((tmp_path / "plain").read_bytes()))
    assert_same(whole(read(tmp_path, clicks.SCHEMA)).features, expected)


def test_types_of_parquet_may_be_others_than_the_schemas(tmp_path, expected):
    table = pa.Table.from_pylist(clicks.rows(COUNT))
    types = {
        "item": pa.uint8(),
        "user": pa.dictionary(pa.int8(), pa.string()),
        "category": pa.large_string(),
        "price": pa.float64(),
        "hist_items": pa.large_list(pa.int16()),
        "embedding": pa.list_(pa.float32(), 2),
        "click": pa.bool_(),
    }
    for name, kind in types.items():
        position = table.column_names.index(name)
        table = table.set_column(position, name, table.column(name).cast(kind))
    pa.parquet.write_table(table, tmp_path / "log.parquet")
    assert_same(whole(datasets.parquet(tmp_path, clicks.SCHEMA)).features, expected)


def test_integers_are_taken_for_hashed_strings(tmp_path):
    given = [{**row, "user": n} for n, row in enumerate(clicks.rows(4))]
    for suffix in ("parquet", "tfrecord"):
        found = whole(open_log(suffix, tmp_path, given))
        assert found.features["user"].tolist() == [b"0", b"1", b"2", b"3"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_missing_column_is_named_with_the_file(suffix, tmp_path):
    given = [{k: v for k, v in row.items() if k != "item"} for row in clicks.rows(5)]
    with pytest.raises(InputError, match=rf"log\.{suffix}.*'item'"):
        whole(open_log(suffix, tmp_path, given))


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_null_is_an_error_that_names_row_and_column_or_what_the_policy_says(suffix, tmp_path):
    given = clicks.rows(6)
    null = "" if suffix == "csv" else None
    given[4] = {**given[4], "price": null, "item": null}
    with pytest.raises(
        InputError, match=r"row 4, column 'item' is null; accepted: a value; nulls="
    ):
        whole(open_log(suffix, tmp_path, given))
    missing = whole(open_log(suffix, tmp_path, given, nulls="missing")).features
    assert (missing["item"][4], missing["price"][4], len(missing["item"])) == (0, 0.0, 6)
    dropped = whole(open_log(suffix, tmp_path, given, nulls="drop")).features
    assert (dropped["price"] * 4).tolist() == [0, 1, 2, 3, 5]


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_nulls_of_strings_and_lists_and_in_lists_are_missing_too(suffix, tmp_path):
    given = clicks.rows(4)
    given[1] |= {"user": None, "tags": None, "embedding": [None, 1.0]}
    given[2] |= {
        "hist_items": [5, 6],
        "hist_categories": ["toys", None],
        "hist_seconds": [None, 2.0],
    }
    with pytest.raises(InputError, match="row 1, column 'user' is null"):
        whole(open_log(suffix, tmp_path, given))
    found = whole(open_log(suffix, tmp_path, given, nulls="missing"))
    assert found.features["user"][1] == b""
    assert not (found.features["tags"][1] != b"").any()
    assert found.features["embedding"][1].tolist() == [0.0, 0.0]
    assert found.features["hist_categories"][2][:2].tolist() == [b"toys", b""]
    assert found.features["hist_seconds"][2][:2].tolist() == [0.0, 2.0]
    kept = whole(open_log(suffix, tmp_path, given, nulls="drop"))
    assert (kept.features["price"] * 4).tolist() == [0, 3]


def test_a_label_that_is_null_is_an_error_or_its_row_left_out(tmp_path):
    given = clicks.rows(3)
    given[1]["click"] = None
    with pytest.raises(InputError, match="row 1, column 'click' is null"):
        whole(open_log("parquet", tmp_path, given))
    with pytest.raises(InputError, match=r"column 'click' is null; accepted: a value; nulls=.drop"):
        whole(open_log("parquet", tmp_path, given, nulls="missing"))
    assert len(whole(open_log("parquet", tmp_path, given, nulls="drop"))) == 2


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"item": 101}, r"row 3, column 'item' is 101; accepted: ids in \[0, 101\)"),
        ({"hist_items": [3, 0]}, "row 3, column 'hist_items' has 0 in a history"),
        ({"hist_items": [1] * 9}, "row 3, column 'hist_categories' has . values where"),
    ],
)
def test_a_wrong_value_is_named_by_file_row_and_column(suffix, changed, reason, tmp_path):
    given = clicks.rows(5)
    if "hist_items" in changed:
        given[3] |= {"hist_categories": ["toys", "toys"], "hist_seconds": [1.0, 1.0]}
    given[3] |= changed
    with pytest.raises(InputError, match=rf"log\.{suffix}.*{reason}"):
        whole(open_log(suffix, tmp_path, given))


@pytest.mark.parametrize("suffix", FORMATS)
def test_another_type_is_named_by_file_and_column(suffix, tmp_path):
    given = [{**row, "item": f"i{row['item']}"} for row in clicks.rows(5)]
    with pytest.raises(InputError, match=rf"log\.{suffix}") as caught:
        whole(open_log(suffix, tmp_path, given))
    assert "item" in str(caught.value) or "row 0" in str(caught.value)


def test_a_list_where_a_value_belongs_is_refused_and_the_reverse(tmp_path):
    for name, value, accepted in (("item", [1], "one value a row"), ("tags", "x", "lists")):
        given = [{**row, name: value} for row in clicks.rows(2)]
        with pytest.raises(InputError, match=rf"column '{name}' holds .*; accepted: {accepted}"):
            whole(open_log("parquet", tmp_path, given))


def test_a_vector_of_another_length_is_refused(tmp_path):
    given = clicks.rows(3)
    given[2]["embedding"] = [1.0]
    with pytest.raises(InputError, match=r"column 'embedding' has 1 numbers; accepted: 2"):
        whole(open_log("parquet", tmp_path, given))
    with pytest.raises(InputError, match=r"row 2, column 'embedding' has 1 values; accepted: 2"):
        whole(open_log("tfrecord", tmp_path, given))


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_damaged_file_is_named(suffix, tmp_path):
    write, read = FORMATS[suffix]
    path = tmp_path / f"log.{suffix}"
    write(path, clicks.rows(200))
    content = path.read_bytes()
    damaged = b'{"user": \n' if suffix == "jsonl" else b"a,b\n"
    if suffix in ("parquet", "tfrecord"):
        damaged = bytes(255 - byte for byte in content[40:4000])
        path.write_bytes(content[:40] + damaged + content[4000:])
    else:
        path.write_bytes(content + damaged)
    with pytest.raises(InputError, match=rf"log\.{suffix}.*can't be read"):
        whole(read(tmp_path, clicks.SCHEMA))
    path.write_bytes(b"")
    with pytest.raises(InputError, match=rf"{suffix}"):
        whole(read(tmp_path, clicks.SCHEMA))


def test_a_line_that_is_no_json_is_named_by_its_row(tmp_path):
    path = tmp_path / "log.jsonl"
    clicks.write_jsonl(path, clicks.rows(20))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:13], lines[13][:-1], *lines[14:]]))
    with pytest.raises(InputError, match=r"log\.jsonl, row 13 can't be read"):
        whole(datasets.jsonl(path, clicks.SCHEMA))


def test_strings_of_any_length_come_out_whole(tmp_path):
    given = clicks.rows(3)
    given[1]["user"] = "ü" * 500
    given[2]["user"] = "end\0"
    found = whole(open_log("parquet", tmp_path, given)).features["user"]
    assert found.tolist() == [b"u0", ("ü" * 500).encode(), b"end\0"]


def test_files_are_a_path_a_folder_a_pattern_or_a_list(tmp_path):
    (tmp_path / "day" / "hour").mkdir(parents=True)
    for n, place in enumerate(("a", "day/b", "day/hour/c")):
        clicks.write_parquet(tmp_path / f"{place}.parquet", clicks.rows(2, start=10 * n))
    (tmp_path / "notes.txt").write_text("mine")

    def rows(files):
        return (whole(datasets.parquet(files, clicks.SCHEMA)).features["price"] * 4).tolist()

    assert rows(tmp_path) == [0, 1, 10, 11, 20, 21]
    assert rows(str(tmp_path / "*.parquet")) == [0, 1]
    assert rows(str(tmp_path / "**" / "*.parquet")) == [0, 1, 10, 11, 20, 21]
    assert rows([tmp_path / "day", tmp_path / "a.parquet"]) == [10, 11, 20, 21, 0, 1]
    with pytest.raises(InputError, match=r"no\*\.parquet is no file"):
        rows(str(tmp_path / "no*.parquet"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: none ends in \.parquet"):
        rows(tmp_path / "empty")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: {k: v for k, v in c.items() if k != "item"}, "arrays has no 'item'"),
        (lambda c: {**c, "item": c["item"][:2]}, "arrays has 30 of 'user', 2 of 'item'"),
        (lambda c: {**c, "tags": c["item"]}, "column 'tags' is int64; accepted: lists"),
        (lambda c: {**c, "item": c["embedding"]}, r"column 'item' has the shape \[2\] a row"),
    ],
)
def test_arrays_that_are_no_log_are_refused(change, reason):
    with pytest.raises(InputError, match=reason):
        whole(datasets.arrays(change(clicks.as_arrays(clicks.rows(COUNT))), clicks.SCHEMA))
