"""`tfnorm replay`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tfnorm.cli.cluster import add_skipped, cluster_options, on_cluster, refuse_on_cluster
from tfnorm.cli.command import Command
from tfnorm.cli.custom import custom_options
from tfnorm.cli.files import json_option, report_option, writable, write_json, write_views
from tfnorm.cli.options import options_of, take
from tfnorm.scorers.servers.connection import Connection
from tfnorm.verify.judgement.tolerance import Tolerance

_INSTEAD = {
    "limit": "a LOG of fewer files, such as 'day/part-00*', or --limit without --ray, which draws from all",
    "rows": "--rows without --ray, with a file that the report names as LOG: rows stay where they are read",
}
_STATUS = {"equal": 0, "different": 1, "could not tell": 2}


@click.command(cls=Command)
@click.argument("log", type=click.Path(path_type=Path))
@click.argument("model")
@click.option(
    "--against", help="Another model to put beside MODEL, to see what it would have answered."
)
@click.option(
    "--labels",
    show_default="labels, if the log has them",
    help="A file of labels with the columns request, row and label, or the name that labels have in the log.",
)
@click.option(
    "--score",
    show_default="as an output, or score",
    help="The column of a table that has the scores.",
)
@click.option(
    "--request",
    show_default="request, if there",
    help="The column of a table that says which rows were one request.",
)
@click.option(
    "--limit",
    type=int,
    show_default="all",
    help="How many requests to replay at most. Of more, this many are drawn at random.",
)
@options_of(Tolerance, "atol", "rtol")
@click.option(
    "--seed", type=int, default=0, help="The number that decides which requests are drawn."
)
@click.option(
    "--signature",
    show_default="that of the log's first",
    help="The signature to score, of a SavedModel or a server.",
)
@click.option(
    "--rows",
    "rows_file",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=writable,
    help="Write the rows that differ to this file, as JSON lines.",
)
@options_of(Connection)
@cluster_options
@custom_options
@json_option
@report_option("--junit", "junit_file", "JUnit XML")
@report_option("--html", "html_file", "an HTML page")
def replay(
    log: Path,
    model: str,
    json_file: Path | None,
    junit_file: Path | None,
    html_file: Path | None,
    **options: Any,
) -> int:
    """Say whether a log's answers are a model's, and why not.

    LOG is a TFRecord of TensorFlow Serving's PredictionLog, JSON lines of request and response, a Parquet
    or CSV file with features and scores, or a folder of such files, or a pattern in quotes. MODEL is what
    verify takes. Each request is scored in the batch as it was logged. The exit status is 0 if all answers
    are MODEL's, 1 if one differs by more than rounding, 2 if it could not tell.

    \b
    Example:
      tfnorm replay requests.tfrecord exports/din
      tfnorm replay requests.tfrecord exports/din --against exports/new --html replay.html
      tfnorm replay 'day/*.tfrecord' MODEL --ray ADDRESS

    They need a log, such as requests.tfrecord, what tfnorm demo exports, and the second another export, such
    as exports/new.
    """
    from tfnorm.cli.output import show, stages, two_columns
    from tfnorm.replay.report.html import to_html
    from tfnorm.replay.report.junit import to_junit
    from tfnorm.replay.report.text import render
    from tfnorm.replay.run import replay
    from tfnorm.reports.provenance import with_provenance

    connection = take(Connection, options)
    cluster = on_cluster(options)
    skipped: dict[str, str] = {}
    if cluster is None:
        with stages() as progress:
            report = replay(
                log,
                model,
                connection=connection,
                progress=lambda done, total: progress("replay", done, total),
                **options,
            )
    else:
        from tfnorm import cluster as engine

        refuse_on_cluster(_INSTEAD, limit=options.pop("limit"), rows=options.pop("rows_file"))
        with stages("files") as progress:
            found = engine.replay(
                log,
                model,
                connection=connection,
                progress=lambda done, total: progress("replay", done, total),
                **cluster,
                **options,
            )
        report, skipped = found.report, found.skipped
    document = report.to_dict()
    write_json(json_file, document if cluster is None else {**document, "skipped": skipped})
    write_views(report, (junit_file, to_junit), (html_file, to_html))
    show(with_provenance(render(report), report.provenance))
    if cluster is not None and skipped:
        table = two_columns("cluster", cluster["address"])
        add_skipped(table, skipped)
        show(table)
    return _STATUS[report.verdict]
