"""What a server's metadata says of a signature."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.scorers.messages import one_line
from tfnorm.session import tensor_specs


def signature_specs(
    signature_defs: Mapping[str, tf.compat.v1.saved_model.SignatureDef], signature: str, target: str
) -> tuple[dict[str, tf.TensorSpec], dict[str, tf.TensorSpec]]:
    """The inputs and outputs of a signature.

    Raises:
        InputError: the server has no such signature, or what it says of it makes no sense.
    """
    if signature not in signature_defs:
        raise InputError(
            f"{target} has no signature {signature!r}; "
            f"it has {', '.join(map(repr, sorted(signature_defs))) or 'none'}"
        )
    definition = signature_defs[signature]
    try:
        return tensor_specs(definition.inputs), tensor_specs(definition.outputs)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{target}: its metadata of signature {signature!r} makes no sense: {one_line(error)}"
        ) from error
