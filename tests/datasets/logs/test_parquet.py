"""Logs in Parquet files."""

import click_rows as clicks
import pyarrow as pa
import pyarrow.parquet
import pytest
from click_rows import COUNT, assert_same, whole

from tfnorm.datasets.logs import arrow
from tfnorm.datasets.logs.parquet import parquet
from tfnorm.errors import InputError


def test_types_may_be_others_than_the_schemas(tmp_path, expected):
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
    assert_same(whole(parquet(tmp_path, clicks.SCHEMA)).features, expected)


def test_a_list_where_a_value_belongs_is_refused_and_the_reverse(tmp_path):
    for name, value, accepted in (("item", [1], "one value a row"), ("tags", "x", "lists")):
        given = [{**row, name: value} for row in clicks.rows(2)]
        clicks.write_parquet(tmp_path / "log.parquet", given)
        with pytest.raises(InputError, match=rf"column '{name}' holds .*; accepted: {accepted}"):
            whole(parquet(tmp_path, clicks.SCHEMA))


def test_each_row_group_is_a_block_with_a_mark_of_its_own(tmp_path):
    clicks.write_parquet(tmp_path / "a.pq", clicks.rows(10), row_group_size=4)
    clicks.write_parquet(tmp_path / "b.parquet", clicks.rows(3, start=10))
    blocks = parquet(tmp_path, clicks.SCHEMA).blocks
    assert [block.rows for block in blocks] == [4, 4, 2, 3]
    assert [block.where.partition(", ")[2] for block in blocks] == [
        *(f"row group {n}" for n in range(3)),
        "row group 0",
    ]
    assert len({block.mark for block in blocks}) == 4
    (table,) = blocks[2].read()
    assert table.columns["ts"].values.tolist() == [1008, 1009]


def test_a_large_row_group_is_read_a_part_at_a_time_and_numbered_on(tmp_path, monkeypatch):
    monkeypatch.setattr(arrow, "ROWS", 4)
    clicks.write_parquet(tmp_path / "log.parquet", clicks.rows(10))
    (block,) = parquet(tmp_path, clicks.SCHEMA).blocks
    assert [(table.first_row, len(table)) for table in block.read()] == [(0, 4), (4, 4), (8, 2)]


def test_what_is_no_parquet_and_what_lacks_a_column_are_refused_when_it_is_opened(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"no")
    with pytest.raises(InputError, match=r"a\.parquet can't be read: ") as caught:
        parquet(tmp_path, clicks.SCHEMA)
    assert "\n" not in str(caught.value)
    clicks.write_parquet(tmp_path / "a.parquet", [{"user": "u"}])
    with pytest.raises(InputError, match=r"a\.parquet has no column 'item', .*; it has 'user'"):
        parquet(tmp_path, clicks.SCHEMA)


def test_a_file_that_goes_while_it_is_read_is_named(tmp_path):
    clicks.write_parquet(tmp_path / "a.parquet", clicks.rows(3))
    log = parquet(tmp_path, clicks.SCHEMA)
    (tmp_path / "a.parquet").unlink()
    with pytest.raises(InputError, match=r"row group 0, after row 0 can't be read: .*No such file"):
        whole(log)


def test_a_page_that_is_not_what_its_checksum_says_is_told(tmp_path):
    path = tmp_path / "log.parquet"
    rows = pa.Table.from_pylist(clicks.rows(200))
    pa.parquet.write_table(
        rows, path, write_page_checksum=True, compression="none", use_dictionary=False
    )
    content = bytearray(path.read_bytes())
    content[content.index(b"\5\0\0\0books") + 4] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"log\.parquet, row group 0, after row 0 can't be read"):
        whole(parquet(path, clicks.SCHEMA))
