"""How far TensorFlow's session is from ONNX Runtime, which runs the same folded export.

    python -m pip install onnxruntime tf2onnx     # into an environment of its own
    taskset -c 1 python benchmarks/onnx_runtime.py

One thread each, in one process, by turns; milliseconds of processor time, the median of the rounds with the
least and the most. `call` is `SavedModel.run`; `session` is what of it TensorFlow's session takes; `ids
unchecked` is the session of an export whose embeddings leave it to the look-up whether an id is in the
table. A ratio is ONNX Runtime's time over the session's. The nodes are those that the session executes, of
what its optimizer has left.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import click
import keras
import numpy as np
import onnxruntime
import tensorflow as tf
import tf2onnx
from export import BATCHES, MODELS, features, give_statistics, graph_call
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from timing import spreads, versions

from tfnorm.export import export_saved_model
from tfnorm.models import IdEmbedding
from tfnorm.session import DEFAULT_SIGNATURE, SavedModel

CALL, SESSION, UNCHECKED, ONNX = "call", "session", "ids unchecked", "ONNX Runtime"


def unchecked(layer: IdEmbedding, ids: tf.Tensor) -> tf.Tensor:
    return tf.gather(layer.embeddings.value, ids)


def exported(model: keras.Model, directory: Path) -> Path:
    options = {"examples": features(model, 64), "allow_misfit_statistics": True}
    return export_saved_model(model, directory, **options).path


def converted(path: Path) -> onnxruntime.InferenceSession:
    """A SavedModel for ONNX Runtime, its variables as constants."""
    loaded = tf.saved_model.load(str(path))
    frozen = convert_variables_to_constants_v2(loaded.signatures[DEFAULT_SIGNATURE])
    model, _ = tf2onnx.convert._convert_common(
        frozen.graph.as_graph_def(),
        opset=17,
        input_names=[tensor.name for tensor in frozen.inputs],
        output_names=[tensor.name for tensor in frozen.outputs],
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def onnx_call(
    session: onnxruntime.InferenceSession, feeds: dict[str, np.ndarray]
) -> Callable[[], list[np.ndarray]]:
    named = {node.name: feeds[node.name.split(":")[0]] for node in session.get_inputs()}
    return lambda: session.run(None, named)


def nodes(saved: SavedModel, feeds: dict[str, np.ndarray]) -> int:
    """How many the session executes."""
    definition = saved.signature_defs[DEFAULT_SIGNATURE]
    metadata = tf.compat.v1.RunMetadata()
    saved.session.run(
        [info.name for info in definition.outputs.values()],
        {definition.inputs[name].name: array for name, array in feeds.items()},
        tf.compat.v1.RunOptions(trace_level=tf.compat.v1.RunOptions.FULL_TRACE),
        metadata,
    )
    return sum(len(device.node_stats) for device in metadata.step_stats.dev_stats)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rounds", default=15, show_default=True, type=click.IntRange(1))
def main(rounds: int) -> None:
    """Print what the same export takes in TensorFlow's session and in ONNX Runtime."""
    columns = ("model", "batch", CALL, SESSION, UNCHECKED, ONNX, "ratio", "nodes")
    drawn = Table(*columns, box=box.SIMPLE_HEAD, title=str(versions("tensorflow", "onnxruntime")))
    with Progress(transient=True) as progress, tempfile.TemporaryDirectory() as directory:
        for name, make in MODELS.items():
            model = make()
            give_statistics(model)
            path = exported(model, Path(directory, name))
            with mock.patch.object(IdEmbedding, "call", unchecked):
                bare = SavedModel(exported(model, Path(directory, f"{name}-unchecked")))
            saved, peer = SavedModel(path), converted(path)
            for rows in BATCHES:
                feeds = features(model, rows)
                calls = {
                    CALL: lambda saved=saved, feeds=feeds: saved.run(feeds),
                    SESSION: graph_call(saved, feeds),
                    UNCHECKED: graph_call(bare, feeds),
                    ONNX: onnx_call(peer, feeds),
                }
                np.testing.assert_allclose(calls[SESSION]()[0], calls[ONNX]()[0], atol=1e-5)
                took = spreads(calls, rounds=rounds, progress=progress, clock=time.process_time)
                cells = [spread.shown(3) for spread in took.values()]
                ratio = f"{took[ONNX].median / took[SESSION].median:.2f}"
                drawn.add_row(name, str(rows), *cells, ratio, str(nodes(saved, feeds)))
            saved.close()
            bare.close()
    Console(width=160).print(drawn)


if __name__ == "__main__":
    main()
