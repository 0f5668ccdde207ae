"""The tf.Example records of a classify or regress request."""

from __future__ import annotations

import numpy as np
from tensorflow_serving.apis.input_pb2 import Input

from tfnorm.errors import InputError
from tfnorm.protocol.tensor_proto import STRING_BYTES


def serialized(given: Input, max_bytes: int) -> np.ndarray:
    """Each record serialized, with what they have in common before it.

    Raises:
        InputError: there is none, or all together have over `max_bytes` bytes.
    """
    shared = given.example_list_with_context
    has_context = given.WhichOneof("kind") == "example_list_with_context"
    examples = shared.examples if has_context else given.example_list.examples
    if not examples:
        raise InputError("Input is empty")
    context = shared.context.SerializeToString() if has_context else b""
    size = sum(len(context) + STRING_BYTES + example.ByteSize() for example in examples)
    if size > max_bytes:
        raise InputError(
            f"the examples have {size:,} bytes, their context in each; "
            f"accepted: up to {max_bytes:,} bytes"
        )
    return np.array([context + example.SerializeToString() for example in examples], object)
