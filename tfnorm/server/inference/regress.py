"""PredictionService.Regress: a number for each tf.Example record."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis.input_pb2 import Input
from tensorflow_serving.apis.regression_pb2 import RegressionResult

from tfnorm.errors import InputError
from tfnorm.server.bounds import too_large
from tfnorm.server.inference.predict import Runner, run
from tfnorm.server.inference.records import serialized
from tfnorm.server.inference.signatures import signature_of, single_input
from tfnorm.session import Signature

METHOD = tf.saved_model.REGRESS_METHOD_NAME
_OUTPUT = tf.saved_model.REGRESS_OUTPUTS
# What a value takes in an answer.
_VALUE_BYTES = 40


def regress(runner: Runner, signature_name: str, given: Input, max_bytes: int) -> RegressionResult:
    """Run a regression signature.

    Args:
        runner: the version to ask.
        signature_name: the signature; empty for the default one.
        given: the records.
        max_bytes: what the records, and the outputs, may have.

    Raises:
        InputError: there is no such signature, it is no regression, or the records don't fit it.
        tf.errors.ResourceExhaustedError: the outputs are over `max_bytes`.
    """
    signature = checked(runner, signature_name)
    records = serialized(given, max_bytes)
    feeds = {single_input(signature): records}
    outputs = run(runner, feeds, signature=signature.name, outputs=None, max_bytes=max_bytes)
    values = outputs[_OUTPUT]
    if values.size * _VALUE_BYTES > max_bytes:
        raise too_large(f"the values take {values.size * _VALUE_BYTES:,} bytes", max_bytes)
    if values.dtype != np.float32:
        raise InputError(f"Expected output Tensor of DT_FLOAT. Got: {values.dtype}")
    if values.shape not in {(len(records),), (len(records), 1)}:
        raise InputError(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] of "
            f"{len(records)} but got {list(values.shape)}"
        )
    result = RegressionResult()
    for value in values.ravel().tolist():
        result.regressions.add().value = value
    return result


def checked(runner: Runner, signature_name: str) -> Signature:
    """The signature of that name.

    Raises:
        InputError: there is none, or it is no regression.
    """
    signature = signature_of(runner, signature_name, METHOD)
    single_input(signature)
    if len(signature.outputs) != 1:
        raise InputError("Expected one output Tensor.")
    if _OUTPUT not in signature.outputs:
        raise InputError(
            f"No regression outputs found: signature {signature.name!r} gives "
            f"{', '.join(signature.outputs)}; accepted: {_OUTPUT!r}"
        )
    return signature
