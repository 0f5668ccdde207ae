"""Examples as records of tf.Example, for signatures that take those."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError


def records(features: Mapping[str, np.ndarray]) -> list[tf.train.Example]:
    """Each row of the features as a record."""
    return [
        tf.train.Example(
            features=tf.train.Features(
                feature={name: _value(array[row]) for name, array in features.items()}
            )
        )
        for row in range(len(next(iter(features.values()))))
    ]


def takes_records(inputs: Mapping[str, tf.TensorSpec]) -> str | None:
    """The name of the one input that serialized records go to, by the names that TensorFlow Serving and
    exports have for it; None where there is none."""
    if len(inputs) != 1:
        return None
    ((name, spec),) = inputs.items()
    records_go_there = spec.dtype == tf.string and spec.shape.rank == 1
    return name if records_go_there and name in ("examples", "inputs") else None


def with_value(record: bytes, name: str, number: float) -> bytes | None:
    """A serialized record with another number for all those of a feature; None where it has none of them."""
    try:
        example = tf.train.Example.FromString(record)
    except DecodeError:
        return None
    feature = example.features.feature
    if name not in feature or not (
        values := feature[name].int64_list.value or feature[name].float_list.value
    ):
        return None
    values[:] = [number] * len(values)
    changed: bytes = example.SerializeToString()
    return changed


def _value(row: np.ndarray) -> tf.train.Feature:
    values = np.ravel(row)
    if values.dtype.kind in "OSU":
        encoded = [v.encode() if isinstance(v, str) else v for v in values.tolist()]
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=encoded))
    if values.dtype.kind in "biu":
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values.astype(np.int64)))
    return tf.train.Feature(float_list=tf.train.FloatList(value=values.astype(np.float32)))
