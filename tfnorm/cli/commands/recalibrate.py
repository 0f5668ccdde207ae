"""`tfnorm recalibrate`."""

from __future__ import annotations

from pathlib import Path

import click

from tfnorm.cli.command import Command
from tfnorm.cli.files import writable
from tfnorm.errors import InputError


@click.command(cls=Command)
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--examples",
    type=click.Path(path_type=Path),
    required=True,
    help="Examples of the training: an .npz of arrays, JSON lines, or a TFRecord of tf.Example.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    callback=writable,
    help="Where the recalibrated model goes.",
)
def recalibrate(model: Path, examples: Path, output: Path) -> int:
    """Make a model's moving statistics those of examples.

    MODEL is a .keras file; it stays as it is. Its weights are not trained: only the means and variances
    that it normalizes with in inference become exactly those of the examples, of which there should
    be thousands, as it was trained on.

    \b
    Example:
      tfnorm recalibrate din.keras --examples training.npz --output recalibrated.keras
    """
    from tfnorm.cli.output import add_recalibration, show, two_columns
    from tfnorm.examples.load import load_examples
    from tfnorm.export.tracing.interface import interface
    from tfnorm.scorers.keras_model import KerasScorer, load_keras_file
    from tfnorm.statistics.observation.batches import ROWS
    from tfnorm.statistics.recalibrate import recalibrate_statistics

    if output.suffix != ".keras":
        raise InputError(f"--output is {output}; accepted: a file that ends in .keras")
    loaded = load_keras_file(model)
    rows = load_examples(examples, KerasScorer(loaded))
    done = recalibrate_statistics(loaded, interface(loaded, rows).batches(rows, ROWS))
    loaded.save(output)
    table = two_columns("recalibrated", str(output))
    add_recalibration(table, done)
    table.add_row("next", f"tfnorm export {output} DIRECTORY --examples FILE")
    show(table)
    return 0
