"""The files that a command writes its report to."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    import keras

    from tfnorm.verify import InvarianceReport

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])
_Report = TypeVar("_Report")


def writable(context: click.Context, option: click.Parameter, file: Path | None) -> Path | None:
    """Refuse a file that can't be written before the work starts, not after it."""
    if file is not None:
        folder = file.absolute().parent
        if not folder.is_dir():
            raise click.BadParameter(f"{file} can't be written: there is no folder {file.parent}")
        if not os.access(file if file.exists() else folder, os.W_OK):
            raise click.BadParameter(f"{file} can't be written")
    return file


def save_model(model: keras.Model, file: Path) -> None:
    """Save a model whole: a process that is killed leaves no half of one by that name."""
    part = file.with_name(f"{file.stem}.part.keras")
    model.save(part)
    part.replace(file)


def report_option(name: str, parameter: str, kind: str) -> Callable[[_Decorated], _Decorated]:
    """The option for another file that gets the report."""
    return click.option(
        name,
        parameter,
        type=click.Path(dir_okay=False, path_type=Path),
        callback=writable,
        help=f"Write the report to this file too, as {kind}.",
    )


json_option = report_option("--json", "json_file", "JSON")


def write_json(file: Path | None, report: Mapping[str, Any]) -> None:
    """Write a report where a file for it was named."""
    if file is not None:
        _write_whole(file, json.dumps(report, indent=2, allow_nan=False) + "\n")


def write_views(report: _Report, *views: tuple[Path | None, Callable[[_Report], str]]) -> None:
    """Write each view of a report where a file for it was named."""
    for file, as_text in views:
        if file is not None:
            _write_whole(file, as_text(report))


def _write_whole(file: Path, text: str) -> None:
    """Write a file whole: a process that is killed leaves no half of a report by that name."""
    if file.exists() and not (file.is_file() and os.access(file.resolve().parent, os.W_OK)):
        # A pipe, a terminal, or a file in a folder that takes no other.
        file.write_text(text, encoding="utf-8")
        return
    place = file.resolve()
    part = place.with_name(f"{place.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(place)


def write_verification(
    report: InvarianceReport,
    json_file: Path | None,
    junit_file: Path | None,
    html_file: Path | None,
) -> None:
    """Write a verification where a file for it was named."""
    from tfnorm.verify.report.html import to_html
    from tfnorm.verify.report.junit import to_junit

    write_json(json_file, report.to_dict())
    write_views(report, (junit_file, to_junit), (html_file, to_html))
