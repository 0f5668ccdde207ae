"""Whether arrays go by the names of the inputs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tfnorm.errors import InputError


def check_names(
    arrays: Mapping[str, np.ndarray], inputs: Mapping[str, tf.TensorSpec], source: str = "examples"
) -> None:
    """Raise InputError unless there is an array for each input, and no other."""
    for problem, names in (
        ("lack", inputs.keys() - arrays.keys()),
        ("have what is no input", arrays.keys() - inputs.keys()),
    ):
        if names:
            raise InputError(
                f"{source} {problem}: {', '.join(map(repr, sorted(names)))}; "
                f"accepted: {described(inputs)}"
            )


def described(inputs: Mapping[str, tf.TensorSpec]) -> str:
    """The inputs as an error shows them."""
    return ", ".join(f"{k}: {v.dtype.name} {dimensions(v)}" for k, v in inputs.items())


def dimensions(spec: tf.TensorSpec) -> str:
    """The shape as an error shows it."""
    return str(spec.shape.as_list()) if spec.shape.rank is not None else "of any shape"
