"""A progress bar for passes over a dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tfnorm.terminal import terminal_bars


@contextmanager
def progress_bar(total: int | None) -> Iterator[Callable[[str], Callable[[], None]]]:
    """A bar that starts anew for each named pass over `total` batches; None where that isn't known.

    Gives a function that starts a pass and returns what is to be called after each batch.
    """
    with terminal_bars("batches", transient=True) as bars:
        if bars is None:
            yield lambda name: lambda: None
            return
        task = bars.add_task("", total=total)

        def start(name: str) -> Callable[[], None]:
            bars.reset(task, description=name, total=total)
            return lambda: bars.advance(task)

        yield start
