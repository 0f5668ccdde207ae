"""`tfnorm verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tfnorm.cli.command import Command
from tfnorm.cli.custom import custom_options
from tfnorm.cli.files import json_option, report_option, write_verification
from tfnorm.cli.options import (
    examples_option,
    feed_option,
    misfit_option,
    options_of,
    pairs,
    take,
)
from tfnorm.examples.spread import LIMIT
from tfnorm.scorers.servers.connection import Connection
from tfnorm.verify.compositions.budget import SECONDS
from tfnorm.verify.judgement.tolerance import Tolerance


@click.command(cls=Command)
@click.argument("target")
@examples_option
@click.option(
    "--random", type=int, help="Draw this many examples from the signature, in place of a file."
)
@click.option(
    "--limit",
    type=int,
    default=LIMIT,
    help="How many examples to score at most. Of more, this many are taken, evenly spread.",
)
@click.option(
    "--against", help="Another model, a target like TARGET, whose scores these should be equal to."
)
@click.option(
    "--output",
    "outputs",
    **pairs("=", "OTHER"),
    help="An output, and the output of the --against model to compare it with. It may be repeated.",
)
@feed_option
@click.option(
    "--signature",
    show_default="serving_default",
    help="The signature to score, of a SavedModel or a server.",
)
@click.option(
    "--batch-size",
    "batch_sizes",
    type=int,
    multiple=True,
    show_default="eleven from 2 to all at once",
    help="A batch size to try, 2 or more. It may be repeated.",
)
@click.option(
    "--allowed-batch-size",
    "allowed_batch_sizes",
    type=int,
    multiple=True,
    help="A batch size that the server pads batches to. It may be repeated.",
)
@click.option(
    "--unpadded",
    multiple=True,
    metavar="INPUT",
    help="An input whose zeros at the end are values, not padding. It may be repeated.",
)
@click.option(
    "--budget",
    type=float,
    default=SECONDS,
    help="How many seconds to score for; inf sets no limit. What there was no time for is listed.",
)
@options_of(Tolerance, "atol", "rtol", "bitwise")
@click.option(
    "--seed",
    type=int,
    default=0,
    help="The number that decides how examples are shuffled and drawn.",
)
@misfit_option
@options_of(Connection)
@custom_options
@json_option
@report_option("--junit", "junit_file", "JUnit XML")
@report_option("--html", "html_file", "an HTML page")
def verify(
    target: str,
    examples: Path | None,
    batch_sizes: tuple[int, ...],
    json_file: Path | None,
    junit_file: Path | None,
    html_file: Path | None,
    **options: Any,
) -> int:
    """Prove that no score depends on the batch, or show which do.

    TARGET is a .keras file, the directory of a SavedModel or of its versions, grpc://HOST:PORT/NAME or
    http://HOST:PORT/v1/models/NAME. The moving statistics of a file are compared with the examples, too.
    The exit status is 0 if no score depends on the batch, 1 if one does or the statistics are off, 2 if
    it could not tell.

    \b
    Example:
      tfnorm verify exports/din
      tfnorm verify grpc://127.0.0.1:8500/din --against exports/din

    They need what tfnorm demo exports, and the second a server of it: tfnorm serve exports/din --name din.
    """
    from tfnorm.cli.output import show, stages

    connection = take(Connection, options)
    undecided = None
    with stages() as progress:
        progress("load", 0, 0)
        from tfnorm.reports.provenance import with_provenance
        from tfnorm.verify import Undecided, verify_batch_invariance
        from tfnorm.verify.report.plot import check_matplotlib
        from tfnorm.verify.report.text import render

        if html_file is not None:
            check_matplotlib()

        def scored(done: int, total: int) -> None:
            progress("verify", done, total)
            if done >= total:
                progress("look for causes", 0, 0)

        try:
            report = verify_batch_invariance(
                target,
                examples,
                batch_sizes=batch_sizes or None,
                connection=connection,
                progress=scored,
                **options,
            )
        except Undecided as error:
            report, undecided = error.report, error
    write_verification(report, json_file, junit_file, html_file)
    show(with_provenance(render(report), report.provenance))
    if undecided is not None:
        raise undecided
    return 0 if report.passed else 1
