"""`tfnorm statistics`."""

from __future__ import annotations

from pathlib import Path

import click

from tfnorm.cli.command import Command
from tfnorm.cli.custom import custom_options
from tfnorm.cli.files import json_option, report_option, write_json, write_views
from tfnorm.cli.options import examples_option, feed_option


@click.command(cls=Command)
@click.argument("target")
@examples_option
@feed_option
@click.option(
    "--signature",
    show_default="serving_default",
    help="The signature to look into, of a SavedModel.",
)
@json_option
@report_option("--html", "html_file", "an HTML page")
@custom_options
def statistics(
    target: str,
    examples: Path | None,
    feed: dict[str, str],
    signature: str | None,
    json_file: Path | None,
    html_file: Path | None,
) -> int:
    """Say whether the moving statistics of a model fit examples.

    TARGET is a .keras file, or the directory of a SavedModel or of its versions, whoever wrote it. Layers
    that normalize by the batch are named, too. The exit status is 0 if the statistics fit or are only
    doubtful, 1 if they are off or a layer has none, 2 if it could not tell.

    \b
    Example:
      tfnorm statistics exports/din
      tfnorm statistics din.keras --examples held_out.npz --html statistics.html

    They need what tfnorm demo exports, and the second the din.keras that tfnorm train saves, and examples
    such as held_out.npz.
    """
    from tfnorm.cli.output import show
    from tfnorm.reports.provenance import with_provenance
    from tfnorm.verify.report.plot import check_matplotlib
    from tfnorm.verify.statistics.check import verify_statistics
    from tfnorm.verify.statistics.html import to_html
    from tfnorm.verify.statistics.text import render

    if html_file is not None:
        check_matplotlib()
    report = verify_statistics(target, examples, signature=signature, feed=feed)
    write_json(json_file, report.to_dict())
    write_views(report, (html_file, to_html))
    show(with_provenance(render(report), report.provenance))
    return 1 if report.failed else 0 if report.passed else 2
