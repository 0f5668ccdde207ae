"""Files of examples, read in bounded memory: of millions of rows, some evenly spread are kept."""

from __future__ import annotations

import base64
import binascii
import json
import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.examples.spread import Thinned, spread

LABELS = "labels"
ACCEPTED = (
    "an .npz file of arrays, JSON lines, or a TFRecord of tf.Example or of TensorFlow Serving's "
    "PredictionLog"
)

_BLOCK_BYTES = 1 << 24
_GZIP = b"\x1f\x8b"

Inputs = Mapping[str, tf.TensorSpec]
Row = dict[str, np.ndarray]


@dataclass(frozen=True)
class Table:
    """The examples of a file.

    Attributes:
        arrays: name -> `[examples, ...]`; `LABELS` too, where the file has them.
        given: how many examples the file has.
        requests: how many examples each request had, where the file is a log and all were kept.
    """

    arrays: dict[str, np.ndarray]
    given: int
    requests: list[int] = field(default_factory=list)


def read_file(path: Path, inputs: Inputs | None, limit: int | None) -> Table:
    """Read a file of examples.

    Args:
        path: `.npz`; `.json`, `.jsonl` or `.ndjson`; any other is told by how it begins.
        inputs: what the scorer takes; None where it doesn't say.
        limit: how many examples to keep, evenly spread; None for all.

    Raises:
        InputError: it can't be read, or does not fit.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist; give {ACCEPTED}")
    try:
        with path.open("rb") as file:
            start = file.read(2)
        if path.suffix == ".npz" or start == b"PK":
            return _read_npz(path, limit)
        if path.suffix in (".json", ".jsonl", ".ndjson") or start[:1] in (b"{", b"["):
            return _read_json(path, inputs, limit)
        return _read_records(path, "GZIP" if start == _GZIP else "", inputs, limit)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (
        ValueError,
        OSError,
        EOFError,
        AttributeError,
        zipfile.BadZipFile,
        zlib.error,
        tf.errors.DataLossError,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} can't be read as {ACCEPTED}: {reason}") from error


def _read_npz(path: Path, limit: int | None) -> Table:
    given = 0
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            with archive.open(member) as file:
                array, rows = _read_array(file, limit)
            arrays[member.removesuffix(".npy")] = array
            given = max(given, rows)
    return Table(arrays, given)


def _read_array(file, limit: int | None) -> tuple[np.ndarray, int]:
    """The rows that are kept of one array, and how many it has."""
    version = np.lib.format.read_magic(file)
    headers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in headers:
        raise ValueError(f"array format {version} is not known")
    shape, in_columns, dtype = headers[version](file)
    if dtype.hasobject:
        raise ValueError("it holds pickled objects, which are not read")
    count = shape[0] if shape else 0
    row_bytes = math.prod(shape[1:]) * dtype.itemsize
    if not shape or in_columns or not row_bytes:
        whole = _exactly(file, math.prod(shape) * dtype.itemsize)
        array = np.frombuffer(whole, dtype, math.prod(shape))
        array = array.reshape(shape, order="F" if in_columns else "C")
        return (array[spread(count, limit)] if shape else array), count
    chosen = spread(count, limit)
    kept = np.empty((len(chosen), *shape[1:]), dtype)
    block = max(1, _BLOCK_BYTES // row_bytes)
    for start in range(0, count, block):
        size = min(block, count - start)
        rows = np.frombuffer(_exactly(file, size * row_bytes), dtype).reshape(size, *shape[1:])
        inside = (chosen >= start) & (chosen < start + size)
        kept[inside] = rows[chosen[inside] - start]
    return kept, count


def _exactly(file, count: int) -> bytes:
    content = file.read(count)
    if len(content) != count:
        raise ValueError("it ends too early")
    return content


def _read_json(path: Path, inputs: Inputs | None, limit: int | None) -> Table:
    thinned = Thinned(limit)
    sizes = []
    for number, line in enumerate(_json_lines(path), start=1):
        request = _instances(line, inputs)
        sizes.append(len(request))
        for instance in request:
            thinned.add((number, instance))
    rows = [_json_row(instance, inputs, number) for number, instance in thinned.rows()]
    requests = sizes if max(sizes, default=1) > 1 and len(rows) == thinned.seen else []
    return Table(_stacked(rows, inputs), thinned.seen, requests)


def _json_lines(path: Path) -> Iterator[object]:
    """Each line's value; a file that is one value of several lines is one."""
    with path.open(encoding="utf-8") as file:
        first = file.readline()
        try:
            yield json.loads(first)
        except json.JSONDecodeError:
            yield json.loads(first + file.read())
            return
        for number, line in enumerate(file, start=2):
            if line.strip():
                try:
                    yield json.loads(line)
                except json.JSONDecodeError as error:
                    raise InputError(f"line {number} is no JSON: {error}") from error


def _instances(line: object, inputs: Inputs | None) -> list:
    """The instances of a line: a request's, or the line itself."""
    if isinstance(line, list) and any(isinstance(i, dict) and i.keys() != {"b64"} for i in line):
        return line
    if isinstance(line, dict) and "instances" in line and "instances" not in (inputs or {}):
        return line["instances"]
    if isinstance(line, dict) and "inputs" in line and "inputs" not in (inputs or {}):
        columns = line["inputs"]
        if not isinstance(columns, dict):
            return columns
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return [line]


def _json_row(instance: object, inputs: Inputs | None, line: int) -> Row:
    if not isinstance(instance, dict) or instance.keys() == {"b64"}:
        if inputs is None or len(inputs) != 1:
            raise InputError(
                f"line {line} has {str(instance)[:40]!r}; accepted: an object of input name -> value"
            )
        instance = {next(iter(inputs)): instance}
    row = {}
    for name, value in instance.items():
        try:
            row[name] = _json_value(value, (inputs or {}).get(name))
        except (ValueError, TypeError, binascii.Error) as error:
            raise InputError(f"line {line}: {name!r} is no tensor: {error}") from error
    return row


def _json_value(value: object, spec: tf.TensorSpec | None) -> np.ndarray:
    array = np.array(_decoded(value))
    if array.dtype.kind in "SU":
        array = np.array(_decoded(value), object)
    if not array.size and spec is not None:
        return array.astype(spec.dtype.as_numpy_dtype)
    # JSON has no other numbers: 1 stands for 1.0.
    if spec is not None and spec.dtype.is_floating and array.dtype.kind in "iu":
        return array.astype(np.float64)
    return array


def _decoded(value: object) -> object:
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    if isinstance(value, dict):
        if value.keys() != {"b64"}:
            raise ValueError(f"an object with {', '.join(map(repr, value))}")
        return base64.b64decode(value["b64"], validate=True)
    return value.encode() if isinstance(value, str) else value


def _read_records(path: Path, compression: str, inputs: Inputs | None, limit: int | None) -> Table:
    thinned = Thinned(limit)
    sizes = []
    replayed = None
    for record in _records(path, compression):
        if replayed is None:
            replayed = _request_rows(record, inputs) is not None
        if not replayed:
            thinned.add(record)
            continue
        rows = _request_rows(record, inputs)
        if rows is None:
            raise InputError(f"record {len(sizes)} is no PredictionLog, unlike the first")
        sizes.append(len(rows))
        for row in rows:
            thinned.add(row)
    rows = thinned.rows()
    if not replayed:
        rows = [_example_row(record, inputs) for record in rows]
    requests = sizes if len(rows) == thinned.seen else []
    return Table(_stacked(rows, inputs), thinned.seen, requests)


def _records(path: Path, compression: str) -> Iterator[bytes]:
    # In batches, which is ten times as fast as one by one.
    dataset = tf.data.TFRecordDataset(str(path), compression).batch(1024)
    for records in dataset.as_numpy_iterator():
        yield from records


def _request_rows(record: bytes, inputs: Inputs | None) -> list[Row] | None:
    """The examples of a logged request; None for what is no log."""
    log = _prediction_log(record)
    kind = None if log is None else log.WhichOneof("log_type")
    if kind is None:
        return None
    request = getattr(log, kind).request
    if kind == "predict_log":
        arrays = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
        if not arrays or len({a.shape[:1] for a in arrays.values()}) != 1 or not _batched(arrays):
            raise InputError(
                "a logged request has not as many rows of each input: "
                + ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items())
            )
        count = len(next(iter(arrays.values())))
        return [
            {name: np.asarray(array[i], array.dtype) for name, array in arrays.items()}
            for i in range(count)
        ]
    if kind in ("classify_log", "regress_log", "multi_inference_log"):
        examples = request.input.example_list.examples
        return [_example_row(example.SerializeToString(), inputs) for example in examples]
    raise InputError(f"it logs {kind}; accepted: predict, classify and regress requests")


def _batched(arrays: Mapping[str, np.ndarray]) -> bool:
    return all(array.ndim for array in arrays.values())


def _prediction_log(record: bytes):
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


def _example_row(record: bytes, inputs: Inputs | None) -> Row:
    """A serialized tf.Example as the signature takes it: as it is, or feature by feature."""
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


def _feature_value(feature, spec: tf.TensorSpec | None, name: str) -> np.ndarray:
    kind = feature.WhichOneof("kind")
    values = list(getattr(feature, kind).value) if kind else []
    dtype = {"bytes_list": object, "float_list": np.float32, "int64_list": np.int64}.get(kind)
    array = np.array(values, dtype)
    if spec is None or not spec.shape.rank:
        return array.reshape(()) if array.size == 1 else array
    shape = [-1 if size is None else size for size in spec.shape.as_list()[1:]]
    try:
        return array.reshape(shape)
    except ValueError as error:
        raise InputError(
            f"feature {name!r} has {array.size} values; accepted: {spec.shape.as_list()[1:]}"
        ) from error


def _stacked(rows: Sequence[Row], inputs: Inputs | None) -> dict[str, np.ndarray]:
    """The rows as arrays; shorter ones are padded with zeros where an input's length is free."""
    if not rows:
        raise InputError("it holds no examples")
    names = list(dict.fromkeys(name for row in rows for name in row))
    for number, row in enumerate(rows):
        if missing := [name for name in names if name not in row]:
            raise InputError(f"example {number} lacks {', '.join(map(repr, missing))}")
    return {name: _column([row[name] for row in rows], name, inputs) for name in names}


def _column(values: list[np.ndarray], name: str, inputs: Inputs | None) -> np.ndarray:
    ranks = {value.ndim for value in values}
    if len(ranks) > 1:
        raise InputError(f"{name!r} has values of {' and '.join(map(str, sorted(ranks)))} axes")
    spec = (inputs or {}).get(name)
    longest = tuple(np.max([value.shape for value in values], axis=0).tolist())
    if any(value.shape != longest for value in values):
        free = spec is not None and spec.shape.rank == len(longest) + 1
        for axis, size in enumerate(longest, start=1):
            differs = any(value.shape[axis - 1] != size for value in values)
            if differs and not (free and spec.shape[axis] is None):
                raise InputError(f"{name!r} has values of different lengths, up to {size}")
    dtype = np.result_type(*{value.dtype for value in values})
    column = np.full((len(values), *longest), b"" if dtype.kind == "O" else 0, dtype)
    for row, value in enumerate(values):
        column[(row, *(slice(size) for size in value.shape))] = value if value.ndim else value[()]
    return column
