"""Which requests TensorFlow Serving may put together in a batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfnorm import _tensorflow
from tfnorm.assets import examples_file, warmup_file
from tfnorm.errors import InputError
from tfnorm.export.difference import Arrays, difference
from tfnorm.session import CANDIDATES, DEFAULT_SIGNATURE, SavedModel

# From 8 rows on, at most half of a batch is filling.
BATCH_SIZES = (8, 16, 32, 64, 128, 256, 512, 1024)
# By which padding is tried, and what it may move a score by, relative to the score.
_MORE_STEPS = 3
_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Batching:
    """How TensorFlow Serving batches an export's requests.

    Attributes:
        sizes: of the batches that it forms, increasing; none where it must not form any.
        pads: whether it makes requests of different lengths equally long.
        obstacle: why it must not form any.
    """

    sizes: tuple[int, ...] = ()
    pads: bool = False
    obstacle: str | None = None


def find_batching(export: Path) -> Batching:
    """The batching that fits an export: the sizes that it is warmed up with, if there are some.

    A batch takes requests of one length, or is padded by TensorFlow Serving with the first value of
    each request's tensor, not with zeros. Where that moves a score there must be no batches.
    """
    with SavedModel(export) as saved:
        inputs = saved.signature().inputs
        free = {
            name: spec
            for name, spec in inputs.items()
            if spec.shape.rank is None or None in spec.shape[1:]
        }
        obstacle = (
            _fixed_output(saved)
            or _candidates(saved)
            or (free and _moved(saved, free, examples_file(export)))
        )
    if obstacle:
        return Batching(obstacle=obstacle)
    return Batching(tuple(sorted(set(_warmed_up(export)))) or BATCH_SIZES, pads=bool(free))


def _fixed_output(saved: SavedModel) -> str | None:
    """What stands against batches in the outputs."""
    for name, spec in saved.signature().outputs.items():
        if spec.shape.rank is not None and spec.shape[:1].as_list() != [None]:
            return f"output {name!r} of shape {spec.shape.as_list()} has no value for each example"
    return None


def _candidates(saved: SavedModel) -> str | None:
    """What stands against batches in a signature for candidates."""
    if CANDIDATES not in saved.signatures:
        return None
    return (
        f"a request of the signature {CANDIDATES!r} is a batch itself, and TensorFlow Serving would refuse "
        "it beside one with another number of candidates; batches of other requests need an export without it"
    )


def _moved(saved: SavedModel, free: Mapping[str, tf.TensorSpec], examples: Path) -> str | None:
    """What stands against padding the inputs that have a free axis."""
    names = ", ".join(map(repr, free))
    rows = _rows(examples)
    if rows is None or not all(rows[name].size for name in free):
        return f"there are no examples that tell whether padding {names} moves a score"
    expected = saved.run(rows)
    try:
        scores = saved.run(
            {**rows, **{name: _padded(rows[name], spec) for name, spec in free.items()}}
        )
    except InputError as error:
        return f"{names} can't be padded: {error}"
    for name, wanted in expected.items():
        if scores[name].shape != wanted.shape:
            return f"output {name!r} is as long as {names}"
    moved = difference(scores, expected, _TOLERANCE)
    if moved is None:
        return None
    return (
        f"TensorFlow Serving pads {names} with the first value of a request, "
        f"which moves a score by {moved:.2g}; lists of a fixed length need no padding (--history-length)"
    )


def _rows(examples: Path) -> Arrays | None:
    if not examples.is_file():
        return None
    with np.load(examples) as arrays:
        return dict(arrays)


def _padded(array: np.ndarray, spec: tf.TensorSpec) -> np.ndarray:
    """The array as TensorFlow Serving pads its free axes if each row is a request."""
    sizes = [None] * array.ndim if spec.shape.rank is None else spec.shape.as_list()
    longer = [n if size else n + _MORE_STEPS for n, size in zip(array.shape, sizes, strict=True)]
    padded = np.empty([len(array), *longer[1:]], array.dtype)
    padded[...] = array[(slice(None), *[slice(1)] * (array.ndim - 1))]
    padded[tuple(map(slice, array.shape))] = array
    return padded


def _warmed_up(export: Path) -> Iterator[int]:
    """The batch sizes of the warm-up requests."""
    from tensorflow_serving.apis import prediction_log_pb2

    path = warmup_file(export)
    if not path.is_file():
        return
    for record in _tensorflow.tf_records(path):
        log = prediction_log_pb2.PredictionLog.FromString(record)
        request = log.predict_log.request
        if request.model_spec.signature_name == DEFAULT_SIGNATURE:
            yield next(iter(request.inputs.values())).tensor_shape.dim[0].size
