"""Requests that TensorFlow Serving replays before it takes traffic on a version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfnorm.assets import MOST_WARMUP_RECORDS
from tfnorm.errors import InputError, installed_by
from tfnorm.examples.records import records
from tfnorm.export.records.signatures import CLASSIFY, METHODS, REGRESS, TF_EXAMPLE
from tfnorm.session import CANDIDATES, DEFAULT_SIGNATURE

_LARGEST_REQUEST = 2**31 - 1
"""How many bytes a message of protobuf may have."""


def check_warmup(batch_sizes: Sequence[int], signatures: Sequence[str], examples: object) -> None:
    """Raise InputError unless warm-up requests of these sizes can be made."""
    if not batch_sizes:
        return
    for size in batch_sizes:
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise InputError(f"warmup_batch_sizes has {size!r}; accepted: positive ints")
    if examples is None:
        raise InputError("warmup_batch_sizes needs examples to make requests of; give some")
    count = len(batch_sizes) * (1 + len(signatures))
    if count > MOST_WARMUP_RECORDS:
        raise InputError(
            f"warmup_batch_sizes and signatures make {count} requests; "
            f"TensorFlow Serving takes {MOST_WARMUP_RECORDS}"
        )
    _prediction_log()


def write(
    path: Path,
    batch_sizes: Sequence[int],
    signatures: Sequence[str],
    examples: Mapping[str, np.ndarray],
    candidates: Sequence[str] = (),
) -> None:
    """Write a TFRecord of PredictionLog: a request of each size for each signature.

    A size above the number of examples repeats them. In the signature for candidates it is how many
    candidates of one user there are.

    Raises:
        InputError: a request would have more bytes than a message may.
    """
    some = {name: array[:64] for name, array in examples.items()}
    rows = len(next(iter(some.values())))
    largest = max(log.ByteSize() for log in _logs([rows], signatures, some, candidates))
    most = _LARGEST_REQUEST * rows // largest
    if max(batch_sizes) > most:
        raise InputError(
            f"warmup_batch_sizes has {max(batch_sizes)}; accepted: up to {most}, where a request has 2 GiB"
        )
    with tf.io.TFRecordWriter(str(path)) as writer:
        for log in _logs(batch_sizes, signatures, examples, candidates):
            writer.write(log.SerializeToString())


def _logs(
    batch_sizes: Sequence[int],
    signatures: Sequence[str],
    examples: Mapping[str, np.ndarray],
    candidates: Sequence[str],
) -> Iterator[Any]:
    count = len(next(iter(examples.values())))
    for size in batch_sizes:
        rows = {name: array[np.arange(size) % count] for name, array in examples.items()}
        yield _predict(DEFAULT_SIGNATURE, rows)
        encoded = records(rows) if METHODS.keys() & set(signatures) else []
        for signature in signatures:
            if signature == CANDIDATES:
                shown = {
                    name: rows[name][None] if name in candidates else rows[name][:1]
                    for name in rows
                }
                yield _predict(signature, shown)
            elif signature == TF_EXAMPLE:
                serialized = [record.SerializeToString() for record in encoded]
                yield _predict(signature, {METHODS[signature][1]: np.array(serialized, object)})
            else:
                yield _infer(signature, encoded)


def _predict(signature: str, feeds: Mapping[str, np.ndarray]) -> Any:
    log = _prediction_log().PredictionLog()
    request = log.predict_log.request
    request.model_spec.signature_name = signature
    for name, array in feeds.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
    return log


def _infer(signature: str, encoded: Sequence[tf.train.Example]) -> Any:
    log = _prediction_log().PredictionLog()
    request = {CLASSIFY: log.classify_log, REGRESS: log.regress_log}[signature].request
    request.model_spec.signature_name = signature
    request.input.example_list.examples.extend(encoded)
    return log


def _prediction_log() -> Any:
    try:
        from tensorflow_serving.apis import prediction_log_pb2
    except ImportError as error:
        raise InputError(
            "warm-up requests are written with tensorflow-serving-api; "
            f"install it with {installed_by('serving')}"
        ) from error
    return prediction_log_pb2
