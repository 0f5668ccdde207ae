import io
import sys
from types import SimpleNamespace

import pytest

from tfnorm import terminal
from tfnorm.cli.output import auc, show, stages, two_columns


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_long_value_is_folded_and_not_cut(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    table = two_columns("exported", "here")
    table.add_row("next", value := "tfnorm verify " + "x" * 60)
    show(table)
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 40
    assert "".join(shown.split()).endswith("next" + value.replace(" ", ""))


@pytest.mark.parametrize(
    ("best", "expected"), [(None, "0.7500"), (0.8, "0.7500 (the best possible: 0.8000)")]
)
def test_the_auc_is_shown_beside_the_best_that_is_possible(best, expected):
    assert auc(SimpleNamespace(auc=0.75, best_auc=best)) == expected


def test_each_stage_has_a_bar_on_a_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "stderr", stderr := Terminal())
    with stages() as progress:
        for stage, total in (("train", 3), ("verify", 5)):
            for done in range(total + 1):
                progress(stage, done, total)
    shown = stderr.getvalue()
    assert "train" in shown and "3/3" in shown
    assert "verify" in shown and "5/5" in shown


def test_a_stage_whose_length_is_not_known_has_a_bar_until_the_next_begins(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "stderr", stderr := Terminal())
    with stages() as progress:
        progress("load", 0, 0)
        (bars,) = terminal._shown
        bars.refresh()
        shown = [[task.description for task in bars.tasks]]
        for stage, done, total in (("verify", 5, 5), ("search", 0, 0), ("search", 0, 0)):
            progress(stage, done, total)
            shown.append([task.description for task in bars.tasks])
    assert shown == [["load"], ["verify"], ["verify", "search"], ["verify", "search"]]
    assert "load" in stderr.getvalue()
    assert [task.description for task in bars.tasks] == ["verify"]


def test_elsewhere_nothing_is_shown(monkeypatch):
    monkeypatch.setattr(sys, "stderr", stderr := io.StringIO())
    with stages() as progress:
        progress("train", 1, 3)
    assert not stderr.getvalue()
