"""What a server's metadata says of a signature."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.session import tensor_specs


def signature_specs(
    signature_defs: Mapping[str, tf.compat.v1.saved_model.SignatureDef], signature: str, target: str
) -> tuple[dict[str, tf.TensorSpec], dict[str, tf.TensorSpec]]:
    """The inputs and outputs of a signature.

    Raises:
        InputError: the server has no such signature.
    """
    if signature not in signature_defs:
        raise InputError(
            f"{target} has no signature {signature!r}; "
            f"it has {', '.join(map(repr, sorted(signature_defs))) or 'none'}"
        )
    definition = signature_defs[signature]
    return tensor_specs(definition.inputs), tensor_specs(definition.outputs)
