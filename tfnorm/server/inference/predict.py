"""PredictionService.Predict, and what the other methods share with it: a bounded run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis.predict_pb2 import PredictRequest

from tfnorm.errors import InputError
from tfnorm.protocol.tensor_proto import array_bytes, to_array
from tfnorm.server import bounds
from tfnorm.server.running.local import COMPOSITE, Model
from tfnorm.session import DEFAULT_SIGNATURE


class Runner(Protocol):
    """A version that can be asked."""

    model: Model

    def run(
        self,
        feeds: Mapping[str, np.ndarray],
        *,
        signature: str,
        outputs: Sequence[str] | None = None,
    ) -> dict[str, np.ndarray]:
        """As `SavedModel.run`."""
        ...


def predict(runner: Runner, request: PredictRequest, max_bytes: int) -> dict[str, np.ndarray]:
    """The outputs that a request asks for.

    The names, dtypes and shapes of its tensors are compared with the signature's before one is built.

    Args:
        runner: the version to ask.
        request: as the gRPC API takes it; an input that the signature has a default for may be missing.
        max_bytes: what all inputs, and all outputs, may have.

    Raises:
        InputError: the request doesn't fit the signature.
        tf.errors.FailedPreconditionError: there is no such signature.
        tf.errors.ResourceExhaustedError: the outputs are over `max_bytes`.
    """
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    if name not in runner.model.signatures:
        known = ", ".join(map(repr, runner.model.signatures)) or "none"
        raise tf.errors.FailedPreconditionError(
            None, None, f"Serving signature key {name!r} not found; the model has {known}"
        )
    signature = runner.model.signatures[name]
    wanted = list(request.output_filter)
    if len(set(wanted)) < len(wanted):
        raise InputError(f"duplicate output tensor alias in {wanted}")
    given = {**runner.model.signature_defs[name].defaults, **request.inputs}
    signature.check_names(given)
    feeds: dict[str, np.ndarray] = {}
    left = max_bytes
    for key, spec in signature.inputs.items():
        feeds[key] = to_array(f"input {key!r}", given[key], spec, left)
        left -= array_bytes(feeds[key].shape, spec.dtype)
    return run(runner, feeds, signature=name, outputs=sorted(wanted) or None, max_bytes=max_bytes)


def run(
    runner: Runner,
    feeds: Mapping[str, np.ndarray],
    *,
    signature: str,
    outputs: Sequence[str] | None,
    max_bytes: int,
) -> dict[str, np.ndarray]:
    """As `SavedModel.run`, with inputs and outputs of up to `max_bytes`.

    Raises:
        InputError: as there, or the inputs are over it.
        tf.errors.FailedPreconditionError: the signature has what is made of several tensors.
        tf.errors.ResourceExhaustedError: the outputs are, or would be by the signature's shapes.
    """
    bounds.check_feeds(feeds, max_bytes)
    known = runner.model.signatures[signature].outputs
    _check_encodings(runner, signature, outputs)
    wanted = {name: known[name] for name in outputs or known if name in known}
    bounds.check_expected(feeds, wanted, max_bytes)
    found = runner.run(feeds, signature=signature, outputs=outputs)
    bounds.check_outputs(found, max_bytes)
    return found


def _check_encodings(runner: Runner, signature: str, outputs: Sequence[str] | None) -> None:
    definition = runner.model.signature_defs[signature]
    asked = {name: definition.outputs[name] for name in outputs or () if name in definition.outputs}
    for name, info in (*definition.inputs.items(), *(asked or definition.outputs).items()):
        if info.WhichOneof("encoding") in COMPOSITE:
            raise tf.errors.FailedPreconditionError(
                None,
                None,
                f"signature {signature!r} has {name!r} as a sparse or composite tensor, which no request "
                "can carry",
            )
