import io
import sys

from tfnorm.terminal import terminal_bars


class Terminal(io.StringIO):
    def isatty(self):
        return True


def draw(**options):
    with terminal_bars("batches", **options) as bars:
        if bars is not None:
            bars.update(bars.add_task("pass 1", total=4), completed=3)


def test_a_terminal_shows_the_stage_and_the_counts(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "stderr", stderr := Terminal())
    draw()
    assert "pass 1" in stderr.getvalue()
    assert "3/4" in stderr.getvalue() and "batches" in stderr.getvalue()


def test_a_file_gets_nothing_even_where_colours_are_forced(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys, "stderr", stderr := io.StringIO())
    draw()
    assert not stderr.getvalue()


def test_a_process_without_stderr_has_no_bars(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    draw()


def test_bars_inside_of_others_are_drawn_with_them_and_go_when_they_are_done(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "stderr", stderr := Terminal())
    with terminal_bars() as bars:
        bars.add_task("train", total=2)
        draw(transient=True)
        assert [task.description for task in bars.tasks] == ["train"]
        draw()
        assert [task.description for task in bars.tasks] == ["train", "pass 1"]
    assert "3/4" in stderr.getvalue()
    draw()
    assert stderr.getvalue().count("pass 1") >= 2


def test_an_error_takes_the_inner_bars_away(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with terminal_bars() as outer:
        try:
            with terminal_bars(transient=True) as inner:
                inner.add_task("pass 1")
                raise KeyError
        except KeyError:
            pass
        assert not outer.tasks
