"""`tfnorm inspect`."""

from __future__ import annotations

from pathlib import Path

import click

from tfnorm.cli.command import Command
from tfnorm.cli.custom import custom_options
from tfnorm.cli.files import json_option, write_json
from tfnorm.cli.options import misfit_option


@click.command(cls=Command)
@click.argument("target", type=click.Path(path_type=Path))
@click.option(
    "--signature",
    show_default="serving_default",
    help="The signature to look into, of a SavedModel.",
)
@click.option(
    "--examples",
    type=click.Path(path_type=Path),
    show_default="those kept with the export",
    help="Examples to compare the moving statistics with.",
)
@misfit_option
@json_option
@custom_options
def inspect(
    target: Path,
    signature: str | None,
    examples: Path | None,
    allow_misfit_statistics: bool,
    json_file: Path | None,
) -> int:
    """Say what is wrong or risky in a model, without running it.

    TARGET is the directory of a SavedModel or of its versions, or a .keras file. The graph is read, not
    run; examples are needed for the moving statistics alone. The exit status is 0 if nothing is wrong, 1
    if something is, 2 if it could not tell.

    \b
    Example:
      tfnorm inspect exports/din

    It needs what tfnorm demo exports.
    """
    from tfnorm._tensorflow import tensor_memory
    from tfnorm.cli.output import show
    from tfnorm.reports.provenance import with_provenance
    from tfnorm.session import DEFAULT_SIGNATURE
    from tfnorm.verify import inspect_saved_model
    from tfnorm.verify.inspection.text import render, to_dict

    # Else what was read of a large table is kept while the table is loaded to be run.
    with tensor_memory():
        inspection = inspect_saved_model(
            target,
            signature=signature or DEFAULT_SIGNATURE,
            examples=examples,
            allow_misfit_statistics=allow_misfit_statistics,
        )
    write_json(json_file, to_dict(inspection))
    show(with_provenance(render(inspection), inspection.provenance))
    return 0 if inspection.passed else 1
