"""`tfnorm serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tfnorm.cli.command import Command
from tfnorm.cli.serving import needs_serving


@click.command(cls=Command)
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="The model's name in requests.")
@click.option("--host", default="127.0.0.1", help="The address to listen on.")
@click.option("--port", type=int, default=8500, help="Of gRPC; 0 for any.")
@click.option("--rest-port", type=int, default=8501, help="Of REST; 0 for any.")
@click.option(
    "--batching-parameters",
    type=click.Path(path_type=Path),
    help="TensorFlow Serving's file of batching parameters, to run requests together.",
)
def serve(directory: Path, batching_parameters: Path | None, **options: Any) -> int:
    """Serve the newest version on this machine, until Ctrl-C.

    DIRECTORY is the folder of versions. The server speaks TensorFlow Serving's gRPC and REST protocol,
    for machines without TensorFlow Serving: a stand-in for development, not for production.

    \b
    Example:
      tfnorm serve exports/din --name din
      tfnorm serve exports/din --name din --batching-parameters deploy/din/batching.config
    """
    with needs_serving():
        from tfnorm import server
    batching = None
    if batching_parameters is not None:
        batching = server.read_batching_parameters(batching_parameters)
    server.serve(server.Server(directory, batching=batching, **options))
    return 0
