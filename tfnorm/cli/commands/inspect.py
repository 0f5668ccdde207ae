"""`tfnorm inspect`."""

from __future__ import annotations

from pathlib import Path

import click

from tfnorm.cli.command import Command
from tfnorm.cli.files import json_option, write_json


@click.command(cls=Command)
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--signature", show_default="serving_default", help="Of the SavedModel.")
@json_option
def inspect(directory: Path, signature: str | None, json_file: Path | None) -> int:
    """Say what is risky in a SavedModel, without any examples.

    DIRECTORY is the SavedModel's or that of its versions. The exit status is 0 if nothing is wrong, 1
    if something is, 2 if it could not tell.

    \b
    Example:
      tfnorm inspect exports/din
    """
    from tfnorm.cli.output import show
    from tfnorm.session import DEFAULT_SIGNATURE
    from tfnorm.verify import inspect_saved_model
    from tfnorm.verify.inspection.text import render, to_dict

    inspection = inspect_saved_model(directory, signature=signature or DEFAULT_SIGNATURE)
    write_json(json_file, to_dict(inspection))
    show(render(inspection))
    return 0 if inspection.passed else 1
