"""How records hold a model's inputs, read from a file."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.export.records.tf_example import Feature
from tfnorm.schema import Schema

_KINDS: dict[str, Any] = {kind.__name__: kind for kind in get_args(Feature)}
_DTYPES = ("int64", "float32", "string")


def load_feature_spec(path: str | os.PathLike[str]) -> dict[str, Feature]:
    """A `feature_spec` for `export_saved_model`, from a JSON file.

    The file is a schema, or has for each input the name of a feature of `tf.io` as `kind`, and that
    feature's arguments:

        {"price": {"kind": "FixedLenFeature", "shape": [], "dtype": "float32", "default_value": 0},
         "history": {"kind": "RaggedFeature", "dtype": "int64", "value_key": "clicks"}}

    Args:
        path: the path of the file.

    Returns:
        Input name -> feature.

    Raises:
        InputError: the file can't be read, is no JSON, or a feature isn't as said here; the message
            names the input.

    Example:

        spec = load_feature_spec("records.json")
        export_saved_model(model, "exports/ranker", signatures=["tf_example"], feature_spec=spec)
    """
    path = Path(path)
    try:
        form = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from error
    if not isinstance(form, Mapping):
        raise InputError(f"{path} is a {type(form).__name__}; accepted: input name -> feature")
    if isinstance(form.get("features"), list):
        return dict(Schema.load(path).feature_spec)
    return {name: _feature(f"{path}: {name!r}", given) for name, given in form.items()}


def _feature(where: str, given: Any) -> Feature:
    if not isinstance(given, Mapping) or given.get("kind") not in _KINDS:
        kind = given.get("kind") if isinstance(given, Mapping) else given
        raise InputError(f"{where}: kind is {kind!r}; accepted: {', '.join(_KINDS)}")
    kind = _KINDS[given["kind"]]
    arguments = {key: value for key, value in given.items() if key != "kind"}
    # What splits the values of a RaggedFeature further gives no input that a model here takes.
    taken = [key for key in inspect.signature(kind).parameters if key != "partitions"]
    if unknown := [key for key in arguments if key not in taken]:
        raise InputError(f"{where} has {unknown[0]!r}; {given['kind']} takes {', '.join(taken)}")
    if arguments.get("dtype") not in _DTYPES:
        raise InputError(
            f"{where}: dtype is {arguments.get('dtype')!r}; accepted: {', '.join(_DTYPES)}"
        )
    try:
        made: Feature = kind(**{**arguments, "dtype": tf.as_dtype(arguments["dtype"])})
    except TypeError as error:
        raise InputError(f"{where}: {error}") from error
    return made
