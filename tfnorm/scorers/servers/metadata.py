"""What a server's metadata says of a signature."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.protocol.tensor_proto import to_array
from tfnorm.scorers.candidates import candidate_inputs
from tfnorm.scorers.messages import one_line
from tfnorm.session import DEFAULT_SIGNATURE, tensor_specs

# Of a default: a message of a few bytes can ask for any amount.
_MOST_BYTES = 2**26


def signature_specs(
    signature_defs: Mapping[str, tf.compat.v1.saved_model.SignatureDef], signature: str, target: str
) -> tuple[dict[str, tf.TensorSpec], dict[str, tf.TensorSpec], dict[str, np.ndarray]]:
    """The inputs and outputs of a signature, and what those inputs are that a request may leave out.

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
        inputs, outputs = tensor_specs(definition.inputs), tensor_specs(definition.outputs)
        defaults = {
            name: to_array(f"the default of {name!r}", definition.defaults[name], spec, _MOST_BYTES)
            for name, spec in inputs.items()
            if name in definition.defaults
        }
        return inputs, outputs, defaults
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{target}: its metadata of signature {signature!r} makes no sense: {one_line(error)}"
        ) from error


def candidates_of(
    signature_defs: Mapping[str, tf.compat.v1.saved_model.SignatureDef],
    inputs: Mapping[str, tf.TensorSpec],
    target: str,
) -> tuple[str, ...]:
    """The inputs of a signature that are a candidate's, as `Scorer` has them.

    Raises:
        InputError: what the server says of `serving_default` makes no sense.
    """
    if DEFAULT_SIGNATURE not in signature_defs:
        return ()
    of_rows, _, _ = signature_specs(signature_defs, DEFAULT_SIGNATURE, target)
    return candidate_inputs(inputs, of_rows)
