"""`tfnorm demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfnorm.cli.click_log import click_log_options, load_click_log
from tfnorm.cli.command import Command
from tfnorm.cli.files import json_option, write_json
from tfnorm.cli.options import options_of, take
from tfnorm.training.recipe import Recipe

if TYPE_CHECKING:
    from rich.table import Table

    from tfnorm.pipeline import MainJob


@click.command(cls=Command)
@click_log_options
@options_of(Recipe, "epochs", "batch_size", "seed")
@click.option(
    "--directory",
    type=click.Path(path_type=Path),
    default=Path("exports/din"),
    help="The folder of versions to export to.",
)
@json_option
def demo(directory: Path, json_file: Path | None, **options: Any) -> int:
    """Train, export, serve and verify a DIN: all of it in a row.

    The file and both APIs of a server on this machine are verified. The exit status is 0 if no score
    depends on the batch, and 1 if one does.

    \b
    Example:
      tfnorm demo
      tfnorm demo --dataset amazon --data-dir data/amazon --category Beauty

    The second needs the reviews in data/amazon, where --download puts them.
    """
    from tfnorm import pipeline
    from tfnorm.cli.output import show, stages
    from tfnorm.cli.serving import needs_serving
    from tfnorm.reports.provenance import with_provenance
    from tfnorm.verify.report.text import render

    recipe = take(Recipe, options)
    log = load_click_log(options, recipe.seed)
    with needs_serving(), stages() as progress:
        job = pipeline.main_job(log, directory, recipe, progress=progress)
    write_json(
        json_file,
        {
            "dataset": job.dataset,
            "auc": job.trained.auc,
            "best_auc": job.trained.best_auc,
            "export": None if job.delivered.export is None else str(job.delivered.export.path),
            "passed": job.passed,
            "reports": {name: report.to_dict() for name, report in job.reports.items()},
        },
    )
    show(_table(job))
    for report in job.reports.values():
        if not report.passed:
            show("", with_provenance(render(report), report.provenance))
    return 0 if job.passed else 1


def _table(job: MainJob) -> Table:
    from tfnorm.cli.output import auc, two_columns

    table = two_columns("DIN on", job.dataset)
    export = job.delivered.export
    table.add_row("AUC", auc(job.trained))
    table.add_row(
        "export", "none: the file failed verification" if export is None else str(export.path)
    )
    for name, report in job.reports.items():
        verdict = "PASSED" if report.passed else "FAILED"
        table.add_row(
            name,
            f"{verdict}: no score moves by more than {report.max_abs_diff:.1e} over "
            f"{len(report.compositions)} batch compositions of {report.examples} examples"
            if report.passed
            else f"{verdict}: a score moves by up to {report.max_abs_diff:.1e}",
        )
    return table
