"""Model inputs from serialized tf.Example records, and the other way round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import tensorflow as tf

from tfnorm.errors import InputError

Feature: TypeAlias = (
    tf.io.FixedLenFeature
    | tf.io.FixedLenSequenceFeature
    | tf.io.RaggedFeature
    | tf.io.VarLenFeature
)


@dataclass(frozen=True)
class Parser:
    """Parses records into the inputs of a model.

    Attributes:
        inputs: name -> dtype and shape.
        features: name -> how the record holds it.
    """

    inputs: dict[str, tf.TensorSpec]
    features: dict[str, Feature]

    @property
    def sequences(self) -> list[str]:
        """The inputs whose length differs from record to record."""
        return [
            name
            for name, spec in self.inputs.items()
            if spec.shape.rank > 1 and spec.shape[1] is None
        ]

    def __call__(self, records: tf.Tensor) -> dict[str, tf.Tensor]:
        """Parse `[N]` records; sequences are padded with 0 or "" to the longest of the batch."""
        parsed = tf.io.parse_example(records, self.features)
        dense = {name: _dense(value) for name, value in parsed.items()}
        if self.sequences:
            longest = tf.reduce_max([tf.shape(dense[name])[1] for name in self.sequences])
            for name in self.sequences:
                dense[name] = pad(dense[name], longest - tf.shape(dense[name])[1])
        return {name: _fitted(dense[name], spec) for name, spec in self.inputs.items()}


def parser(inputs: Mapping[str, tf.TensorSpec], given: Mapping[str, Feature] | None) -> Parser:
    """A parser for the inputs of a model.

    Args:
        inputs: name -> dtype and shape.
        given: how the records hold some or all of them; the rest follows from dtype and shape.

    Raises:
        InputError: `given` has an unknown name or no feature, or an input is of a shape that a record
            can't hold.
    """
    given = dict(given or {})
    if unknown := given.keys() - inputs.keys():
        raise InputError(
            f"feature_spec has {', '.join(map(repr, sorted(unknown)))}; "
            f"the model takes {', '.join(map(repr, inputs))}"
        )
    for name, feature in given.items():
        if not isinstance(feature, Feature):
            raise InputError(
                f"feature_spec has a {type(feature).__name__} for {name!r}; accepted: "
                "FixedLenFeature, FixedLenSequenceFeature, RaggedFeature, VarLenFeature of tf.io"
            )
    return Parser(
        dict(inputs), {name: given.get(name) or _feature(spec) for name, spec in inputs.items()}
    )


def pad(sequence: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
    """`[N, T, ...]` with so many more steps of 0 or ""."""
    before_and_after = [[0, 0], [0, steps], *[[0, 0]] * (sequence.shape.rank - 2)]
    return tf.pad(sequence, before_and_after)


def _feature(spec: tf.TensorSpec) -> Feature:
    shape = spec.shape.as_list()[1:]
    if spec.dtype == tf.string:
        dtype = tf.string
    elif spec.dtype.is_floating:
        dtype = tf.float32
    else:
        dtype = tf.int64
    if None not in shape:
        return tf.io.FixedLenFeature(shape, dtype)
    if None not in shape[1:]:
        return tf.io.FixedLenSequenceFeature(shape[1:], dtype, allow_missing=True)
    raise InputError(
        f"input {spec.name!r} has the shape {[None, *shape]}, which a tf.Example can't hold; "
        "accepted: a free axis next to the batch's, and no other"
    )


def _fitted(value: tf.Tensor, spec: tf.TensorSpec) -> tf.Tensor:
    if value.dtype != spec.dtype:
        given, value = value, tf.cast(value, spec.dtype)
        if spec.dtype.is_integer:
            # An id too large for int32 would come out as another one.
            message = f"{spec.name} has a value that does not fit into {spec.dtype.name}"
            tf.debugging.assert_equal(tf.cast(value, given.dtype), given, message)
    return tf.ensure_shape(value, spec.shape)


def _dense(value: tf.Tensor | tf.SparseTensor | tf.RaggedTensor) -> tf.Tensor:
    if isinstance(value, tf.RaggedTensor):
        return value.to_tensor()
    if isinstance(value, tf.SparseTensor):
        return tf.sparse.to_dense(value)
    return value
