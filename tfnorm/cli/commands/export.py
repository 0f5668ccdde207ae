"""`tfnorm export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tfnorm.cli.command import Command
from tfnorm.cli.custom import custom_options
from tfnorm.cli.options import misfit_option
from tfnorm.errors import InputError


@click.command(cls=Command)
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--version", type=int, show_default="the next free one", help="The version's number.")
@click.option(
    "--examples",
    type=click.Path(path_type=Path),
    help="An .npz file with an array for each input, kept with the export.",
)
@click.option(
    "--signature",
    "signatures",
    type=click.Choice(["tf_example", "classify", "regress"]),
    multiple=True,
    help="A further signature, of serialized tf.Example records. It may be repeated.",
)
@click.option(
    "--fold/--no-fold", default=True, help="Fold normalization into the layers around it."
)
@click.option(
    "--allow-untrained-statistics",
    is_flag=True,
    help="Export moving statistics that training has never updated.",
)
@misfit_option
@click.option(
    "--batch-invariance",
    type=click.Choice(["tolerance", "bitwise"]),
    default="tolerance",
    help="Whether an example scores the same in every batch but for rounding, or to the last bit.",
)
@click.option(
    "--serving-config",
    type=click.Path(path_type=Path),
    help="A new folder for a TensorFlow Serving deployment that fits the export.",
)
@click.option(
    "--name", show_default="DIRECTORY's name", help="The model's name in that deployment."
)
@custom_options
def export(
    model: Path,
    directory: Path,
    version: int | None,
    examples: Path | None,
    serving_config: Path | None,
    name: str | None,
    **options: Any,
) -> int:
    """Export a .keras file for TensorFlow Serving.

    The new version of MODEL goes to DIRECTORY, the folder of its versions.

    \b
    Example:
      tfnorm export din.keras exports/din --examples examples.npz
      tfnorm export din.keras exports/din --examples examples.npz --serving-config deploy/din
      tfnorm export din.keras exports/din --examples examples.npz --signature tf_example
      tfnorm export din.keras exports/din --examples examples.npz --batch-invariance bitwise
    """
    from tfnorm.cli.output import show, statistics_line, two_columns
    from tfnorm.examples.load import load_examples
    from tfnorm.export import export_saved_model
    from tfnorm.export.deployment.batching import BATCH_SIZES
    from tfnorm.export.deployment.config import check_serving_config, write_serving_config
    from tfnorm.scorers.keras_model import KerasScorer, load_keras_file

    if serving_config is not None:
        check_serving_config(serving_config, directory, name)
    elif name is not None:
        raise InputError("--name is the model's name in a deployment; it needs --serving-config")
    loaded = load_keras_file(model)
    kept = None if examples is None else load_examples(examples, KerasScorer(loaded))
    report = export_saved_model(
        loaded,
        directory,
        version=version,
        examples=kept,
        warmup_batch_sizes=BATCH_SIZES if serving_config and kept else (),
        **options,
    )
    table = two_columns("exported", str(report.path))
    for kind, specs in (("input", report.inputs), ("output", report.outputs)):
        for tensor, spec in specs.items():
            table.add_row(kind, f"{tensor}: {spec.dtype.name} {spec.shape.as_list()}")
    table.add_row("examples", f"{report.examples:,}")
    table.add_row("statistics", statistics_line(report))
    for layer, into in report.folded:
        table.add_row("folded", f"{layer} into {into}")
    for layer, reason in report.not_folded:
        table.add_row("not folded", f"{layer}: {reason}")
    if serving_config is not None:
        written = write_serving_config(report.path, serving_config, name=name)
        labels = (f"{label} {number}" for label, number in written.labels.items())
        table.add_row("labels", ", ".join(labels))
        sizes = ", ".join(map(str, written.batching.sizes))
        table.add_row("batches of", sizes or f"none: {written.batching.obstacle}")
        table.add_row("deployment", str(serving_config))
    table.add_row("next", f"tfnorm verify {report.path}")
    show(table)
    return 0
