"""Logs in CSV and in JSON lines."""

import gzip

import click_rows as clicks
import pytest
from click_rows import COUNT, assert_same, whole

from tfnorm.datasets.logs import arrow
from tfnorm.datasets.logs.text import csv, jsonl
from tfnorm.errors import InputError
from tfnorm.schema import History, Id, Number, Schema

FORMATS = {"csv": (clicks.write_csv, csv), "jsonl": (clicks.write_jsonl, jsonl)}
SCHEMA = Schema(
    [Id("item", size=99), Id("tags", size=9, hashed=True, many=True), Number("x")],
    target=["item"],
    label="y",
)


def read(path, text, **options):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return whole((csv if path.suffix == ".csv" else jsonl)(path, SCHEMA, **options)).features


@pytest.mark.parametrize("suffix", FORMATS)
def test_text_may_be_packed(suffix, tmp_path, expected):
    write, read = FORMATS[suffix]
    write(tmp_path / "plain", clicks.rows(COUNT))
    (tmp_path / f"log.{suffix}.gz").write_bytes(gzip.compress((tmp_path / "plain").read_bytes()))
    assert_same(whole(read(tmp_path, clicks.SCHEMA)).features, expected)


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_is_packed_and_cut_off_is_named(suffix, tmp_path):
    write, read = FORMATS[suffix]
    write(tmp_path / "plain", clicks.rows(COUNT))
    packed = gzip.compress((tmp_path / "plain").read_bytes())
    for content in (packed[: len(packed) // 2], packed[:15], b"plain"):
        (tmp_path / f"log.{suffix}.gz").write_bytes(content)
        with pytest.raises(InputError, match=rf"log\.{suffix}\.gz, after row \d+ can't be read"):
            whole(read(tmp_path, clicks.SCHEMA))


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_large_file_is_read_a_part_at_a_time_and_numbered_on(suffix, tmp_path, monkeypatch):
    monkeypatch.setattr(arrow, "ROWS", 4)
    write, read = FORMATS[suffix]
    write(tmp_path / f"log.{suffix}", clicks.rows(10))
    (block,) = read(tmp_path, clicks.SCHEMA).blocks
    assert [(table.first_row, len(table)) for table in block.read()] == [(0, 4), (4, 4), (8, 2)]


@pytest.mark.parametrize(
    "header",
    ["item,tags,x,y", "\ufeffitem,tags,x,y", '"item","tags","x","y"', "item,tags,x,y\r"],
    ids=["plain", "byte order mark", "quoted", "Windows"],
)
def test_the_first_line_of_a_csv_names_the_columns_in_any_order_with_others_between(
    header, tmp_path
):
    rows = [f"{header}", "3,a|b,1.5,1", "4,,-2,0", '5,"c",1e3,0']
    found = read(tmp_path / "a.csv", "\n".join(rows) + "\n")
    assert found["item"].tolist() == [3, 4, 5]
    assert found["tags"].tolist() == [[b"a", b"b"], [b"", b""], [b"c", b""]]
    assert found["x"].tolist() == [1.5, -2.0, 1000.0]


def test_a_name_may_have_a_comma_and_a_line_end(tmp_path):
    lines = '"a, b","of\ntwo",y,x,item,tags\n1,2,0,2.5,7,t\n'
    assert read(tmp_path / "a.csv", lines)["item"].tolist() == [7]
    with pytest.raises(InputError, match=r"has no column 'item', 'tags', 'x'; it has 'a, b', 'y'"):
        read(tmp_path / "a.csv", '"a, b",y\n1,2\n')


def test_the_values_of_a_list_are_separated_as_is_said(tmp_path):
    lines = "item,tags,x,y\n3,a;b|c,1,0\n"
    found = read(tmp_path / "a.csv", lines, separator=";")
    assert found["tags"].tolist() == [[b"a", b"b|c"]]
    schema = Schema(
        [Id("item", size=9), History("h", of={"item": "seen"})], target=["item"], label="y"
    )
    (tmp_path / "b.csv").write_text("item,seen,y\n3,1;2,0\n4,,0\n")
    assert whole(csv(tmp_path / "b.csv", schema, separator=";")).features["seen"].tolist() == [
        [1, 2],
        [0, 0],
    ]
    (tmp_path / "b.csv").write_text("item,seen,y\n3,1;2,0\n4,1|2,0\n")
    with pytest.raises(InputError, match=r"b\.csv, row 1, column 'seen': .* separated by ';'"):
        whole(csv(tmp_path / "b.csv", schema, separator=";"))


def test_an_empty_cell_is_null_unless_it_is_an_empty_string_or_list(tmp_path):
    lines = "item,tags,x,y\n3,,1,0\n,a,1,0\n"
    with pytest.raises(InputError, match=r"a\.csv, row 1, column 'item' is null"):
        read(tmp_path / "a.csv", lines)
    assert read(tmp_path / "a.csv", lines, nulls="missing")["item"].tolist() == [3, 0]


def test_an_empty_vector_or_number_of_a_list_is_null(tmp_path):
    schema = Schema(
        [
            Id("item", size=9),
            Number("v", length=2),
            History("h", of={"item": "seen"}, numbers=["s"]),
        ],
        target=["item"],
        label="y",
    )
    path = tmp_path / "a.csv"
    header, good = "item,v,seen,s,y\n", "3,1|2,4|5,0.5|1.5,0\n"
    for bad, column in (("3,,4|5,1|2,0", "v"), ("3,1|,4,1,0", "v"), ("3,1|2,4|5,|2,0", "s")):
        path.write_text(f"{header}{good}{bad}\n")
        with pytest.raises(InputError, match=rf"a\.csv, row 1, column '{column}' is null"):
            whole(csv(path, schema))
        assert len(csv(path, schema, nulls="drop")) == 1
    assert whole(csv(path, schema, nulls="missing")).features["s"].tolist() == [[0.5, 1.5], [0, 2]]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has no column 'item', .*it has none$"),
        ("item,tags,x,item,y\n3,a,1,4,0\n", "has several columns 'item'; accepted: one"),
        ("item,tags,x,y\n3,a\n", "after row 0 can't be read: .*2"),
        ("item,tags,x,y\nthree,a,1,0\n", "after row 0 can't be read: .*three"),
        (b"it\xffem,tags\n", "after row 0 can't be read: .*utf-8"),
    ],
    ids=["empty", "a column twice", "a cell too few", "a word for a number", "no text"],
)
def test_a_csv_that_is_none_is_named(text, reason, tmp_path):
    with pytest.raises(InputError, match=rf"a\.csv,? {reason}"):
        read(tmp_path / "a.csv", text)


GOOD = '{"item": 3, "tags": ["a"], "x": 1.5, "y": 1}\n'


def test_blank_lines_of_json_are_no_rows_and_other_keys_no_matter(tmp_path):
    text = GOOD + "\n  \n" + '{"z": {"a": 1}, "y": 0, "x": 2, "tags": [], "item": 4}'
    found = read(tmp_path / "a.jsonl", text)
    assert found["item"].tolist() == [3, 4] and found["x"].tolist() == [1.5, 2.0]
    with pytest.raises(InputError, match=r"a\.jsonl, row 2 can't be read"):
        read(tmp_path / "a.jsonl", GOOD + "\n" + GOOD + '{"item": "4"}')


def test_a_key_that_is_not_there_is_null(tmp_path):
    text = GOOD + '{"tags": null, "x": 1, "y": 0}\n'
    with pytest.raises(InputError, match=r"a\.jsonl, row 1, column 'item' is null"):
        read(tmp_path / "a.jsonl", text)
    assert read(tmp_path / "a.jsonl", text, nulls="missing")["item"].tolist() == [3, 0]


def test_a_line_may_be_longer_than_arrow_reads_at_once(tmp_path):
    tags = ", ".join(f'"{n:050}"' for n in range(40_000))
    text = GOOD + f'{{"item": 4, "tags": [{tags}], "x": 1, "y": 0}}\n'
    assert read(tmp_path / "a.jsonl", text)["tags"].shape == (2, 40_000)


@pytest.mark.parametrize(
    "line",
    [
        '{"item": 3, "x": 1.5',
        "[3]",
        "3",
        '{"item": "3", "x": 1}',
        '{"item": [3], "x": 1}',
        '{"item": 3, "x": 1, "tags": "a"}',
        '{"item": 3, "x": 1, "tags": ["a", 3]}',
        '{"item": 3.5, "x": 1}',
    ],
)
def test_a_line_that_is_no_row_is_named_by_its_number(line, tmp_path):
    with pytest.raises(InputError, match=r"a\.jsonl, row 2 can't be read"):
        read(tmp_path / "a.jsonl", GOOD * 2 + line + "\n" + GOOD)
