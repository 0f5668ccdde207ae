"""The examples that an export keeps beside the model."""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.scorers.inputs import check_names, flattened


def as_arrays(
    examples: Mapping[str, Any] | list[Any] | tuple[Any, ...],
    inputs: Collection[str] = (),
    places: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, np.ndarray]:
    """The examples as NumPy arrays whose first axis is the example.

    Args:
        examples: input name -> array, or dicts or lists of such as the model takes them.
        inputs: the names of the inputs, as far as they are known.
        places: where they stand in the model: path -> name.

    Raises:
        InputError: they are no mapping, are empty, or differ in how many they are.
    """
    if not isinstance(examples, Mapping | list | tuple if places else Mapping) or not examples:
        raise InputError(
            f"examples are a {type(examples).__name__}; accepted: a dict of input name -> array"
        )
    flat = flattened(examples, places, inputs)
    arrays = {name: np.asarray(array) for name, array in flat.items()}
    sizes = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
    if len(set(sizes.values())) != 1 or 0 in sizes.values():
        raise InputError(
            f"examples have {', '.join(f'{size} of {name!r}' for name, size in sizes.items())}; "
            "accepted: one or more, as many of each input"
        )
    return arrays


def fitted(
    arrays: Mapping[str, np.ndarray], inputs: Mapping[str, tf.TensorSpec]
) -> dict[str, np.ndarray]:
    """The examples in the dtypes of the inputs.

    Raises:
        InputError: an input is missing or unknown, or its array can't be fed to it.
    """
    check_names(arrays, inputs)
    return {name: _fitted(name, arrays[name], spec) for name, spec in inputs.items()}


def _fitted(name: str, array: np.ndarray, spec: tf.TensorSpec) -> np.ndarray:
    if not spec.shape.is_compatible_with(array.shape):
        raise InputError(
            f"examples of {name!r} have the shape {list(array.shape)}; "
            f"the model takes {spec.shape.as_list()}"
        )
    if spec.dtype == tf.string:
        return _strings(name, array)
    dtype = spec.dtype.as_numpy_dtype
    if array.dtype.kind in "biuf" and np.can_cast(array.dtype, dtype, "same_kind"):
        cast = array.astype(dtype)
        if array.dtype.kind == "f" or np.array_equal(cast, array):
            return cast
    raise InputError(
        f"examples of {name!r} have the dtype {array.dtype}; the model takes {spec.dtype.name}"
    )


def _strings(name: str, array: np.ndarray) -> np.ndarray:
    """Strings as fixed-width bytes, which `.npz` holds without pickling."""
    encoded = [
        value.encode() if isinstance(value, str) else value for value in array.ravel().tolist()
    ]
    if not all(isinstance(value, bytes) for value in encoded):
        raise InputError(
            f"examples of {name!r} hold other values than strings; the model takes string"
        )
    fixed = np.array(encoded, "S").reshape(array.shape)
    if fixed.ravel().tolist() != encoded:
        raise InputError(f"examples of {name!r} end in zero bytes, which an .npz file drops")
    return fixed


def write(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an `.npz` file; any name will do, unlike for `np.savez`, which has arguments itself."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
