import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tfnorm.errors import InputError
from tfnorm.replay.log.call import Call
from tfnorm.replay.log.labels import Labels


def call(number=0, key=None):
    return Call(number, {}, {}, key=key)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_labels_are_joined_by_request_and_row(suffix, tmp_path):
    path = tmp_path / f"labels.{suffix}"
    rows = [(3, 1, 1), (0, 0, 0), (3, 0, 0), (0, 7, 1)]
    if suffix == "csv":
        path.write_text("\n".join(["request,row,label", *(",".join(map(str, r)) for r in rows)]))
    elif suffix == "jsonl":
        names = ("request", "row", "label")
        path.write_text("\n".join(json.dumps(dict(zip(names, r, strict=True))) for r in rows))
    else:
        columns = zip(*rows, strict=True)
        pq.write_table(pa.table(dict(zip(("request", "row", "label"), columns, strict=True))), path)
    labels = Labels(path)
    np.testing.assert_array_equal(labels.of(call(3), 3), [0, 1, np.nan])
    np.testing.assert_array_equal(labels.of(call(0), 2), [0, np.nan])
    assert labels.of(call(1), 2) is None
    # What the log calls it goes before its number.
    np.testing.assert_array_equal(labels.of(call(9, key="3"), 2), [0, 1])


def test_requests_may_have_names(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("request,row,label\nb-1,0,1\na-1,0,0\n")
    labels = Labels(path)
    assert labels.of(call(key="b-1"), 1).tolist() == [1]
    assert labels.of(call(key="c"), 1) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("request,label\n1,0\n", "has no column 'row'"),
        ("request,row,label\n1,0,yes\n", "column 'label' holds string"),
        ("request,row,label\n1,,1\n", "column 'row' has nulls"),
        ("request,row,label\n1,0\n", "can't be read"),
    ],
)
def test_a_file_that_is_none_is_refused(text, reason, tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        Labels(path)
    assert reason in str(refused.value) and str(path) in str(refused.value)


@pytest.mark.parametrize("request_", ["7", "b-1"])
def test_labels_of_one_row_that_differ_are_refused(request_, tmp_path):
    path = tmp_path / "labels.csv"
    rows = f"request,row,label\n{request_},1,1\n{request_},0,1\n{request_},1,%d\n"
    path.write_text(rows % 1)
    Labels(path)
    path.write_text(rows % 0)
    with pytest.raises(InputError, match=f"row 1 of request {request_} has two labels that differ"):
        Labels(path)
