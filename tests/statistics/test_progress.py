"""A bar for each pass over a dataset, where there is a terminal."""

from __future__ import annotations

import io
import sys

import pytest

from tfnorm.statistics.progress import progress_bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("total", "shown"), [(2, "2/2"), (None, "2/?")])
def test_each_pass_starts_a_bar_anew_and_counts_its_batches(monkeypatch, total, shown):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "stderr", stderr := Terminal())
    with progress_bar(total) as start:
        start("pass 1")()
        advance = start("pass 2")
        advance()
        advance()
    assert "pass 2" in stderr.getvalue()
    assert shown in stderr.getvalue()


def test_nothing_is_written_where_there_is_no_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", stderr := io.StringIO())
    with progress_bar(2) as start:
        start("pass 1")()
    assert not stderr.getvalue()
