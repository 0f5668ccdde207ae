"""`tfnorm recalibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tfnorm.cli.cluster import add_skipped, cluster_options, on_cluster
from tfnorm.cli.command import Command
from tfnorm.cli.custom import custom_options
from tfnorm.cli.files import json_option, save_model, writable, write_json
from tfnorm.errors import InputError


@click.command(cls=Command)
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--examples",
    type=click.Path(path_type=Path),
    required=True,
    help="Examples that the model was trained on: Parquet, TFRecord of tf.Example, JSON lines, CSV, or an "
    ".npz of arrays; or a folder of such files, or a pattern in quotes.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    callback=writable,
    help="The .keras file to write the recalibrated model to.",
)
@cluster_options
@json_option
@custom_options
def recalibrate(
    model: Path,
    examples: Path,
    output: Path,
    json_file: Path | None,
    **options: Any,
) -> int:
    """Make a model's moving statistics those of examples.

    MODEL is a .keras file; it stays as it is. No weight is trained: only the means and variances that the
    model normalizes with become exactly those of the examples. Give thousands of examples that it was
    trained on. They are read a thousand at a time, so the file may be larger than the memory, and several
    times, because the inputs of a layer depend on the statistics of the layers before it.

    \b
    Example:
      tfnorm recalibrate din.keras --examples training.parquet --output recalibrated.keras
      tfnorm recalibrate MODEL --examples 'day/*.parquet' --output NEW --ray ADDRESS

    It needs a model such as the din.keras that tfnorm train saves, and examples such as training.parquet.
    """
    from tfnorm.cli.output import add_recalibration, show, stages, two_columns
    from tfnorm.pipeline import recalibrate_by_file
    from tfnorm.scorers.keras_model import load_keras_file

    if output.suffix != ".keras":
        raise InputError(f"--output is {output}; accepted: a file that ends in .keras")
    cluster = on_cluster(options)
    skipped: dict[str, str] = {}
    if cluster is None:
        loaded = load_keras_file(model)
        done = recalibrate_by_file(loaded, examples)
    else:
        from tfnorm import cluster as engine

        with stages("files") as progress:
            found = engine.recalibrate(model, examples, progress=progress, **cluster)
        loaded, done, skipped = found.model, found.done, found.skipped
    save_model(loaded, output)
    document = {"model": str(output), **done.to_dict()}
    write_json(json_file, document if cluster is None else {**document, "skipped": skipped})
    table = two_columns("recalibrated", str(output))
    add_recalibration(table, done)
    add_skipped(table, skipped)
    table.add_row("next", f"tfnorm export {output} DIRECTORY --examples FILE")
    show(table)
    return 0
