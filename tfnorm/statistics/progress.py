"""A progress bar on the terminal, and nothing where there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(total: int | None) -> Iterator[Callable[[str], Callable[[], None]]]:
    """A bar that starts anew for each named pass over `total` batches; None where that isn't known.

    Gives a function that starts a pass and returns what is to be called after each batch.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda name: lambda: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("batches"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total)

        def start(name: str) -> Callable[[], None]:
            bar.reset(task, description=name, total=total)
            return lambda: bar.advance(task)

        yield start
