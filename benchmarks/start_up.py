"""How long tfnorm takes to start, beside what it can't start without.

    taskset -c 1 python benchmarks/start_up.py

`import tfnorm` stands beside `import keras`, and `tfnorm --help` beside the import of the libraries that it
is made of. All run by turns, each in a process of its own; milliseconds of processor time, the median of the
rounds with the least and the most. A ratio is that of two turns of one round.
"""

from __future__ import annotations

import resource
import subprocess
import sys

import click
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table
from timing import spread_of, versions

PAIRS = {
    "import tfnorm": (["-c", "import tfnorm"], "import keras", ["-c", "import keras"]),
    "tfnorm --help": (
        ["-m", "tfnorm", "--help"],
        "import click, rich.console",
        ["-c", "import click, rich.console"],
    ),
}


def milliseconds(arguments: list[str]) -> float:
    """The processor time of a Python with these arguments."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1e3 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rounds", default=15, show_default=True, type=click.IntRange(3))
def main(rounds: int) -> None:
    """Print how long tfnorm takes to start."""
    drawn = Table(
        "what", "ms", "beside", "ms", "ratio", box=box.SIMPLE_HEAD, title=str(versions("keras"))
    )
    for name, (own, beside, peer) in PAIRS.items():
        # The first of each finds its files on the disk.
        milliseconds(own), milliseconds(peer)
        took = [
            (milliseconds(own), milliseconds(peer)) for _ in track(range(rounds), transient=True)
        ]
        ours, theirs = zip(*took, strict=True)
        ratios = [mine / other for mine, other in took]
        drawn.add_row(
            name,
            spread_of(ours).shown(0),
            beside,
            spread_of(theirs).shown(0),
            spread_of(ratios).shown(2),
        )
    Console(width=140).print(drawn)


if __name__ == "__main__":
    main()
