"""The requests that a version is warmed up with before it is available."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from tfnorm import _tensorflow
from tfnorm.assets import MOST_WARMUP_RECORDS, warmup_file
from tfnorm.errors import InputError
from tfnorm.protocol.wire import check_parsed_size
from tfnorm.server.bounds import PARSED
from tfnorm.server.inference.classify import classify
from tfnorm.server.inference.predict import Runner, predict
from tfnorm.server.inference.regress import regress
from tfnorm.server.inference.several import several

# A TFRecord's length and its checksum come before the data, the data's checksum after it.
_HEAD, _TAIL = 12, 4


def replay(path: Path, runner: Runner, max_bytes: int) -> int:
    """Run the warm-up requests of a SavedModel; how many records there were.

    As in TensorFlow Serving, the file need not be there, and a version with a request that fails or with
    more than 1,000 records is not served.

    Args:
        path: the SavedModel.
        runner: the version, which is asked as it is by a client.
        max_bytes: what the inputs, and the outputs, of a request may have.

    Raises:
        InputError: a record is damaged or its request is refused, or there are too many.
    """
    file = warmup_file(path)
    if not file.is_file():
        return 0
    _check_lengths(file, max_bytes)
    number = 0
    try:
        for number, record in enumerate(_tensorflow.tf_records(file), 1):
            check_parsed_size(record, PredictionLog.DESCRIPTOR, PARSED * max_bytes)
            _ask(runner, PredictionLog.FromString(record), max_bytes)
            if number > MOST_WARMUP_RECORDS:
                raise InputError(
                    f"Number of warmup records exceeds the maximum ({MOST_WARMUP_RECORDS})"
                )
    except tf.errors.DataLossError as error:
        raise _damaged(file, number, error.message) from error
    except (DecodeError, InputError, tf.errors.OpError) as error:
        status = tf.errors.InvalidArgumentError(None, None, str(error))
        raise InputError(f"{file}, record {number}: {error}") from status
    return number


def _ask(runner: Runner, log: PredictionLog, max_bytes: int) -> None:
    kind = log.WhichOneof("log_type")
    if kind == "predict_log":
        predict(runner, log.predict_log.request, max_bytes)
    elif kind == "classify_log":
        request = log.classify_log.request
        classify(runner, request.model_spec.signature_name, request.input, max_bytes)
    elif kind == "regress_log":
        request = log.regress_log.request
        regress(runner, request.model_spec.signature_name, request.input, max_bytes)
    elif kind == "multi_inference_log":
        several(runner, log.multi_inference_log.request, max_bytes)
    elif kind is not None:
        raise InputError(f"Unsupported log_type for warmup: {kind}")


def _check_lengths(file: Path, max_bytes: int) -> None:
    """Raise InputError where a record is said to be longer than a request may be.

    TensorFlow takes the memory for it before it reads on.
    """
    number = 0
    with file.open("rb") as opened:
        while len(head := opened.read(_HEAD)) == _HEAD:
            (length,) = struct.unpack_from("<Q", head)
            if length > max_bytes:
                reason = f"the next is said to have {length:,} bytes, of {max_bytes:,} accepted"
                raise _damaged(file, number, reason)
            opened.seek(length + _TAIL, os.SEEK_CUR)
            number += 1


def _damaged(file: Path, number: int, reason: str) -> InputError:
    return InputError(
        f"{file} is damaged after record {number}: {reason}. "
        "Please verify your warmup data is in TFRecord format."
    )
