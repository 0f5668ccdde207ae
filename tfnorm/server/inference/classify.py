"""PredictionService.Classify: labels and scores for tf.Example records."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis.classification_pb2 import ClassificationResult
from tensorflow_serving.apis.input_pb2 import Input

from tfnorm.errors import InputError
from tfnorm.server.bounds import too_large
from tfnorm.server.inference.predict import Runner, run
from tfnorm.server.inference.records import serialized
from tfnorm.server.inference.signatures import signature_of, single_input
from tfnorm.session import Signature

METHOD = tf.saved_model.CLASSIFY_METHOD_NAME
_CLASSES = tf.saved_model.CLASSIFY_OUTPUT_CLASSES
_SCORES = tf.saved_model.CLASSIFY_OUTPUT_SCORES
_MOST_OUTPUTS = 2
# What a label and its score take in an answer.
_CLASS_BYTES = 64
_SHOWN = 256


def classify(
    runner: Runner, signature_name: str, given: Input, max_bytes: int
) -> ClassificationResult:
    """Run a classification signature.

    Args:
        runner: the version to ask.
        signature_name: the signature; empty for the default one.
        given: the records.
        max_bytes: what the records, and the outputs, may have.

    Raises:
        InputError: there is no such signature, it is no classification, or the records don't fit it.
        tf.errors.ResourceExhaustedError: the outputs are over `max_bytes`.
    """
    signature, wanted = checked(runner, signature_name)
    records = serialized(given, max_bytes)
    feeds = {single_input(signature): records}
    outputs = run(runner, feeds, signature=signature.name, outputs=wanted, max_bytes=max_bytes)
    size = max((array.size for array in outputs.values()), default=0) * _CLASS_BYTES
    if size > max_bytes:
        raise too_large(f"the classes take {size:,} bytes", max_bytes)
    return _result(outputs.get(_CLASSES), outputs.get(_SCORES), len(records))


def checked(runner: Runner, signature_name: str) -> tuple[Signature, list[str]]:
    """The signature of that name, and its outputs that are answered.

    Raises:
        InputError: there is none, or it is no classification.
    """
    signature = signature_of(runner, signature_name, METHOD)
    single_input(signature)
    return signature, _outputs(signature)


def _outputs(signature: Signature) -> list[str]:
    found = len(signature.outputs)
    if not 1 <= found <= _MOST_OUTPUTS:
        raise InputError(f"Expected one or two output Tensors, found {found}")
    wanted = [name for name in (_CLASSES, _SCORES) if name in signature.outputs]
    if not wanted:
        raise InputError(
            f"Expected classification signature outputs to contain at least one of {_CLASSES!r} or "
            f"{_SCORES!r}; signature {signature.name!r} gives {', '.join(signature.outputs)}"
        )
    return wanted


def _result(
    classes: np.ndarray | None, scores: np.ndarray | None, examples: int
) -> ClassificationResult:
    for name, array, dtype, accepted in (
        (_CLASSES, classes, np.object_, "string"),
        (_SCORES, scores, np.float32, "float32"),
    ):
        if array is None:
            continue
        if array.ndim != 2:
            raise InputError(
                f"Expected Tensor shape: [batch_size num_classes] but got {list(array.shape)} "
                f"for {name!r}"
            )
        if array.dtype != dtype:
            raise InputError(f"{name!r} has dtype {array.dtype}; accepted: {accepted}")
        if len(array) != examples:
            raise InputError(f"Expected {name} output batch size of {examples}. Got: {len(array)}")
    if classes is not None and scores is not None and classes.shape != scores.shape:
        raise InputError(
            "Tensors class and score should match in dim_size(1). Got "
            f"{classes.shape[1]} vs. {scores.shape[1]}"
        )
    result = ClassificationResult()
    for row in range(examples):
        found = result.classifications.add().classes
        labels = [] if classes is None else classes[row]
        values = [] if scores is None else scores[row].tolist()
        for column in range(max(len(labels), len(values))):
            one = found.add()
            if len(labels):
                one.label = _label(labels[column])
            if values:
                one.score = values[column]
    return result


def _label(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{_CLASSES!r} has {value[:_SHOWN]!r}, which is not UTF-8, as a label must be"
        ) from error
