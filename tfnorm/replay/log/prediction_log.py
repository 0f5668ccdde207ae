"""TensorFlow Serving's request log: a TFRecord of PredictionLog."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tfnorm.errors import InputError, installed_by
from tfnorm.examples.formats.records import prediction_log
from tfnorm.examples.table import Inputs
from tfnorm.files.tf_records import tf_records
from tfnorm.protocol.tensor_proto import FIELDS, to_array
from tfnorm.replay.log.call import Call, ModelSpec, Passed

if TYPE_CHECKING:
    from tensorflow.core.framework.tensor_pb2 import TensorProto

_ANY_SHAPE = {dtype.as_datatype_enum: tf.TensorSpec(None, dtype) for dtype in FIELDS}
# No array is of it: that is said.
_NO_ARRAY = tf.TensorSpec(None, tf.variant)
# The largest tensor that a proto can hold.
_MOST_BYTES = 2**31
_NOT_LOOKED_AT = {
    "multi_inference_log": "a multi-inference, which asks several signatures at once",
    "predict_streamed_log": "a streamed prediction",
    "session_run_log": "a run of the session, which names no signature",
}


class PredictionLogs:
    """The calls of a TFRecord of PredictionLog.

    Args:
        path: the file.
        compression: as `tf.data.TFRecordDataset` has it.
        inputs: what the model takes; None where it doesn't say.
        labels: the name that labels go by, of what is no input of the model's.
    """

    batches_known = scores_known = True

    def __init__(self, path: Path, compression: str, inputs: Inputs | None, labels: str):
        try:
            import tensorflow_serving.apis  # noqa: F401
        except ImportError as error:
            raise InputError(
                f"{path}: TensorFlow Serving's log is read with a package that is not installed ({error}); "
                f"install it with: {installed_by('serving')}"
            ) from error
        self.name = str(path)
        self._path = path
        self._compression = compression
        self._labels = None if labels in (inputs or ()) else labels

    def entries(self) -> Iterator[tuple[int, bytes]]:
        try:
            yield from enumerate(tf_records(self._path, self._compression))
        except InputError as error:
            raise InputError(f"{self.name}: {error}") from error

    def call(self, number: int, entry: bytes) -> Call | Passed:
        log = prediction_log(entry)
        kind = None if log is None else log.WhichOneof("log_type")
        if log is None or kind is None:
            raise InputError(f"{self.name}: record {number} is no PredictionLog")
        if kind in _NOT_LOOKED_AT:
            return Passed(number, _NOT_LOOKED_AT[kind])
        logged = getattr(log, kind)
        try:
            if kind == "predict_log":
                return self._predicted(number, logged)
            return self._of_examples(number, logged, kind)
        except InputError as error:
            raise InputError(f"{self.name}: record {number}: {error}") from error

    def _predicted(self, number: int, logged: Any) -> Call | Passed:
        outputs = _arrays("output", logged.response.outputs)
        if not outputs:
            return Passed(number, "a request without an answer")
        inputs = _arrays("input", logged.request.inputs)
        labels = None if self._labels is None else inputs.pop(self._labels, None)
        return Call(number, inputs, outputs, spec=_spec(logged), labels=labels)

    def _of_examples(self, number: int, logged: Any, kind: str) -> Call | Passed:
        given = logged.request.input
        if given.WhichOneof("kind") == "example_list_with_context":
            return Passed(number, "a request with a context that its examples share")
        examples = given.example_list.examples
        result = logged.response.result
        answers = result.regressions if kind == "regress_log" else result.classifications
        if not answers:
            return Passed(number, "a request without an answer")
        outputs = (
            {"outputs": np.array([one.value for one in answers], np.float32)}
            if kind == "regress_log"
            else _classes(answers)
        )
        return Call(
            number,
            {},
            outputs,
            records=tuple(example.SerializeToString() for example in examples),
            spec=_spec(logged),
            labels=None if self._labels is None else _labels(examples, self._labels),
            # A tf.Example has one type of integers and one of floats.
            typed=False,
        )


def _arrays(what: str, protos: Mapping[str, TensorProto]) -> dict[str, np.ndarray]:
    return {
        name: to_array(
            f"{what} {name!r}", proto, _ANY_SHAPE.get(proto.dtype, _NO_ARRAY), _MOST_BYTES
        )
        for name, proto in protos.items()
    }


def _classes(answers: Any) -> dict[str, np.ndarray]:
    widths = {len(one.classes) for one in answers}
    if len(widths) > 1:
        raise InputError(
            f"its rows have {min(widths)} to {max(widths)} classes; accepted: as many each"
        )
    found = {
        "scores": np.array([[c.score for c in one.classes] for one in answers], np.float32),
        "classes": np.array([[c.label.encode() for c in one.classes] for one in answers], object),
    }
    return found if any(found["classes"].flat) else {"scores": found["scores"]}


def _labels(examples: Any, name: str) -> np.ndarray | None:
    values = []
    for example in examples:
        feature = example.features.feature.get(name)
        kind = None if feature is None else feature.WhichOneof("kind")
        if kind not in ("float_list", "int64_list"):
            return None
        values.append(getattr(feature, kind).value[:1])
    return np.array(values, np.float64).reshape(-1) if all(map(len, values)) else None


def _spec(logged: Any) -> ModelSpec:
    """Of the answer, which knows the version; of the request, where the answer doesn't say."""
    answered, asked = logged.response.model_spec, logged.request.model_spec
    version = next((s.version.value for s in (answered, asked) if s.HasField("version")), None)
    signature = asked.signature_name or answered.signature_name
    return ModelSpec(answered.name or asked.name or None, version, signature or None)
