"""Every format gives the same examples, and says what is wrong where."""

import click_rows as clicks
import numpy as np
import pytest
from click_rows import COUNT, assert_same, whole

from tfnorm import datasets
from tfnorm.errors import InputError

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


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_gives_the_examples_of_its_rows(suffix, tmp_path, expected):
    found = whole(open_log(suffix, tmp_path, clicks.rows(COUNT)))
    assert_same(found.features, expected)
    np.testing.assert_array_equal(found.labels, np.arange(COUNT) % 2)
    assert found.users.tolist() == [f"u{n % 7}".encode() for n in range(COUNT)]


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_shuffled_epoch_has_each_row_of_several_files_once(suffix, tmp_path):
    """One of the files has one row, fewer than a batch."""
    write, read = FORMATS[suffix]
    for first, end in ((0, 11), (11, 12), (12, COUNT)):
        write(tmp_path / f"{first}.{suffix}", clicks.rows(end - first, start=first))
    log = read(tmp_path, clicks.SCHEMA)
    batches = list(log.batches(4, shuffle_seed=0).as_numpy_iterator())
    order = [int(price * 4) for features, _ in batches for price in features["price"]]
    assert sorted(order) == list(range(COUNT)) != order
    assert [len(labels) for _, labels in batches] == [4] * 7 + [2]


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
    with pytest.raises(InputError, match=rf"log\.{suffix}.*(can't be read|is damaged)"):
        whole(read(tmp_path, clicks.SCHEMA))
    path.write_bytes(b"")
    with pytest.raises(InputError, match=rf"{suffix}"):
        whole(read(tmp_path, clicks.SCHEMA))
