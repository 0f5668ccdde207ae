import click_rows as clicks
import pytest

from tfnorm import datasets
from tfnorm.errors import InputError

WRITERS = {
    "log.parquet": clicks.write_parquet,
    "log.csv": clicks.write_csv,
    "log.jsonl": clicks.write_jsonl,
}


@pytest.mark.parametrize("name", WRITERS)
def test_the_ending_of_their_names_tells_how_files_are_read(tmp_path, name):
    WRITERS[name](tmp_path / name, clicks.rows(9))
    log = datasets.read(tmp_path, clicks.SCHEMA)
    assert log.examples(9).features["item"].tolist() == list(range(1, 10))


def test_files_of_several_kinds_or_of_none_are_refused(tmp_path):
    clicks.write_parquet(tmp_path / "log.parquet", clicks.rows(2))
    clicks.write_csv(tmp_path / "log.csv", clicks.rows(2))
    with pytest.raises(InputError, match="are of several kinds; accepted"):
        datasets.read(tmp_path, clicks.SCHEMA)
    (tmp_path / "log.txt").write_text("")
    with pytest.raises(InputError, match=r"log.txt is of no known kind; accepted: .*\.parquet"):
        datasets.read(tmp_path / "log.txt", clicks.SCHEMA)
