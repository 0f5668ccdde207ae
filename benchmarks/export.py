"""How long exports take to score a batch: Keras's own `model.export`, and tfnorm's.

    python benchmarks/export.py --json export.json

tfnorm exports unfolded, folded (its default), and bitwise: folded, with the same bits in every batch.
Each export is loaded into the C++ session that TensorFlow Serving uses. A `call` is that of
`SavedModel.run`, from Python's arrays to Python's arrays; the `graph` is what of it the session takes, for
arrays that are checked and in order. Every time is the median over rounds in which all exports of a model
run in turn, in one process, with the least and the most, in milliseconds of processor time, or of the clock
with `--clock wall`. A ratio is the time of Keras's graph over tfnorm's: above 1, tfnorm's is faster. The
exit status is 1 if the folded export misses its bar.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import keras
import numpy as np
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from timing import spreads, versions

from tfnorm._tensorflow import session_callable
from tfnorm.export import export_saved_model
from tfnorm.models import DIN
from tfnorm.session import DEFAULT_SIGNATURE, SavedModel

BATCHES = (1, 8, 64, 512)
KERAS, UNFOLDED, FOLDED, BITWISE = "Keras", "unfolded", "folded", "bitwise"
CALL, GRAPH = "call", "graph"
CLOCKS = {"processor": time.process_time, "wall": time.perf_counter}
# Model and batch -> the least ratio of the folded export. Medians on a shared machine vary by 5 %.
BARS = {("tower", 1): 1.15}
LEAST = 0.95
HISTORY = 50


def tower() -> keras.Model:
    """BatchNormalization after each Dense."""
    x = inputs = keras.Input((144,), name="x")
    for width in (512, 256, 128, 64):
        x = keras.layers.Dense(width)(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.ReLU()(x)
    return keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid", name="score")(x))


def din() -> keras.Model:
    """The size that the DIEN authors train on Amazon's books."""
    return DIN(item_count=367_983, category_count=1_601)


MODELS = {"tower": tower, "DIN": din}


def give_statistics(model: keras.Model) -> None:
    """Moving statistics as if trained."""
    generator = np.random.default_rng(0)
    for weight in model.weights:
        if weight.name == "moving_mean":
            weight.assign(generator.normal(size=weight.shape))
        elif weight.name == "moving_variance":
            weight.assign(generator.lognormal(size=weight.shape))


def features(model: keras.Model, rows: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(rows)
    made = {}
    for tensor in model.inputs:
        shape = [rows, *(size or HISTORY for size in tensor.shape[1:])]
        if tensor.dtype == "int32":
            made[tensor.name] = generator.integers(1, 1_600, shape, np.int32)
        else:
            made[tensor.name] = generator.normal(size=shape).astype(np.float32)
    return made


def exports(model: keras.Model, directory: Path) -> dict[str, SavedModel]:
    model.export(str(directory / "keras"), verbose=False)
    examples = features(model, 64)
    tfnorms = {
        UNFOLDED: {"fold": False},
        FOLDED: {"examples": examples, "allow_misfit_statistics": True},
        BITWISE: {
            "examples": examples,
            "allow_misfit_statistics": True,
            "batch_invariance": "bitwise",
        },
    }
    return {KERAS: SavedModel(directory / "keras")} | {
        kind: SavedModel(export_saved_model(model, directory / kind, **options).path)
        for kind, options in tfnorms.items()
    }


def graph_call(saved: SavedModel, feeds: dict[str, np.ndarray]) -> Callable[[], object]:
    """What the session does of a call."""
    definition = saved.signature_defs[DEFAULT_SIGNATURE]
    run = session_callable(
        saved.session,
        [info.name for info in definition.inputs.values()],
        [info.name for info in definition.outputs.values()],
    )
    arrays = [feeds[name] for name in definition.inputs]
    return lambda: run(*arrays)


def measure(
    name: str,
    model: keras.Model,
    directory: Path,
    rounds: int,
    clock: Callable[[], float],
    progress: Progress,
):
    """One row of figures a batch size."""
    loaded = exports(model, directory)
    for rows in BATCHES:
        feeds = features(model, rows)
        calls: dict[tuple[str, str], Callable[[], object]] = {}
        for kind, saved in loaded.items():
            calls[CALL, kind] = lambda saved=saved, feeds=feeds: saved.run(feeds)
            calls[GRAPH, kind] = graph_call(saved, feeds)
        times = spreads(calls, rounds=rounds, progress=progress, clock=clock)
        keras_took = times[GRAPH, KERAS].median
        ratios = {kind: keras_took / times[GRAPH, kind].median for kind in loaded}
        yield {
            "model": name,
            "batch": rows,
            "milliseconds": {
                part: {kind: times[part, kind]._asdict() for kind in loaded}
                for part in (CALL, GRAPH)
            },
            "ratios": ratios,
            "bar": BARS.get((name, rows), LEAST),
            "passed": ratios[FOLDED] >= BARS.get((name, rows), LEAST),
        }
    for saved in loaded.values():
        saved.close()


def table(results: list[dict]) -> Table:
    drawn = Table(
        title="milliseconds a batch, least to most, and how many times as fast as Keras's graph; "
        "the bar is for the folded",
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )
    for heading in ("model", "batch", "", *results[0]["ratios"], "bar"):
        drawn.add_column(heading)
    for result in results:
        for part, kinds in result["milliseconds"].items():
            cells = []
            for kind, took in kinds.items():
                cell = f"{took['median']:.3f} ({took['least']:.3f} to {took['most']:.3f})"
                ratio = part == GRAPH and kind != KERAS
                cells.append(f"{cell} {result['ratios'][kind]:.2f}x" if ratio else cell)
            verdict = "passed" if result["passed"] else "FAILED"
            bar = f"{result['bar']:.2f}x {verdict}" if part == GRAPH else ""
            drawn.add_row(result["model"], str(result["batch"]), part, *cells, bar)
    return drawn


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--model", "names", multiple=True, type=click.Choice(list(MODELS)), help="Only these."
)
@click.option("--rounds", default=300, show_default=True, type=click.IntRange(1))
@click.option("--clock", type=click.Choice(list(CLOCKS)), default="processor", show_default=True)
@click.option(
    "--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Figures here too."
)
def main(names: tuple[str, ...], rounds: int, clock: str, file: Path | None) -> None:
    """Print the latency of exports of a tower and of DIN, and check the bars."""
    results = []
    with Progress(transient=True) as progress, tempfile.TemporaryDirectory() as directory:
        for name in names or MODELS:
            model = MODELS[name]()
            give_statistics(model)
            results += measure(name, model, Path(directory, name), rounds, CLOCKS[clock], progress)
    Console(width=None if sys.stdout.isatty() else 200).print(table(results))
    if file is not None:
        report = {"versions": versions("tensorflow", "keras", "numpy"), "results": results}
        file.write_text(json.dumps(report, indent=2))
    if not all(result["passed"] for result in results):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
