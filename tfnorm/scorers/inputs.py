"""What inputs are called, whether arrays go by their names, and what one is where it is the same for all."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfnorm.differences import is_floating
from tfnorm.errors import InputError

_WORDS = {"True": True, "False": False}
_SEPARATORS = ("/", "_", ".")


def by_path(
    structure: object, is_leaf: Callable[[object], bool] = lambda part: False, path: str = ""
) -> Iterator[tuple[str, Any]]:
    """What is in dicts and lists of any depth, each with the path that leads to it, such as "user/ids/0".

    Args:
        structure: the dicts and lists; None in one is left out.
        is_leaf: whether a list is no such list, such as a shape.
        path: of the structure itself.
    """
    if isinstance(structure, Mapping):
        parts: Mapping[object, object] = structure
    elif isinstance(structure, list | tuple) and not is_leaf(structure):
        parts = dict(enumerate(structure))
    else:
        if structure is not None:
            yield path, structure
        return
    for key, part in parts.items():
        yield from by_path(part, is_leaf, f"{path}/{key}" if path else str(key))


def packed(
    structure: object,
    leaves: Mapping[str, Any],
    is_leaf: Callable[[object], bool] = lambda part: False,
    path: str = "",
) -> Any:
    """Dicts and lists like `structure`, with `leaves` by the paths that `by_path` gives."""

    def inside(key: object, part: object) -> Any:
        return packed(part, leaves, is_leaf, f"{path}/{key}" if path else str(key))

    if isinstance(structure, Mapping):
        return {key: inside(key, part) for key, part in structure.items()}
    if isinstance(structure, list | tuple) and not is_leaf(structure):
        return [inside(key, part) for key, part in enumerate(structure)]
    return leaves.get(path)


def is_shape(part: object) -> bool:
    """Whether a list or tuple is the shape of a tensor, as Keras has it."""
    sizes = part if isinstance(part, list | tuple) else [part]
    return all(size is None or isinstance(size, int) for size in sizes)


def declared(model: keras.Model) -> tuple[dict[str, keras.KerasTensor], dict[str, str]]:
    """What a functional or sequential model declares to take.

    Returns:
        Input name -> tensor: the keys of a flat dict of inputs, or else the inputs' own names; and where
        the inputs stand: path -> name, but for a flat dict.
    """
    structure = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    if isinstance(structure, Mapping) and not any(map(keras.tree.is_nested, structure.values())):
        return dict(structure), {}
    tensors = {tensor.name: tensor for tensor in keras.tree.flatten(structure)}
    return tensors, {path: tensor.name for path, tensor in by_path(structure) if path}


def flattened(
    examples: Mapping[str, Any] | list[Any] | tuple[Any, ...],
    places: Mapping[str, str],
    inputs: Collection[str] = (),
    source: str = "examples",
    is_leaf: Callable[[object], bool] = lambda value: False,
) -> dict[str, Any]:
    """Examples in dicts of dicts, or in lists where the model has lists of inputs, by input name.

    One goes by the input that stands at its path in the model; else by the input that is called as its path,
    with any of "/", "_" and "." between the keys, or as its last key; else by its path.

    Args:
        examples: input name -> values, or dicts of such.
        places: where the inputs stand in the model: path -> name.
        inputs: the names of the inputs.
        source: what they come from, for errors.
        is_leaf: whether a dict is a value.

    Raises:
        InputError: two of them are the same input's.
    """
    inner = {path[:end] for path in places for end, sign in enumerate(path) if sign == "/"}

    def parts(value: object, keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
        path = "/".join(keys)
        if isinstance(value, Mapping) and path not in inputs and not is_leaf(value):
            for key, part in value.items():
                yield from parts(part, (*keys, str(key)))
        elif isinstance(value, list | tuple) and (path in inner or not keys):
            for number, part in enumerate(value):
                yield from parts(part, (*keys, str(number)))
        else:
            yield keys, value

    found: dict[str, Any] = {}
    for keys, value in parts(examples, ()):
        path = "/".join(keys)
        called = [separator.join(keys) for separator in _SEPARATORS] + [keys[-1]]
        name = places.get(path) or next((known for known in called if known in inputs), path)
        if name in found:
            raise InputError(f"{source} have input {name!r} twice; accepted: each once")
        found[name] = value
    return found


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


def constant(name: str, value: object, inputs: Mapping[str, tf.TensorSpec] | None) -> np.ndarray:
    """What an input, or each row of one that has a row for each example, is given: as the scorer takes it.

    Args:
        name: the input.
        value: a number, a boolean, a string, nested lists of them, or an array; text in the place of what
            is no string is read as JSON, or as Python's True and False; so is a string in quotes.
        inputs: what the scorer takes; None where it doesn't say. It then gets text that is no JSON as
            bytes, and a float as float32.

    Raises:
        InputError: there is no such input, or it takes another type or shape.
    """
    if inputs is None:
        read = _read(value) if isinstance(value, str) else value
        guessed = np.asarray(read.encode() if isinstance(read, str) else read)
        single = type(read) in (float, list) and guessed.dtype == np.float64
        return guessed.astype(np.float32) if single else guessed
    if name not in inputs:
        raise InputError(f"feed gives {name!r}, which is no input; accepted: {described(inputs)}")
    spec = inputs[name]
    try:
        array = _array(value, spec)
    except (ValueError, TypeError, OverflowError):
        pass
    else:
        if array is not None and any(
            shape.is_compatible_with(array.shape) for shape in (spec.shape, spec.shape[1:])
        ):
            return array
    raise InputError(
        f"feed gives {name!r} the value {value!r}; "
        f"accepted: {spec.dtype.name} {dimensions(spec)}, a number, true, false or a list as in JSON"
    )


def described(inputs: Mapping[str, tf.TensorSpec]) -> str:
    """The inputs as an error shows them."""
    return ", ".join(f"{k}: {v.dtype.name} {dimensions(v)}" for k, v in inputs.items())


def dimensions(spec: tf.TensorSpec) -> str:
    """The shape as an error shows it."""
    return str(spec.shape.as_list()) if spec.shape.rank is not None else "of any shape"


def _array(value: object, spec: tf.TensorSpec) -> np.ndarray | None:
    """The value in the input's dtype; None where it would become another."""
    if spec.dtype == tf.string:
        begins = ('"',) if spec.shape.rank == 0 else ('"', "[")
        as_json = isinstance(value, str) and value.startswith(begins)
        text = np.array(_read(str(value)) if as_json else value, object)
        bytes_ = [item.encode() if isinstance(item, str) else item for item in text.flat]
        if not all(isinstance(item, bytes) for item in bytes_):
            return None
        text.reshape(-1)[:] = bytes_
        return text
    given = np.asarray(_read(value) if isinstance(value, str) else value)
    with np.errstate(over="ignore"):
        array = given.astype(spec.dtype.as_numpy_dtype)
    if is_floating(array):
        kept = given.dtype.kind in "iufV" and np.isfinite(array) == np.isfinite(given)
        return array if np.all(kept) else None
    return array if np.array_equal(array, given) else None


def _read(text: str) -> object:
    if text in _WORDS:
        return _WORDS[text]
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
