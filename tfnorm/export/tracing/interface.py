"""What a Keras model takes and gives, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

import keras
import numpy as np
import tensorflow as tf

from tfnorm._keras import built_shape, is_symbolic, output_names
from tfnorm.errors import InputError
from tfnorm.export.tracing.unknown import UnknownRows, spoilt
from tfnorm.scorers.inputs import by_path, declared, is_shape, packed

SCORE = "score"
# The arguments of a call, by their places and by their names.
Called = tuple[tuple[Any, ...], dict[str, Any]]
_Kind = TypeVar("_Kind", bound="Interface")


@dataclass(frozen=True)
class Interface:
    """A model's inputs by name, and how it is called with them.

    Attributes:
        inputs: name -> dtype and shape, the batch dimension free.
        tensors: name -> Keras tensor, for models that are a graph of them.
        arguments: features by name -> what to call the model with.
        declared: as `inputs`, but as the signature has it, which may be less than what the graph takes.
        prepared: features by name -> features as the model takes them.
        unknown: gathers the rows whose outputs become NaN for an id that a table lacks; None for none.
    """

    model: keras.Model
    inputs: dict[str, tf.TensorSpec]
    tensors: dict[str, keras.KerasTensor]
    arguments: Callable[[Mapping[str, tf.Tensor]], Called]
    declared: dict[str, tf.TensorSpec] = field(default_factory=dict)
    prepared: Callable[[Mapping[str, tf.Tensor]], Mapping[str, tf.Tensor]] = dict
    unknown: UnknownRows | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "declared", {**self.inputs, **self.declared})

    def as_kind(self, kind: type[_Kind], **changed: Any) -> _Kind:
        """The same model as an interface of another kind, with some attributes changed or added."""
        return kind(**{each.name: getattr(self, each.name) for each in fields(self)} | changed)

    def score(self, features: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Call the model in inference mode."""
        if self.unknown is None:
            return self.outputs(features)
        self.unknown.begin()
        outputs = self.outputs(features)
        rows = tf.shape(next(iter(features.values())))[0]
        return spoilt(outputs, self.unknown.take(features, rows))

    def outputs(self, features: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """What the model gives, by name."""
        positional, named = self.arguments(self.prepared(features))
        outputs = self._named(self.model(*positional, training=False, **named))
        for name, output in outputs.items():
            if not tf.is_tensor(output):
                raise InputError(
                    f"output {name!r} of {self.model.name!r} is a {type(output).__name__}; "
                    "accepted: one tensor, or lists or dicts of tensors"
                )
        return outputs

    def batch(self, examples: Mapping[str, np.ndarray]) -> tuple[Any]:
        """Examples as a batch of what the model is called with, as `predict` takes it.

        Raises:
            InputError: the model takes several arguments.
        """
        positional, named = self.arguments(examples)
        if named:
            raise InputError(
                f"{self.model.name!r} takes several arguments ({', '.join(named)}); "
                "accepted: a model that takes one, which may be a dict"
            )
        (x,) = positional
        return (x,)

    def _named(self, outputs: Any) -> dict[str, tf.Tensor]:
        if not isinstance(outputs, (Mapping, list, tuple)):
            outputs = {SCORE: outputs}
        elif not isinstance(outputs, Mapping) and len(outputs) == 1:
            outputs = {SCORE: outputs[0]}
        elif not isinstance(outputs, Mapping):
            names = output_names(self.model) or []
            if len(names) != len(outputs):
                names = [f"output_{i}" for i in range(len(outputs))]
            outputs = dict(zip(_distinct(names), outputs, strict=True))
        return dict(by_path(outputs))


def places(model: object) -> tuple[list[str], dict[str, str]]:
    """The names of a model's inputs, as far as Keras knows them, and where they stand: path -> name."""
    if not isinstance(model, keras.Model) or not model.built or not is_symbolic(model):
        return [], {}
    tensors, found = declared(model)
    return list(tensors), found


def interface(model: keras.Model, examples: Mapping[str, np.ndarray] | None) -> Interface:
    """The interface of a built model; `examples` tell the names and dtypes that Keras doesn't keep.

    Raises:
        InputError: `model` is no Keras model, is not built, or takes what a signature can't.
    """
    if not isinstance(model, keras.Model):
        raise InputError(
            f"model is a {type(model).__module__}.{type(model).__qualname__}; "
            "accepted: a keras.Model"
        )
    if not model.built:
        raise InputError(
            f"model {model.name!r} is not built, so it has no weights to export; "
            "fit it or call it on a batch first"
        )
    return _symbolic(model) if is_symbolic(model) else _called(model, examples)


def _symbolic(model: keras.Model) -> Interface:
    structure = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    tensors, _ = declared(model)
    for name, tensor in tensors.items():
        if tensor.sparse or getattr(tensor, "ragged", False):
            raise InputError(f"input {name!r} is sparse or ragged; accepted: dense inputs")
    names = {id(tensor): name for name, tensor in tensors.items()}

    def arguments(features: Mapping[str, tf.Tensor]) -> Called:
        return (keras.tree.map_structure(lambda t: features[names[id(t)]], structure),), {}

    specs = {name: _spec(name, tensor.shape, tensor.dtype) for name, tensor in tensors.items()}
    return Interface(model, specs, tensors, arguments)


def _called(model: keras.Model, examples: Mapping[str, np.ndarray] | None) -> Interface:
    parameters = [
        name
        for name, parameter in inspect.signature(model.call).parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        and name not in ("training", "mask")
    ]
    shapes = built_shape(model)
    if len(parameters) > 1:
        # Keras keeps the shape of the first alone.
        shapes = dict.fromkeys(parameters)

        def arguments(features: Mapping[str, tf.Tensor]) -> Called:
            return (), {name: features[name] for name in parameters}

    elif isinstance(shapes, Mapping):
        taken = shapes
        shapes = dict(by_path(shapes, is_shape))

        def arguments(features: Mapping[str, tf.Tensor]) -> Called:
            return (packed(taken, features, is_shape),), {}

    elif shapes is not None and not is_shape(shapes):
        names = list(examples or [f"{parameters[0]}_{i}" for i in range(len(shapes))])
        if len(names) != len(shapes):
            raise InputError(
                f"examples have {len(names)} inputs ({', '.join(names)}); "
                f"{model.name!r} takes a list of {len(shapes)}"
            )
        shapes = dict(zip(names, shapes, strict=True))

        def arguments(features: Mapping[str, tf.Tensor]) -> Called:
            return ([features[name] for name in names],), {}

    else:
        name = next(iter(examples)) if examples and len(examples) == 1 else parameters[0]
        shapes = {name: shapes}

        def arguments(features: Mapping[str, tf.Tensor]) -> Called:
            return (features[name],), {}

    return Interface(
        model,
        {name: _known(model, name, shape, examples) for name, shape in shapes.items()},
        {},
        arguments,
    )


def _known(
    model: keras.Model,
    name: str,
    shape: Any,
    examples: Mapping[str, np.ndarray] | None,
) -> tf.TensorSpec:
    if examples is None and shape is not None:
        return _spec(name, shape, model.input_dtype)
    if examples is None or name not in examples:
        raise InputError(
            f"the shape and dtype of input {name!r} of {model.name!r} are not known to Keras; "
            "give examples that have it"
        )
    example = examples[name]
    dtype = "string" if example.dtype.kind in "OSU" else example.dtype
    return _spec(name, example.shape if shape is None else shape, dtype)


def _spec(name: str, shape: Sequence[int | None], dtype: Any) -> tf.TensorSpec:
    return tf.TensorSpec((None, *shape[1:]), tf.as_dtype(dtype), name)


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, with _1, _2 ... after those that came before."""
    distinct: list[str] = []
    for name in names:
        candidate, count = name, 0
        while candidate in distinct:
            count += 1
            candidate = f"{name}_{count}"
        distinct.append(candidate)
    return distinct
