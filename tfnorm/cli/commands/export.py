"""`tfnorm export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfnorm.cli.command import Command
from tfnorm.cli.custom import custom_options
from tfnorm.cli.files import json_option, report_option, write_verification
from tfnorm.cli.options import misfit_option
from tfnorm.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from tfnorm.export import ExportReport


def number_or_word(
    context: click.Context, option: click.Parameter, given: str | None
) -> int | str | None:
    """A whole number as such; any other word as it is."""
    return int(given) if given is not None and given.isdecimal() else given


@click.command(cls=Command)
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--version", type=int, show_default="the next free one", help="The number of the new version."
)
@click.option(
    "--examples",
    type=click.Path(path_type=Path),
    help="A file with each input of some examples, such as an .npz of arrays, kept with the export.",
)
@click.option(
    "--signature",
    "signatures",
    type=click.Choice(["tf_example", "classify", "regress", "candidates"]),
    multiple=True,
    help="A further signature. tf_example, classify and regress take serialized tf.Example records; "
    "candidates takes each user once, with many candidates. It may be repeated.",
)
@click.option(
    "--candidate",
    "candidates",
    multiple=True,
    metavar="INPUT",
    show_default="the target of the model's schema",
    help="An input in which the candidates of a user differ. It may be repeated.",
)
@click.option(
    "--feature-spec",
    type=click.Path(path_type=Path),
    show_default="as the inputs' dtypes and shapes have it",
    help="A schema, or another JSON file that says how those records hold the inputs.",
)
@click.option(
    "--warmup-batch-size",
    "warmup_batch_sizes",
    type=int,
    multiple=True,
    help="How many rows a warm-up request has, which the server replays before it takes traffic. "
    "It may be repeated.",
)
@click.option(
    "--history-length",
    metavar="N|schema",
    callback=number_or_word,
    show_default="any",
    help="The length of the lists in a request, so that a server can batch requests; schema takes it from "
    "the model's schema. Records may have lists of any length.",
)
@click.option(
    "--unknown-ids",
    metavar="error|nan|ROW",
    default="error",
    callback=number_or_word,
    help="What happens with an id that its embedding table does not have: an error for the whole batch, NaN "
    "for its own example, or the row of the table with this number.",
)
@click.option(
    "--embeddings",
    type=click.Choice(["float32", "float16", "int8"]),
    default="float32",
    help="How embedding tables are stored. The report says what fewer bytes do to the scores.",
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
    help="Whether an example scores the same in every batch except for rounding, or to the last bit.",
)
@click.option(
    "--verify",
    "verified",
    is_flag=True,
    help="Verify the export, and publish it only if it passes. A report of it, --json or --junit, asks for "
    "that too.",
)
@json_option
@report_option("--junit", "junit_file", "JUnit XML")
@report_option("--html", "html_file", "an HTML page")
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
    examples: Path | None,
    candidates: tuple[str, ...],
    feature_spec: Path | None,
    warmup_batch_sizes: tuple[int, ...],
    verified: bool,
    json_file: Path | None,
    junit_file: Path | None,
    html_file: Path | None,
    serving_config: Path | None,
    name: str | None,
    **options: Any,
) -> int:
    """Export a .keras file for TensorFlow Serving.

    The new version of MODEL goes to DIRECTORY, the folder of its versions. Where it is verified, the exit
    status is 0 if no score depends on the batch, and 1 if one does or 2 if it could not tell: then no
    version is left behind.

    \b
    Example:
      tfnorm export din.keras exports/din --examples examples.npz
      tfnorm export din.keras exports/din --examples examples.npz --serving-config deploy/din
      tfnorm export din.keras exports/din --examples examples.npz --signature candidates
      tfnorm export din.keras exports/din --examples examples.npz --verify --junit verify.xml
      tfnorm export din.keras exports/din --examples examples.npz --history-length 50

    They need din.keras and examples.npz, which tfnorm train --examples examples.npz writes.
    """
    from tfnorm.cli.output import show, stages
    from tfnorm.examples.load import load_examples
    from tfnorm.export import export_saved_model, load_feature_spec
    from tfnorm.export.deployment.batching import BATCH_SIZES
    from tfnorm.export.deployment.config import check_serving_config, write_serving_config
    from tfnorm.scorers.keras_model import KerasScorer, load_keras_file

    if serving_config is not None:
        check_serving_config(serving_config, directory, name)
    elif name is not None:
        raise InputError("--name is the model's name in a deployment; it needs --serving-config")
    verified = verified or any((json_file, junit_file, html_file))
    if feature_spec is not None:
        options["feature_spec"] = load_feature_spec(feature_spec)
    if not warmup_batch_sizes and serving_config is not None and examples is not None:
        warmup_batch_sizes = BATCH_SIZES
    options |= {"warmup_batch_sizes": warmup_batch_sizes, "candidates": candidates or None}
    loaded = load_keras_file(model)
    kept = None if examples is None else load_examples(examples, KerasScorer(loaded))
    if not verified:
        report = export_saved_model(loaded, directory, examples=kept, **options)
    elif kept is None:
        raise InputError("--verify and its reports need --examples to verify the export with")
    else:
        from tfnorm.pipeline import deliver
        from tfnorm.reports.provenance import with_provenance
        from tfnorm.verify import Undecided
        from tfnorm.verify.report.plot import check_matplotlib
        from tfnorm.verify.report.text import render

        files = (json_file, junit_file, html_file)
        if html_file is not None:
            check_matplotlib()
        try:
            with stages() as progress:
                delivered = deliver(loaded, directory, kept, progress=progress, **options)
        except Undecided as error:
            write_verification(error.report, *files)
            raise
        write_verification(delivered.verdict, *files)
        show(with_provenance(render(delivered.verdict), delivered.verdict.provenance))
        if delivered.export is None:
            return 1
        report = delivered.export
    table = _table(report)
    if serving_config is not None:
        written = write_serving_config(report.path, serving_config, name=name)
        labels = (f"{label} {number}" for label, number in written.labels.items())
        table.add_row("labels", ", ".join(labels))
        sizes = ", ".join(map(str, written.batching.sizes))
        table.add_row("batches of", sizes or f"none: {written.batching.obstacle}")
        table.add_row("deployment", str(serving_config))
    if not verified:
        table.add_row("next", f"tfnorm verify {report.path}")
    show(table)
    return 0


def _table(report: ExportReport) -> Table:
    from tfnorm.cli.output import statistics_line, two_columns

    table = two_columns("exported", str(report.path))
    for kind, specs in (("input", report.inputs), ("output", report.outputs)):
        for tensor, spec in specs.items():
            table.add_row(kind, f"{tensor}: {spec.dtype.name} {spec.shape.as_list()}")
    if report.signatures:
        table.add_row("signatures", ", ".join(report.signatures))
    if report.candidates:
        table.add_row("candidates", f"have their own {', '.join(report.candidates)}")
    table.add_row("examples", f"{report.examples:,}")
    table.add_row("statistics", statistics_line(report))
    if report.unknown_ids != "error":
        table.add_row("unknown ids", f"get {report.unknown_ids!r}")
    if report.moves is not None:
        moves = report.moves
        table.add_row(
            "embeddings",
            f"move a score by up to {moves.largest:.1e}, and {moves.pairs:.2%} of the pairs of "
            f"{moves.examples:,} examples change order",
        )
    for layer, into in report.folded:
        table.add_row("folded", f"{layer} into {into}")
    for layer, reason in report.not_folded:
        table.add_row("not folded", f"{layer}: {reason}")
    return table
