"""A bar where there is a terminal, and nothing where there is none."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tfnorm.statistics import progress


@pytest.fixture
def console(monkeypatch) -> Console:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    monkeypatch.setattr("rich.console.Console", lambda **settings: console)
    return console


@pytest.mark.parametrize(("total", "shown"), [(2, "2/2"), (None, "2/?")])
def test_each_pass_starts_a_bar_anew_and_counts_its_batches(console, total, shown):
    with progress.progress_bar(total) as start:
        start("pass 1")()
        advance = start("pass 2")
        advance()
        advance()
    drawn = console.file.getvalue()
    assert "pass 2" in drawn
    assert shown in drawn


def test_nothing_is_written_where_there_is_no_terminal(capsys):
    with progress.progress_bar(2) as start:
        advance = start("pass 1")
        advance()
    assert capsys.readouterr() == ("", "")
