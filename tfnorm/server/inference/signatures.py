"""The signatures that take tf.Example records, as TensorFlow Serving wants them."""

from __future__ import annotations

import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.server.inference.predict import Runner
from tfnorm.session import DEFAULT_SIGNATURE, Signature

_INPUT: str = tf.saved_model.CLASSIFY_INPUTS


def signature_of(runner: Runner, name: str, method: str) -> Signature:
    """The signature of that name, which must have the method.

    Raises:
        InputError: there is none, or it has another.
    """
    name = name or DEFAULT_SIGNATURE
    found = runner.model.signatures.get(name)
    if found is None:
        raise InputError(f"No signature was found with the name: {name}")
    if found.method_name != method:
        raise InputError(
            f"Expected signature {name!r} to have the method_name {method}. "
            f"Was: {found.method_name}"
        )
    return found


def single_input(signature: Signature) -> str:
    """The input that takes the records.

    Raises:
        InputError: the signature has another input, or more than one.
    """
    if signature.inputs.keys() != {_INPUT}:
        raise InputError(
            f"Expected one input Tensor, {_INPUT!r}; "
            f"signature {signature.name!r} takes {', '.join(signature.inputs)}"
        )
    (name,) = signature.inputs
    return name
