import pytest

from tfnorm.errors import InputError
from tfnorm.replay.log.files import open_log


def test_a_log_that_is_not_there_is_told_with_what_is_accepted(tmp_path):
    with pytest.raises(InputError, match="does not exist; give a TFRecord of TensorFlow Serving's"):
        open_log(tmp_path / "nowhere", None, labels="labels")


@pytest.mark.parametrize("option", ["score", "request"])
def test_columns_are_a_tables(option, tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text("{}")
    with pytest.raises(InputError, match=f"{option} is 'a', a column of a table, but"):
        open_log(path, None, labels="labels", **{option: "a"})
