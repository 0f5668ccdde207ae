"""PredictionService.MultiInference: several signatures on the same tf.Example records."""

from __future__ import annotations

import tensorflow as tf
from tensorflow_serving.apis.inference_pb2 import (
    InferenceResult,
    MultiInferenceRequest,
    MultiInferenceResponse,
)
from tensorflow_serving.apis.model_pb2 import ModelSpec

from tfnorm.errors import InputError
from tfnorm.server.inference import classify, regress
from tfnorm.server.inference.predict import Runner
from tfnorm.session import DEFAULT_SIGNATURE


def model_spec(request: MultiInferenceRequest) -> ModelSpec:
    """The version that all tasks are asked of: the first task's."""
    return request.tasks[0].model_spec if request.tasks else ModelSpec()


def several(
    runner: Runner, request: MultiInferenceRequest, max_bytes: int
) -> MultiInferenceResponse:
    """Run each task.

    Args:
        runner: the version to ask.
        request: the records, and what to ask of them.
        max_bytes: what the records, and the outputs of each task, may have.

    Raises:
        InputError: the tasks contradict one another, or one can't be run.
        tf.errors.UnimplementedError: a task is neither a classification nor a regression.
        tf.errors.ResourceExhaustedError: the outputs are over `max_bytes`.
    """
    _check(request)
    response = MultiInferenceResponse()
    for task in request.tasks:
        name = task.model_spec.signature_name or DEFAULT_SIGNATURE
        result = InferenceResult()
        result.model_spec.name = task.model_spec.name
        result.model_spec.signature_name = name
        if task.method_name == classify.METHOD:
            result.classification_result.CopyFrom(
                classify.classify(runner, name, request.input, max_bytes)
            )
        else:
            result.regression_result.CopyFrom(
                regress.regress(runner, name, request.input, max_bytes)
            )
        response.results.append(result)
    return response


def _check(request: MultiInferenceRequest) -> None:
    """Raise where the tasks can't be run together."""
    seen: set[str] = set()
    for task in request.tasks:
        if not task.model_spec.name:
            raise InputError("Found ModelSpec with an empty model name.")
        if task.model_spec.name != request.tasks[0].model_spec.name:
            raise InputError(
                "All ModelSpecs in a MultiInferenceRequest must access the same model name."
            )
        name = task.model_spec.signature_name or DEFAULT_SIGNATURE
        if name in seen:
            raise InputError(f"Duplicate evaluation of signature: {name}")
        seen.add(name)
        if task.method_name not in {classify.METHOD, regress.METHOD}:
            raise tf.errors.UnimplementedError(
                None, None, f"Unsupported signature method_name: {task.method_name}"
            )
