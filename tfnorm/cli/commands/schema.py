"""`tfnorm schema`."""

from __future__ import annotations

from pathlib import Path

import click

from tfnorm.cli.command import load_library
from tfnorm.cli.files import writable
from tfnorm.errors import InputError


@click.command()
@click.argument("files", nargs=-1, required=True)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("schema.json"),
    callback=writable,
    help="The JSON file to write the schema to.",
)
def schema(files: tuple[str, ...], output: Path) -> int:
    """Draft the schema of a click log from its files.

    FILES are Parquet, TFRecord of tf.Example, CSV or JSON lines: paths, folders or quoted patterns. What
    is an id, a number or a history of what, and which column is the label, is guessed from the types and
    the values: a start that you correct before you train on it.

    \b
    Example:
      tfnorm schema 'train/*.parquet' --output schema.json

    It needs a log of your own, such as train/*.parquet.
    """
    from tfnorm.cli.output import show, two_columns
    from tfnorm.datasets.draft import drafted
    from tfnorm.datasets.logs.files import find
    from tfnorm.datasets.logs.read import SUFFIXES
    from tfnorm.datasets.logs.tf_records import SUFFIXES as TFRECORD
    from tfnorm.schema import History, Id

    if output.exists():
        raise InputError(f"--output {output} is there already; accepted: a new file")
    if any(path.name.endswith(TFRECORD) for path in find(files, SUFFIXES)):
        load_library()
    schema, left_out = drafted(list(files))
    schema.save(output)
    table = two_columns("drafted", str(output))
    for feature in schema.features:
        if isinstance(feature, Id):
            kept = (
                f"a vocabulary of {len(feature.known):,}"
                if feature.vocabulary is not None
                else f"hashed into {feature.size:,}"
                if feature.hashed
                else f"from 0 to {feature.rows - 1:,}"
            )
            said = f"id, {'several a row, ' if feature.many else ''}{kept}, width {feature.width}"
        elif isinstance(feature, History):
            pairs = (f"{name} in {column}" for name, column in feature.of.items())
            said = f"history of {', '.join(pairs)}, "
            if feature.side_numbers:
                said += f"with {', '.join(n.name for n in feature.side_numbers)}, "
            said += f"up to {feature.length} steps"
        else:
            said = f"number{'' if feature.scale is None else f', scale {feature.scale}'}"
        if feature.name in schema.target:
            said += ", of the target"
        table.add_row(feature.name, said)
    for role in ("label", "group", "time"):
        if getattr(schema, role) is not None:
            table.add_row(role, getattr(schema, role))
    for name, reason in left_out.items():
        table.add_row("left out", f"{name}: {reason}")
    table.add_row(
        "next", f"correct {output}, then: tfnorm train --schema {output} --train FILES --test FILES"
    )
    show(table)
    return 0
