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
        max_bytes: what the records, and the outputs of all tasks, may have.

    Raises:
        InputError: the tasks contradict one another, or one can't be run.
        tf.errors.UnimplementedError: a task is neither a classification nor a regression.
        tf.errors.ResourceExhaustedError: the outputs are over `max_bytes`.
    """
    _check(runner, request)
    response = MultiInferenceResponse()
    left = max_bytes
    for task in request.tasks:
        name = task.model_spec.signature_name or DEFAULT_SIGNATURE
        result = InferenceResult()
        result.model_spec.name = task.model_spec.name
        result.model_spec.signature_name = name
        if task.method_name == classify.METHOD:
            result.classification_result.CopyFrom(
                classify.classify(runner, name, request.input, left)
            )
        else:
            result.regression_result.CopyFrom(regress.regress(runner, name, request.input, left))
        response.results.append(result)
        left -= result.ByteSize()
    return response


def _check(runner: Runner, request: MultiInferenceRequest) -> None:
    """Raise where the tasks can't be run together; what is first wrong is told."""
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
        if name not in runner.model.signatures:
            raise InputError(f"Requested signature not found in model graph: {name}")
        if task.method_name == classify.METHOD:
            classify.checked(runner, name)
        elif task.method_name == regress.METHOD:
            regress.checked(runner, name)
        else:
            raise tf.errors.UnimplementedError(
                None, None, f"Unsupported signature method_name: {task.method_name}"
            )
