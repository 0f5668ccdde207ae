import click_rows as clicks
import pytest
from command_line import run

from tfnorm.schema import Schema


def test_a_schema_is_drafted_and_shown(tmp_path, capsys):
    clicks.write_parquet(tmp_path / "log.parquet", clicks.rows(60))
    assert run("schema", tmp_path / "*.parquet", "--output", tmp_path / "schema.json") == 0
    drafted = Schema.load(tmp_path / "schema.json")
    assert (drafted.label, drafted.group, drafted.time) == ("click", "user", "ts")
    shown = " ".join(capsys.readouterr().out.split())
    for said in (
        "item id, ",
        "history of item in hist_items",
        "with hist_seconds, ",
        "price number",
        "label click",
    ):
        assert said in shown
    assert "tfnorm train --schema" in shown


@pytest.mark.parametrize(
    ("files", "reason"),
    [(["nowhere/*.parquet"], "is no file"), (["log.txt"], "is of no known kind"), ([], "FILES")],
)
def test_what_can_not_be_read_is_one_line(tmp_path, monkeypatch, capsys, files, reason):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log.txt").write_text("")
    assert run("schema", *files) == 2
    error = capsys.readouterr().err
    assert reason in error and len(error.strip().splitlines()) == 1
    assert not (tmp_path / "schema.json").exists()


def test_a_schema_that_was_corrected_is_not_written_over(tmp_path, capsys):
    clicks.write_parquet(tmp_path / "log.parquet", clicks.rows(60))
    (tmp_path / "schema.json").write_text("{}")
    assert run("schema", tmp_path / "log.parquet", "--output", tmp_path / "schema.json") == 2
    assert "is there already; accepted: a new file" in capsys.readouterr().err
    assert (tmp_path / "schema.json").read_text() == "{}"
