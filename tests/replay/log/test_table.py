import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.replay.log.files import open_log

SPECS = {
    "x": tf.TensorSpec([None, 2], tf.float32),
    "item": tf.TensorSpec([None], tf.int32),
    "word": tf.TensorSpec([None], tf.string),
}
COLUMNS = {
    "request": ["a", "a", "b", "c", "c", "c"],
    "x": [[float(i), i + 0.5] for i in range(6)],
    "item": [3, 1, 4, 1, 5, 9],
    "word": ["1", "b", "c", "d", "e", "f"],
    "score": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
    "labels": [0, 1, 0, 1, 0, 1],
    "other": ["-"] * 6,
}


def write(path, **changed):
    columns = {k: v for k, v in (COLUMNS | changed).items() if v is not None}
    if path.suffix == ".parquet":
        pq.write_table(pa.table(columns), path)
    else:
        columns["x"] = ["|".join(map(str, row)) for row in columns["x"]]
        pyarrow.csv.write_csv(pa.table(columns), path)
    return path


def calls(path, inputs=SPECS, **options):
    log = open_log(path, inputs, labels=options.pop("labels", "labels"), **options)
    return log, [log.call(number, entry) for number, entry in log.entries()]


@pytest.fixture(params=["log.parquet", "log.csv"])
def path(request, tmp_path):
    return tmp_path / request.param


def test_the_rows_of_a_request_are_a_call(path):
    log, found = calls(write(path))
    assert log.batches_known
    assert [call.key for call in found] == ["a", "b", "c"]
    assert [len(call.outputs["score"]) for call in found] == [2, 1, 3]
    last = found[2]
    np.testing.assert_array_equal(last.inputs["x"], [[3, 3.5], [4, 4.5], [5, 5.5]])
    assert last.inputs["item"].tolist() == [1, 5, 9]
    assert last.inputs["word"].tolist() == [b"d", b"e", b"f"]
    assert last.labels.tolist() == [1, 0, 1]
    assert set(last.inputs) == set(SPECS) and set(last.outputs) == {"score"}


def test_without_such_a_column_rows_are_together_by_256(path):
    log, found = calls(write(path, request=None))
    assert not log.batches_known
    assert [len(call.outputs["score"]) for call in found] == [6]


def test_requests_go_on_across_the_parts_that_are_read(tmp_path):
    count = 10_000
    columns = {
        "request": np.repeat(np.arange(count // 50), 50),
        "item": np.arange(count),
        "score": np.arange(count) / count,
    }
    pq.write_table(pa.table(columns), tmp_path / "log.parquet")
    _, found = calls(tmp_path / "log.parquet", {"item": SPECS["item"]})
    assert [len(call.outputs["score"]) for call in found] == [50] * (count // 50)
    np.testing.assert_array_equal(
        np.concatenate([call.inputs["item"] for call in found]), np.arange(count)
    )


def test_columns_go_by_the_names_that_are_given(path):
    write(path, ctr=COLUMNS["score"], session=[1, 1, 1, 2, 2, 2], clicked=[1] * 6)
    _, found = calls(path, score="ctr", request="session", labels="clicked")
    assert [len(call.outputs["ctr"]) for call in found] == [3, 3]
    assert found[0].labels.tolist() == [1, 1, 1]


def test_a_column_of_another_name_may_be_a_score_as_the_model_knows(path):
    _, found = calls(write(path, score=None, ctr=COLUMNS["score"]))
    assert found[0].outputs["ctr"].tolist() == [0.1, 0.2]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"score": "ctr"}, "has no column 'ctr', which score names; it has 'request', 'x'"),
        ({"request": "session"}, "has no column 'session', which request names"),
    ],
)
def test_a_column_that_is_not_there_is_named(options, reason, path):
    with pytest.raises(InputError) as refused:
        calls(write(path), **options)
    assert reason in str(refused.value)


def test_a_null_is_named_with_its_row(path):
    with pytest.raises(InputError, match=f"^{path}: row 4: 'item' is null"):
        calls(write(path, item=[3, 1, 4, 1, None, 9]))


def test_a_damaged_file_is_named(tmp_path):
    path = write(tmp_path / "log.parquet")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=f"^{path}: its columns can't be read: ") as refused:
        calls(path)
    assert "\n" not in str(refused.value)
    path = tmp_path / "log.csv"
    path.write_text("item,score\n1,0.5\n2\n")
    with pytest.raises(InputError, match=f"^{path}: "):
        calls(path, {"item": SPECS["item"]})


def test_a_page_of_parquet_that_is_not_what_its_checksum_says_is_told(tmp_path):
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table(COLUMNS), path, write_page_checksum=True, compression="none")
    content = path.read_bytes()
    path.write_bytes(content.replace(np.float64(0.6).tobytes(), np.float64(0.7).tobytes(), 1))
    with pytest.raises(
        InputError, match=r"log\.parquet: the rows after row 0 can't be read: .*CRC"
    ):
        calls(path)


def test_parquet_is_told_by_how_it_begins_too(tmp_path):
    write(tmp_path / "log.parquet").rename(tmp_path / "log")
    _, found = calls(tmp_path / "log")
    assert [call.key for call in found] == ["a", "b", "c"] and all(call.typed for call in found)


def test_labels_that_only_some_rows_have_are_missing_there(path):
    _, found = calls(write(path, labels=[None, 1, 0, None, 0, 1]))
    labels = np.concatenate([call.labels for call in found])
    np.testing.assert_array_equal(labels, [np.nan, 1, 0, np.nan, 0, 1])


def test_a_null_in_a_column_that_may_be_no_score_leaves_the_others(path):
    columns = {"score": None, "ctr": COLUMNS["score"], "clicked": [1, None, 0, 0, 1, 1]}
    _, found = calls(write(path, **columns))
    assert [sorted(call.outputs) for call in found] == [["ctr"], *[["clicked", "ctr"]] * 2]
    columns["ctr"] = [None, *COLUMNS["score"][1:]]
    with pytest.raises(InputError, match="row 0: 'ctr' is null"):
        calls(write(path, **columns))


def test_whole_numbers_are_strings_where_the_model_takes_those(tmp_path):
    path = write(tmp_path / "log.parquet", word=[0, 12, -3, 1, 2, 3])
    _, found = calls(path)
    assert [one.inputs["word"].tolist() for one in found] == [
        [b"0", b"12"],
        [b"-3"],
        [b"1", b"2", b"3"],
    ]
