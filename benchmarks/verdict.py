"""Which dependences `tfnorm verify` finds, down to which size, and whether it accuses any clean model.

    python benchmarks/verdict.py --json benchmarks/results/verdict.jsonl --plot benchmarks/results/verdict.png
    python benchmarks/verdict.py --clean 100 --planted 100 --seed 5000

The models are those of `tests/verify/random_models.py`: of random depth, width, layers, type and number
of outputs, with few or many examples, some of which are the same or share a user. Clean ones must not
fail. In the others one of 17 dependences is planted, on the neighbours, or on the size of the batch or the
place in it; its effect is how far it moves a score, as a part of the scores' size. A dependence that moves
no bit of any score is none.

Exit status 1 where a clean model failed.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import matplotlib.pyplot as plt
from rich.console import Console
from rich.progress import track
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from verify.random_models import BY_NEIGHBOURS, SMALLEST, WORDS, clean, judged, planted  # noqa: E402

COLUMNS = (
    "neighbours, 32 or 64 bits",
    "neighbours, 16 bits",
    "size or place, 32 or 64 bits",
    "size or place, 16 bits",
)


@dataclass(frozen=True)
class Found:
    """A model and its verdict.

    Args:
        seed: of the model.
        dtype: what it computes in.
        form: how its scores depend on the batch; None where they don't.
        effect: how far, as a part of the scores' size.
        word: "passed", "failed", or "untold": it could not be told.
        moved: the largest move of a score.
    """

    seed: int
    dtype: str
    form: str | None
    effect: float
    word: str
    moved: float

    @property
    def column(self) -> str:
        """Where it stands in the table."""
        by = "neighbours" if self.form in BY_NEIGHBOURS else "size or place"
        return f"{by}, {'16' if '16' in self.dtype else '32 or 64'} bits"

    @property
    def decade(self) -> int:
        """The power of ten below its effect."""
        return math.floor(math.log10(self.effect))


def verdicts(make, seeds: range, console: Console) -> list[Found]:
    """The verdict on a model of each seed."""
    found = []
    for seed in track(seeds, make.__name__, console=console):
        made = make(seed)
        with tempfile.TemporaryDirectory() as directory:
            verdict = judged(made, Path(directory) / "model")
        found.append(Found(seed, made.dtype, made.form, made.effect, verdict.word, verdict.moved))
        if made.form is None and verdict.word == "failed":
            console.print(f"accused: seed {seed}, {', '.join(made.kinds)}: {verdict.by}")
    return found


def curve(found: list[Found]) -> Table:
    """How many of the planted dependences are found, by size."""
    table = Table("effect", *(f"{column}: found of" for column in COLUMNS))
    moving = [one for one in found if one.moved > 0]
    for decade in range(-1, math.floor(math.log10(SMALLEST)) - 1, -1):
        cells = []
        for column in COLUMNS:
            words = Counter(
                one.word for one in moving if (one.decade, one.column) == (decade, column)
            )
            untold = f", {words['untold']} untold" if words["untold"] else ""
            cells.append(f"{words['failed']} of {words.total()}{untold}")
        table.add_row(f"1e{decade} to 1e{decade + 1}", *cells)
    return table


def plot(found: list[Found], file: Path) -> None:
    """The curve as a picture."""
    figure, axes = plt.subplots(figsize=(8, 4))
    for column in COLUMNS:
        ours = [one for one in found if one.column == column and one.moved > 0]
        decades = sorted({one.decade for one in ours})
        shares = []
        for decade in decades:
            words = [one.word for one in ours if one.decade == decade]
            shares.append(100 * words.count("failed") / len(words))
        axes.plot([10 ** (decade + 0.5) for decade in decades], shares, marker="o", label=column)
    axes.set_xscale("log")
    axes.set_xlabel("effect: how far a score moves, as a part of its size")
    axes.set_ylabel("found, %")
    axes.grid(alpha=0.3)
    axes.legend(title="planted dependence on")
    figure.tight_layout()
    figure.savefig(file, dpi=120)


@click.command()
@click.option("--clean", "clean_models", default=1000, show_default=True, help="Clean models.")
@click.option("--planted", "planted_models", default=1000, show_default=True, help="Others.")
@click.option("--seed", default=0, show_default=True, help="Of the first model.")
@click.option("--json", "json_file", type=click.Path(path_type=Path))
@click.option("--plot", "plot_file", type=click.Path(path_type=Path))
def main(
    clean_models: int,
    planted_models: int,
    seed: int,
    json_file: Path | None,
    plot_file: Path | None,
) -> None:
    console = Console()
    start = time.process_time()
    innocent = verdicts(clean, range(seed, seed + clean_models), console)
    spoilt = verdicts(planted, range(seed, seed + planted_models), console)
    words = Counter(one.word for one in innocent)
    console.print("clean models:", ", ".join(f"{words[word]:,} {word}" for word in WORDS.values()))
    still = sum(one.moved == 0 for one in spoilt)
    console.print(f"planted: {len(spoilt):,}, of which {still:,} move no bit of a score")
    console.print(curve(spoilt))
    console.print(f"{time.process_time() - start:.0f} s of processor time")
    if json_file is not None:
        json_file.write_text(
            "\n".join(json.dumps(asdict(one)) for one in [*innocent, *spoilt]) + "\n"
        )
    if plot_file is not None:
        plot(spoilt, plot_file)
    sys.exit(bool(words["failed"]))


if __name__ == "__main__":
    main()
