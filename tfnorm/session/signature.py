"""A signature of a SavedModel, and whether arrays fit it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfnorm.errors import InputError

DEFAULT_SIGNATURE = "serving_default"
CANDIDATES = "candidates"
"""The signature that an export has for users and many candidates of each."""


@dataclass(frozen=True)
class Signature:
    """One way to call a SavedModel: named tensors in, named tensors out."""

    name: str
    method_name: str
    inputs: dict[str, tf.TensorSpec]
    outputs: dict[str, tf.TensorSpec]

    def check(self, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The arrays in the order of the inputs and in this machine's byte order.

        Raises:
            InputError: `feeds` has not each input, another one, or one of another dtype or shape.
        """
        if feeds.keys() != self.inputs.keys():
            self.check_names(feeds)
        arrays, fitted = [], self._fitted
        for name in self.inputs:
            array = feeds[name]
            if fitted.get(name) != (array.dtype, array.shape[1:]) or not array.shape:
                array = self._checked(name, array)
            arrays.append(array)
        return arrays

    @functools.cached_property
    def _fitted(self) -> dict[str, tuple[np.dtype[Any], tuple[int, ...]]]:
        """Dtype, and shape of a row, of what last fitted an input that takes any number of rows."""
        return {}

    def _checked(self, name: str, array: np.ndarray) -> np.ndarray:
        spec = self.inputs[name]
        dtype = tf.string if array.dtype.kind in "OSU" else tf.as_dtype(array.dtype)
        if dtype != spec.dtype or not spec.shape.is_compatible_with(array.shape):
            raise InputError(
                f"input {name!r} has dtype {dtype.name} and shape {list(array.shape)}; "
                f"accepted: dtype {spec.dtype.name} and shape {_shape(spec)}"
            )
        if not array.dtype.isnative:
            return array.astype(array.dtype.newbyteorder("="))
        if array.shape and (spec.shape.rank is None or spec.shape[0] is None):
            self._fitted[name] = (array.dtype, array.shape[1:])
        return array

    def check_names(self, feeds: Mapping[str, object]) -> None:
        """Raise InputError unless `feeds` has each input and no other."""
        if missing := self.inputs.keys() - feeds.keys():
            raise InputError(
                f"input {', '.join(map(repr, sorted(missing)))} is missing; {self._accepts()}"
            )
        if unknown := feeds.keys() - self.inputs.keys():
            raise InputError(
                f"there is no input {', '.join(map(repr, sorted(unknown)))}; {self._accepts()}"
            )

    def _accepts(self) -> str:
        return f"signature {self.name!r} takes {', '.join(map(repr, self.inputs))}"


def read_signatures(
    definitions: Mapping[str, tf.compat.v1.saved_model.SignatureDef],
) -> dict[str, Signature]:
    """The signatures of a SavedModel by name, of those that can be called."""
    return {
        name: Signature(
            name,
            definition.method_name,
            tensor_specs(definition.inputs),
            tensor_specs(definition.outputs),
        )
        for name, definition in definitions.items()
        if definition.method_name
    }


def tensor_specs(
    infos: Mapping[str, tf.compat.v1.saved_model.TensorInfo],
) -> dict[str, tf.TensorSpec]:
    """The inputs or outputs of a signature as its SignatureDef has them, in the order of their names."""
    for name, info in infos.items():
        sizes = [dim.size for dim in info.tensor_shape.dim]
        if min(sizes, default=0) < -1:
            raise ValueError(f"{name!r} has shape {sizes}")
    return {
        name: tf.TensorSpec(tf.TensorShape(info.tensor_shape), tf.as_dtype(info.dtype), name)
        for name, info in sorted(infos.items())
    }


def _shape(spec: tf.TensorSpec) -> str:
    return str(spec.shape.as_list()) if spec.shape.rank is not None else "of any rank"
