"""The requests that a version is warmed up with before it is available."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError, Message
from tensorflow_serving.apis.input_pb2 import Input
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from tfnorm.assets import MOST_WARMUP_RECORDS, warmup_file
from tfnorm.errors import InputError
from tfnorm.server.inference import tensor_proto
from tfnorm.session import DEFAULT_SIGNATURE

# No proto is larger.
_MOST_BYTES = 2**31 - 1


def replay(path: Path, run: Callable[..., object]) -> int:
    """Run the warm-up requests of a SavedModel; how many records there were.

    As in TensorFlow Serving, the file need not be there, and a version with a request that fails or with
    more than 1,000 records is not served.

    Args:
        path: the SavedModel.
        run: takes feeds, `signature` and `outputs`, as `SavedModel.run`.

    Raises:
        InputError: a record is damaged or its request is refused, or there are too many.
    """
    file = warmup_file(path)
    if not file.is_file():
        return 0
    number = 0
    try:
        for number, record in enumerate(tf.data.TFRecordDataset(str(file)).as_numpy_iterator(), 1):
            for signature, feeds, outputs in _calls(PredictionLog.FromString(record)):
                run(feeds, signature=signature, outputs=outputs)
            if number > MOST_WARMUP_RECORDS:
                raise InputError(
                    f"Number of warmup records exceeds the maximum ({MOST_WARMUP_RECORDS})"
                )
    except tf.errors.DataLossError as error:
        raise InputError(
            f"{file} is damaged after record {number}: {error.message}. "
            "Please verify your warmup data is in TFRecord format."
        ) from error
    except (DecodeError, InputError, tf.errors.OpError) as error:
        status = tf.errors.InvalidArgumentError(None, None, str(error))
        raise InputError(f"{file}, record {number}: {error}") from status
    return number


def _calls(log: PredictionLog) -> Iterator[tuple[str, dict[str, np.ndarray], list[str] | None]]:
    """The signature, feeds and outputs of each call in a record; nothing where it has none."""
    kind = log.WhichOneof("log_type")
    if kind == "predict_log":
        request = log.predict_log.request
        feeds = {
            name: tensor_proto.to_array(name, proto, _MOST_BYTES)
            for name, proto in request.inputs.items()
        }
        yield _signature(request), feeds, sorted(request.output_filter) or None
    elif kind in ("classify_log", "regress_log"):
        request = getattr(log, kind).request
        yield _signature(request), {"inputs": _examples(request.input)}, None
    elif kind == "multi_inference_log":
        request = log.multi_inference_log.request
        for task in request.tasks:
            yield _signature(task), {"inputs": _examples(request.input)}, None
    elif kind is not None:
        raise InputError(f"Unsupported log_type for warmup: {kind}")


def _signature(request: Message) -> str:
    return request.model_spec.signature_name or DEFAULT_SIGNATURE


def _examples(given: Input) -> np.ndarray:
    """Serialized tf.Example records, each with what they have in common."""
    shared = given.example_list_with_context
    examples = [*given.example_list.examples]
    for example in shared.examples:
        merged = tf.train.Example.FromString(shared.context.SerializeToString())
        merged.MergeFrom(example)
        examples.append(merged)
    if not examples:
        raise InputError("Input is empty")
    return np.array([example.SerializeToString() for example in examples], object)
