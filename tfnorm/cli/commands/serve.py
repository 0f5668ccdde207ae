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
@click.option(
    "--port", type=int, default=8500, help="The port of the gRPC API; 0 takes any free one."
)
@click.option(
    "--rest-port", type=int, default=8501, help="The port of the REST API; 0 takes any free one."
)
@click.option(
    "--batching-parameters",
    type=click.Path(path_type=Path),
    help="A file of TensorFlow Serving's batching parameters, by which requests are run together.",
)
@click.option(
    "--max-request-megabytes",
    type=click.IntRange(1, 2047),
    default=64,
    help="How large a request, its tensors, its outputs and its answer may each be.",
)
@click.option(
    "--max-model-megabytes",
    type=click.IntRange(64),
    default=2048,
    help="How much memory requests may make a version take at a time, beyond its weights.",
)
def serve(
    directory: Path,
    batching_parameters: Path | None,
    max_request_megabytes: int,
    max_model_megabytes: int,
    **options: Any,
) -> int:
    """Serve the newest version on this machine, until Ctrl-C.

    DIRECTORY is the folder of versions. The server speaks TensorFlow Serving's gRPC and REST protocol,
    for machines without TensorFlow Serving: a stand-in for development, not for production.

    \b
    Example:
      tfnorm serve exports/din --name din
      tfnorm export din.keras exports/din --examples examples.npz --history-length 50 --serving-config deploy
      tfnorm serve exports/din --name din --batching-parameters deploy/batching.config

    The first needs what tfnorm demo exports, and the second, which writes the parameters for the third, needs
    din.keras and examples.npz, which tfnorm train --examples examples.npz writes.
    """
    with needs_serving():
        from tfnorm import server
    batching = None
    if batching_parameters is not None:
        batching = server.read_batching_parameters(batching_parameters)
    bound = max_request_megabytes * 2**20
    served = server.Server(directory, batching=batching, max_request_bytes=bound, **options)
    server.serve(served, max_model_megabytes)
    return 0
