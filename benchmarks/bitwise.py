"""Whether an example's bits depend on its batch: exports x oneDNN x threads x sizes, and what it costs.

    python benchmarks/bitwise.py --json bitwise.json
    python benchmarks/bitwise.py --every-size
    python benchmarks/bitwise.py --ops

Each model is exported with batch_invariance "tolerance" and "bitwise". In a process for each setting,
128 examples are scored one at a time, then in batches: of each size, drawn with repetition so that
neighbours and places vary, some neighbours a thousand times as large; and filled up with copies of the
first row to the next size that TensorFlow Serving is configured for. A size counts as differing if one
output of one row has other bits than alone. The plain export is tried once more "in eights", each batch
rounded up to eights by copies of its first row, which is the simplest thing that might do. With --ops
the models are single ops.

The price is the time of DIN's bitwise export over that of the plain one, medians of rounds in which both
run in turn. The exit status is 1 if bits differ in a bitwise export, or the price is above 1.25.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import click
import keras
import numpy as np
import tensorflow as tf
from keras import layers
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from timing import medians, versions

import tfnorm
from tfnorm.export import export_saved_model
from tfnorm.session import SavedModel

EXAMPLES = 128
LARGEST = 1024
ALLOWED_SIZES = (1, 8, 32, 128, 512, 1024)
SETTINGS = [(onednn, threads) for onednn in (True, False) for threads in (1, 2, 16)]
EXPORTS = ("tolerance", "bitwise")
ROUNDED = "in eights"
PRICED_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
HISTORIES = (20, 50)
DEAREST = 1.25


def dense(*widths: int) -> keras.Model:
    x = inputs = keras.Input((widths[0],), name="x")
    for width, activation in zip(widths[1:], ("relu", "tanh", "sigmoid"), strict=False):
        x = layers.Dense(width, activation)(x)
    return keras.Model(inputs, layers.Dense(1, "sigmoid")(x))


def convolutions() -> keras.Model:
    x = inputs = keras.Input((20, 36), name="x")
    x = layers.Conv1D(64, 5, activation="relu")(x)
    x = layers.Conv1D(30, 3, padding="same", activation="gelu")(x)
    return keras.Model(inputs, layers.Dense(1)(layers.GlobalAveragePooling1D()(x)))


def few_steps() -> keras.Model:
    x = inputs = keras.Input((5, 9), name="x")
    x = layers.Conv1D(20, 4, padding="same", activation="silu")(x)
    return keras.Model(inputs, layers.Dense(1)(layers.GlobalAveragePooling1D()(x)))


def image() -> keras.Model:
    x = inputs = keras.Input((10, 10, 3), name="x")
    for filters in (16, 32):
        x = layers.Conv2D(filters, 3, activation="relu")(x)
        x = layers.BatchNormalization()(x)
    x = layers.AveragePooling2D(2)(layers.DepthwiseConv2D(2)(x))
    x = layers.Conv2DTranspose(5, 3, activation="elu")(x)
    return keras.Model(inputs, layers.Dense(3, "softmax")(layers.Flatten()(x)))


def embeddings() -> keras.Model:
    ids, tag = (
        keras.Input((None,), name="ids", dtype="int32"),
        keras.Input((), name="tag", dtype="string"),
    )
    vectors = layers.Embedding(100, 18, mask_zero=True)(ids)
    words = layers.StringLookup(vocabulary=[f"t{i}" for i in range(20)])(tag)
    x = layers.Concatenate()(
        [layers.GlobalAveragePooling1D()(vectors), layers.Embedding(21, 5)(words)]
    )
    x = layers.UnitNormalization()(x)
    outputs = {"click": layers.Dense(1, "sigmoid")(x), "kind": layers.Dense(7, "softmax")(x)}
    return keras.Model([ids, tag], outputs)


def attention() -> keras.Model:
    x = inputs = keras.Input((20, 100), name="x")
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(4, 25)(x, x))
    x = layers.LayerNormalization()(x + layers.Dense(100)(layers.Dense(50, "gelu")(x)))
    return keras.Model(inputs, layers.Dense(1)(layers.GlobalAveragePooling1D()(x)))


def recurrent() -> keras.Model:
    ids = keras.Input((12,), name="ids", dtype="int32")
    x = layers.GRU(120, return_sequences=True)(layers.Embedding(100, 36, mask_zero=True)(ids))
    return keras.Model(ids, layers.Dense(1, "sigmoid")(layers.GRU(30)(x)))


def normalized() -> keras.Model:
    x = inputs = keras.Input((30,), name="x")
    for layer in (layers.BatchNormalization(), tfnorm.BatchNormalization(), tfnorm.Dice()):
        x = layers.Dense(33, "softplus")(layer(x))
    return keras.Model(inputs, layers.Dense(1, "sigmoid")(x))


MODELS = {
    "Dense 18-9-1": lambda: dense(18, 9),
    "Dense 144-200-80-1": lambda: dense(144, 200, 80),
    "Dense 300-2048-1000-1": lambda: dense(300, 2048, 1000),
    "Conv1D": convolutions,
    "Conv1D of 5 steps": few_steps,
    "Conv2D": image,
    "Embedding": embeddings,
    "attention": attention,
    "GRU": recurrent,
    "BatchNormalization, Dice": normalized,
    "DIN": lambda: tfnorm.models.DIN(item_count=501, category_count=21),
    "DIEN": lambda: tfnorm.models.DIEN(item_count=501, category_count=21),
}


def alone(*shape: int, op: Callable[[tf.Tensor], tf.Tensor] | layers.Layer) -> keras.Model:
    inputs = keras.Input(shape, name="x")
    return keras.Model(inputs, (op if isinstance(op, layers.Layer) else layers.Lambda(op))(inputs))


OPS = {
    "sigmoid of 8": lambda: alone(8, op=tf.sigmoid),
    "sigmoid of 3": lambda: alone(3, op=tf.sigmoid),
    "softmax of 8": lambda: alone(8, op=tf.nn.softmax),
    "mean of 36, over the 20 before": lambda: alone(20, 36, op=lambda x: tf.reduce_mean(x, 1)),
    "mean of 36, over the 20 behind": lambda: alone(36, 20, op=lambda x: tf.reduce_mean(x, 2)),
    **{
        f"product with {rows} x {columns}": lambda rows=rows, columns=columns: alone(
            rows, op=layers.Dense(columns, use_bias=False)
        )
        for rows, columns in (
            (8, 1),
            (36, 1),
            (36, 80),
            (96, 80),
            (144, 80),
            (512, 256),
            (2048, 200),
        )
    },
    "Conv1D, 5 x 64 to 128": lambda: alone(5, 64, op=layers.Conv1D(128, 5, padding="same")),
    "Conv2DTranspose": lambda: alone(8, 8, 3, op=layers.Conv2DTranspose(4, 3)),
}


def give_statistics(model: keras.Model) -> None:
    """Moving statistics as if trained."""
    generator = np.random.default_rng(0)
    for weight in model.weights:
        if weight.name == "moving_mean":
            weight.assign(generator.normal(size=weight.shape))
        elif weight.name == "moving_variance":
            weight.assign(generator.lognormal(size=weight.shape))


def features(inputs: Mapping[str, tf.TensorSpec], rows: int, history: int) -> dict[str, np.ndarray]:
    """Random ids, words and numbers, the last rows' numbers a thousand times as large."""
    generator = np.random.default_rng(rows)
    made = {}
    for name, spec in inputs.items():
        shape = [rows, *(size or history for size in spec.shape[1:])]
        if spec.dtype == tf.string:
            made[name] = np.array([f"t{i}" for i in generator.integers(0, 25, rows)], object)
        elif spec.dtype.is_integer:
            made[name] = generator.integers(0, 21, shape, np.int32)
        else:
            made[name] = generator.normal(size=shape).astype(np.float32)
            made[name][-rows // 8 :] *= 1000
    return made


def batches(size: int) -> Iterator[np.ndarray]:
    """Which example is where: so many, and the same as TensorFlow Serving pads them."""
    rows = np.random.default_rng(size).integers(0, EXAMPLES, size)
    yield rows
    allowed = next(allowed for allowed in ALLOWED_SIZES if allowed >= size)
    if allowed > size:
        yield np.concatenate([rows, np.repeat(rows[:1], allowed - size)])


def differing(saved: SavedModel, sizes: Sequence[int], multiple: int = 1) -> list[int]:
    """The sizes, rounded up to a multiple, at which bits differ from those of an example alone."""
    pool = features(saved.signature().inputs, EXAMPLES, HISTORIES[0])

    def score(rows: np.ndarray) -> dict[str, np.ndarray]:
        rounded = np.concatenate([rows, np.repeat(rows[:1], -len(rows) % multiple)])
        scores = saved.run({name: array[rounded] for name, array in pool.items()})
        return {name: array[: len(rows)] for name, array in scores.items()}

    singles = [score(np.array([row])) for row in range(EXAMPLES)]
    wanted = {name: np.concatenate([scores[name] for scores in singles]) for name in singles[0]}
    return [
        size
        for size in sizes
        if any(
            scores.tobytes() != wanted[name][rows].tobytes()
            for rows in batches(size)
            for name, scores in score(rows).items()
        )
    ]


def sizes_to_try(every: bool) -> list[int]:
    if every:
        return list(range(1, LARGEST + 1))
    near_powers = [2**i + off for i in range(6, 11) for off in (-1, 0, 1)]
    return sorted({*range(1, 65), *range(75, LARGEST, 37), *near_powers} - {LARGEST + 1})


def in_setting(onednn: bool, *arguments: str) -> list:
    """Run a command of this file in a process with that setting; what it prints."""
    environment = os.environ | {"TF_ENABLE_ONEDNN_OPTS": str(int(onednn))}
    environment["TF_CPP_MIN_LOG_LEVEL"] = "3"
    done = subprocess.run(
        [sys.executable, __file__, *arguments], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def matrix(names: Sequence[str], directory: Path, every: bool, progress: Progress) -> list[dict]:
    """What differs, for each model, export and setting."""
    task = progress.add_task("settings", total=len(SETTINGS))
    results = []
    for onednn, threads in SETTINGS:
        arguments = ["score", str(directory), f"--threads={threads}", *(["--every-size"] * every)]
        found = in_setting(onednn, *arguments, *names)
        results += [{"onednn": onednn, "threads": threads} | result for result in found]
        progress.advance(task)
    return results


def verdicts(results: list[dict], tried: int) -> Table:
    drawn = Table(
        title=f"of {tried} batch sizes, at how many an example's bits are others than alone: "
        "oneDNN on or off, and threads",
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )
    drawn.add_column("model", no_wrap=True)
    drawn.add_column("export", no_wrap=True)
    for onednn, threads in SETTINGS:
        drawn.add_column(f"{'on' if onednn else 'off'} {threads}", justify="right", no_wrap=True)
    for name in dict.fromkeys(result["model"] for result in results):
        for kind in (EXPORTS[0], ROUNDED, EXPORTS[1]):
            cells = [
                str(len(result["differing"]))
                for result in results
                if (result["model"], result["export"]) == (name, kind)
            ]
            shown = name if kind == EXPORTS[0] else ""
            drawn.add_row(shown, kind, *cells, end_section=kind == EXPORTS[1])
    return drawn


def prices(results: list[dict]) -> Table:
    drawn = Table(title=f"DIN, milliseconds a batch and the price; at most {DEAREST}x")
    for heading in ("oneDNN", "history"):
        drawn.add_column(heading)
    for heading in ("batch", *EXPORTS, "price"):
        drawn.add_column(heading, justify="right")
    for result in results:
        drawn.add_row(
            "on" if result["onednn"] else "off",
            str(result["history"]),
            str(result["batch"]),
            *(f"{result['milliseconds'][kind]:.3f}" for kind in EXPORTS),
            f"{result['price']:.2f}x",
        )
    return drawn


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--model", "names", multiple=True, type=click.Choice(list(MODELS)), help="Only these."
)
@click.option("--ops", is_flag=True, help="Single ops instead of models.")
@click.option("--every-size", "every", is_flag=True, help="All of 1 to 1,024; takes an hour.")
@click.option("--rounds", default=100, show_default=True, type=click.IntRange(1))
@click.option(
    "--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Figures here too."
)
@click.pass_context
def main(
    context: click.Context,
    names: tuple[str, ...],
    ops: bool,
    every: bool,
    rounds: int,
    file: Path | None,
) -> None:
    """Print the matrix and the price, and check both."""
    if context.invoked_subcommand:
        return
    names = names or tuple(OPS if ops else MODELS)
    with Progress(transient=True) as progress, tempfile.TemporaryDirectory() as directory:
        in_setting(True, "export", directory, *dict.fromkeys([*names, "DIN"]))
        results = matrix(names, Path(directory), every, progress)
        priced = []
        for onednn in (True, False):
            found = in_setting(onednn, "price", directory, f"--rounds={rounds}")
            priced += [{"onednn": onednn} | result for result in found]
    console = Console()
    console.print(verdicts(results, len(sizes_to_try(every))))
    console.print(prices(priced))
    dearest = max(priced, key=lambda result: result["price"])
    console.print(
        f"the dearest: {dearest['price']:.2f}x, oneDNN {'on' if dearest['onednn'] else 'off'}, "
        f"history {dearest['history']}, batch {dearest['batch']}"
    )
    if file is not None:
        report = {"versions": versions("tensorflow", "keras", "numpy")}
        file.write_text(json.dumps(report | {"matrix": results, "prices": priced}, indent=2))
    wrong = [r for r in results if r["export"] == "bitwise" and r["differing"]]
    if wrong or dearest["price"] > DEAREST:
        raise SystemExit(1)


@main.command("export", hidden=True)
@click.argument("directory", type=click.Path(path_type=Path))
@click.argument("names", nargs=-1)
def _export(directory: Path, names: tuple[str, ...]) -> None:
    for name in names:
        keras.utils.set_random_seed(0)
        model = (MODELS | OPS)[name]()
        give_statistics(model)
        inputs = {x.name: tf.TensorSpec(x.shape, x.dtype) for x in model.inputs}
        words = any(spec.dtype == tf.string for spec in inputs.values())
        examples = features(inputs, 64, HISTORIES[0]) if words else None
        for kind in EXPORTS:
            export_saved_model(
                model, directory / name / kind, examples=examples, batch_invariance=kind
            )
    print(json.dumps(None))


@main.command("score", hidden=True)
@click.argument("directory", type=click.Path(path_type=Path))
@click.argument("names", nargs=-1)
@click.option("--threads", type=int)
@click.option("--every-size", "every", is_flag=True)
def _score(directory: Path, names: tuple[str, ...], threads: int, every: bool) -> None:
    # The first session decides for the process.
    config = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=threads)
    results = []
    for name in names:
        for kind in EXPORTS:
            with SavedModel(directory / name / kind, config=config) as saved:
                found = differing(saved, sizes_to_try(every))
                results.append({"model": name, "export": kind, "differing": found})
                if kind == EXPORTS[0]:
                    found = differing(saved, sizes_to_try(every), multiple=8)
                    results.append({"model": name, "export": ROUNDED, "differing": found})
    print(json.dumps(results))


@main.command("price", hidden=True)
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--rounds", type=int)
def _price(directory: Path, rounds: int) -> None:
    loaded = {kind: SavedModel(directory / "DIN" / kind) for kind in EXPORTS}
    inputs = loaded["bitwise"].signature().inputs
    results = []
    for history in HISTORIES:
        for rows in PRICED_SIZES:
            feeds = features(inputs, rows, history)
            calls = {
                kind: lambda saved=saved, feeds=feeds: saved.run(feeds)
                for kind, saved in loaded.items()
            }
            times = medians(calls, rounds=rounds)
            price = times["bitwise"] / times["tolerance"]
            results.append(
                {"history": history, "batch": rows, "milliseconds": times, "price": price}
            )
    print(json.dumps(results))


if __name__ == "__main__":
    main()
