"""`tfnorm statistics`."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import click

from tfnorm.cli.cluster import (
    add_files,
    add_skipped,
    cluster_options,
    on_cluster,
    refuse_on_cluster,
)
from tfnorm.cli.command import Command
from tfnorm.cli.custom import custom_options
from tfnorm.cli.files import json_option, report_option, write_json, write_views
from tfnorm.cli.options import examples_option, feed_option
from tfnorm.errors import InputError


@click.command(cls=Command)
@click.argument("target")
@examples_option
@feed_option
@click.option(
    "--signature",
    show_default="serving_default",
    help="The signature to look into, of a SavedModel.",
)
@cluster_options
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
    **options: Any,
) -> int:
    """Say whether the moving statistics of a model fit examples.

    TARGET is a .keras file, or the directory of a SavedModel or of its versions, whoever wrote it. Layers
    that normalize by the batch are named, too. The exit status is 0 if the statistics fit or are only
    doubtful, 1 if they are off or a layer has none, 2 if it could not tell.

    Of many examples some thousands are looked at. With --ray, TARGET is a .keras file, all rows of all files
    are looked at, and each layer is told beside what they come to.

    \b
    Example:
      tfnorm statistics exports/din
      tfnorm statistics din.keras --examples held_out.npz --html statistics.html
      tfnorm statistics MODEL --examples 'day/*.parquet' --ray ADDRESS

    They need what tfnorm demo exports, and the second the din.keras that tfnorm train saves, and examples
    such as held_out.npz.
    """
    from tfnorm.cli.output import show
    from tfnorm.reports.provenance import with_provenance
    from tfnorm.verify.report.plot import check_matplotlib
    from tfnorm.verify.statistics.check import verify_statistics
    from tfnorm.verify.statistics.html import to_html
    from tfnorm.verify.statistics.text import render

    cluster = on_cluster(options)
    if cluster is not None:
        refuse_on_cluster({}, feed=feed, signature=signature, html=html_file)
        return _of_all_rows(target, examples, cluster, json_file)
    if html_file is not None:
        check_matplotlib()
    report = verify_statistics(target, examples, signature=signature, feed=feed)
    write_json(json_file, report.to_dict())
    write_views(report, (html_file, to_html))
    show(with_provenance(render(report), report.provenance))
    return 1 if report.failed else 0 if report.passed else 2


def _of_all_rows(
    target: str, examples: Path | None, cluster: dict[str, Any], json_file: Path | None
) -> int:
    from tfnorm import cluster as engine
    from tfnorm.cli.output import show, stages, two_columns
    from tfnorm.reports.provenance import with_provenance

    if examples is None:
        raise InputError("--ray needs --examples, the files that the workers read")
    with stages("files") as progress:
        found = engine.statistics_report(target, examples, progress=progress, **cluster)
    of_files = {"skipped": found.skipped, "not_finite": found.not_finite}
    write_json(json_file, {**found.report.to_dict(), **of_files})
    show(with_provenance(found.report.__rich__(), found.report.provenance))
    if found.skipped or found.not_finite:
        table = two_columns("cluster", cluster["address"])
        add_skipped(table, found.skipped)
        add_files(table, "not finite", list(dict.fromkeys(chain(*found.not_finite.values()))))
        show(table)
    return 0 if found.report.passed else 1
