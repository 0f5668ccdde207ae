import gzip
import json

import pytest

from tfnorm.errors import InputError
from tfnorm.replay.log.files import open_log


def test_a_log_that_is_not_there_is_told_with_what_is_accepted(tmp_path):
    with pytest.raises(InputError, match="does not exist; give a TFRecord of TensorFlow Serving's"):
        open_log(tmp_path / "nowhere", None, labels="labels")


def test_a_folder_is_no_log(tmp_path):
    with pytest.raises(InputError, match="is no file; give a TFRecord"):
        open_log(tmp_path, None, labels="labels")


@pytest.mark.parametrize("name", ["log.jsonl.gz", "log"])
def test_json_lines_may_be_packed(name, tmp_path):
    line = {"request": {"instances": [{"x": 1.0}]}, "response": {"predictions": [0.5]}}
    (tmp_path / name).write_bytes(gzip.compress(json.dumps(line).encode()))
    log = open_log(tmp_path / name, None, labels="labels")
    assert [log.call(*entry).outputs["predictions"] for entry in log.entries()] == [0.5]


@pytest.mark.parametrize("option", ["score", "request"])
def test_columns_are_a_tables(option, tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text("{}")
    with pytest.raises(InputError, match=f"{option} is 'a', a column of a table, but"):
        open_log(path, None, labels="labels", **{option: "a"})


@pytest.mark.parametrize(
    "damage", [lambda packed: packed[:-6], lambda packed: packed[:12] + b"?" * 40]
)
@pytest.mark.parametrize("name", ["log.jsonl.gz", "log"])
def test_what_is_packed_and_damaged_is_named(name, damage, tmp_path):
    line = {"request": {"instances": [[1.0]]}, "response": {"predictions": [0.5]}}
    (tmp_path / name).write_bytes(damage(gzip.compress(json.dumps(line).encode())))
    with pytest.raises(InputError, match=str(tmp_path / name)):
        list(open_log(tmp_path / name, None, labels="labels").entries())
