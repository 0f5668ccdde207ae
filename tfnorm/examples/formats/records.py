"""Examples in a TFRecord, of tf.Example or of the requests that TensorFlow Serving logs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.examples.spread import Requests, Thinned, parts
from tfnorm.examples.table import (
    LABELS,
    Inputs,
    Row,
    Skip,
    Table,
    check_some_left,
    numbers,
    of_another_signature,
    stacked,
)
from tfnorm.files.tf_records import tf_records
from tfnorm.session import DEFAULT_SIGNATURE

if TYPE_CHECKING:
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

_WITH_ROWS = ("predict_log", "classify_log", "regress_log", "multi_inference_log")


def read_records(
    path: Path,
    compression: str,
    inputs: Inputs | None,
    limit: int | None,
    fed: frozenset[str] = frozenset(),
    signature: str | None = None,
) -> Table:
    """The rows that are kept of the examples or of the requests.

    Args:
        path: the file.
        compression: as `tf.data.TFRecordDataset` has it.
        inputs: what the scorer takes; None where it doesn't say.
        limit: how many examples to keep, evenly spread; None for all.
        fed: the inputs that are the same in every batch, which a logged request may have as well.
        signature: that is scored; requests that asked another one are skipped, if any asked this one.

    Raises:
        InputError: a record is no example and no request, or does not fit, or all requests are skipped.
    """
    records, logged = _records(path, compression)
    if not logged:
        return _read_examples(records, inputs, limit)
    asked = _asked(path, compression, signature)
    return _read_log(records, inputs, limit, fed, asked)


def record_blocks(
    path: Path,
    compression: str,
    inputs: Inputs | None,
    size: int,
    fed: frozenset[str] = frozenset(),
    signature: str | None = None,
) -> Iterator[dict[str, np.ndarray]]:
    """The examples, `size` at a time; arguments and errors are those of `read_records`."""
    records, logged = _records(path, compression)
    asked = _asked(path, compression, signature) if logged else None
    rows = (
        chain.from_iterable(
            rows
            for rows, _ in _logged_rows(records, inputs, fed, asked)
            if not isinstance(rows, Skip)
        )
        if logged
        else (example_row(record, inputs) for record in records)
    )
    for part in parts(enumerate(rows), size):
        places = [f"example {number}" for number, _ in part]
        yield stacked([row for _, row in part], inputs, places)


def _read_log(
    records: Iterable[bytes],
    inputs: Inputs | None,
    limit: int | None,
    fed: frozenset[str],
    signature: str | None,
) -> Table:
    requests: Requests[Row] = Requests(limit)
    skipped: Counter[Skip] = Counter()
    answered = 0
    for rows, has_answer in _logged_rows(records, inputs, fed, signature):
        if isinstance(rows, Skip):
            skipped[rows] += 1
            continue
        requests.add(rows)
        answered += has_answer
    check_some_left(requests.seen, skipped)
    kept = requests.kept()
    rows = list(chain.from_iterable(kept))
    sizes = list(map(len, kept))
    table = stacked(rows, inputs)
    return Table(table, requests.rows_seen, sizes, requests.seen, answered, skipped)


def _read_examples(records: Iterable[bytes], inputs: Inputs | None, limit: int | None) -> Table:
    thinned: Thinned[bytes] = Thinned(limit)
    for record in records:
        thinned.add(record)
    rows = [example_row(record, inputs) for record in thinned.rows()]
    return Table(stacked(rows, inputs), thinned.seen)


def _records(path: Path, compression: str) -> tuple[Iterator[bytes], bool]:
    """The records, and whether they are a log's."""
    records = tf_records(path, compression)
    first = [*islice(records, 1)]
    logged = any(_logged(record) is not None for record in first)
    return chain(first, records), logged


def _asked(path: Path, compression: str, signature: str | None) -> str | None:
    """The signature, if any request of a log asked it; else all are taken for what is scored."""
    if signature is None:
        return None
    logs = map(_logged, tf_records(path, compression))
    return signature if any(log and _signature(log) == signature for log in logs) else None


def _logged_rows(
    records: Iterable[bytes], inputs: Inputs | None, fed: frozenset[str], signature: str | None
) -> Iterator[tuple[list[Row] | Skip, bool]]:
    """The examples of each request of a log, or why it is skipped, and whether its answer is there."""
    for number, record in enumerate(records):
        log = _logged(record)
        if log is None:
            raise InputError(f"record {number} is no PredictionLog, unlike the first")
        kind = log.WhichOneof("log_type")
        if kind not in _WITH_ROWS:
            why = "requests to predict, classify and regress are replayed"
            yield Skip(f"of the kind {kind!r}", why), False
        elif signature is not None and _signature(log) not in (None, signature):
            yield of_another_signature(str(_signature(log)), signature), False
        else:
            yield _request_rows(log, inputs, fed), _has_answer(log)


def _signature(log: PredictionLog) -> str | None:
    """The signature that a request asked; None where it has none of its own."""
    kind = log.WhichOneof("log_type")
    if kind not in _WITH_ROWS or kind == "multi_inference_log":
        return None
    return getattr(log, kind).request.model_spec.signature_name or DEFAULT_SIGNATURE


def _logged(record: bytes) -> PredictionLog | None:
    """The record, where it logs something."""
    log = prediction_log(record)
    return None if log is None or log.WhichOneof("log_type") is None else log


def _has_answer(log: PredictionLog) -> bool:
    """Whether there is an answer that `tfnorm replay` compares."""
    kind = log.WhichOneof("log_type")
    return kind != "multi_inference_log" and bool(getattr(log, kind).response.ByteSize())


def _request_rows(log: PredictionLog, inputs: Inputs | None, fed: frozenset[str]) -> list[Row]:
    """The examples of a logged request."""
    kind = log.WhichOneof("log_type")
    request = getattr(log, kind).request
    if kind == "predict_log":
        arrays = {k: tf.make_ndarray(v) for k, v in request.inputs.items() if k not in fed}
        if not arrays or len({a.shape[:1] for a in arrays.values()}) != 1 or not _batched(arrays):
            raise InputError(
                "a logged request has not as many rows of each input: "
                + ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items())
                + "; give what has none by feed (--feed NAME=VALUE)"
            )
        count = len(next(iter(arrays.values())))
        return [
            {name: np.asarray(array[i], array.dtype) for name, array in arrays.items()}
            for i in range(count)
        ]
    examples = request.input.example_list.examples
    return [example_row(example.SerializeToString(), inputs) for example in examples]


def _batched(arrays: Mapping[str, np.ndarray]) -> bool:
    return all(array.ndim for array in arrays.values())


def prediction_log(record: bytes) -> PredictionLog | None:
    """The record as a PredictionLog; None where it is none, or the protos are not installed."""
    try:
        from tensorflow_serving.apis import prediction_log_pb2
    except ImportError:
        return None
    from google.protobuf.message import DecodeError

    try:
        return prediction_log_pb2.PredictionLog.FromString(record)
    except DecodeError:
        return None


def example_row(record: bytes, inputs: Inputs | None) -> Row:
    """A serialized tf.Example as the signature takes it: as it is, or feature by feature.

    Raises:
        InputError: it is none, or has another number of values.
    """
    if inputs is not None and [spec.dtype for spec in inputs.values()] == [tf.string]:
        (name,) = inputs
        if inputs[name].shape.rank == 1:
            return {name: np.array(record, object)}
    from google.protobuf.message import DecodeError

    try:
        features = tf.train.Example.FromString(record).features.feature
    except DecodeError as error:
        raise InputError(f"a record is no tf.Example: {error}") from error
    row = {
        name: _feature_value(feature, (inputs or {}).get(name), name)
        for name, feature in features.items()
        if inputs is None or name in inputs or name == LABELS
    }
    for name, spec in (inputs or {}).items():
        if name not in row and spec.shape.rank and None in spec.shape.as_list()[1:]:
            shape = [0 if size is None else size for size in spec.shape.as_list()[1:]]
            row[name] = np.zeros(shape, spec.dtype.as_numpy_dtype)
    return row


def _feature_value(feature: tf.train.Feature, spec: tf.TensorSpec | None, name: str) -> np.ndarray:
    kind = feature.WhichOneof("kind")
    values = list(getattr(feature, kind).value) if kind else []
    dtype = {"bytes_list": object, "float_list": np.float32, "int64_list": np.int64}.get(kind)
    array = numbers(np.array(values, dtype), spec)
    if spec is None or not spec.shape.rank:
        return array.reshape(()) if array.size == 1 else array
    shape = [-1 if size is None else size for size in spec.shape.as_list()[1:]]
    try:
        return array.reshape(shape)
    except ValueError as error:
        raise InputError(
            f"feature {name!r} has {array.size} values; accepted: {spec.shape.as_list()[1:]}"
        ) from error
