"""TensorFlow Serving's file of batching parameters."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)

from tfnorm.errors import InputError

_INTEGERS = {
    "max_batch_size": 1,
    "batch_timeout_micros": 2,
    "max_enqueued_batches": 3,
    "num_batch_threads": 4,
    "max_execution_batch_size": 9,
}
_LEAST = {"batch_timeout_micros": 0}


@dataclass(frozen=True)
class BatchingParameters:
    """How requests are put together; the names and defaults are TensorFlow Serving's.

    Attributes:
        max_batch_size: rows of a batch, and of a request.
        batch_timeout_micros: how long a request waits for others, in microseconds.
        max_enqueued_batches: how many batches of a signature may wait; a request beyond that is refused.
        num_batch_threads: how many batches are run at the same time.
        allowed_batch_sizes: a batch is filled up to the next of these, the last of which is
            `max_batch_size`, also where requests are split; empty to fill up none.
        pad_variable_length_inputs: make requests of different lengths equally long, each by its first
            value; else a batch of different lengths is refused.
        enable_large_batch_splitting: split a request that is larger than a batch.
        max_execution_batch_size: rows of a batch where requests are split; 0 for max_batch_size.

    Raises:
        InputError: they contradict one another.

    Example:

        >>> BatchingParameters(max_batch_size=64, allowed_batch_sizes=(16, 64)).filled_up(20)
        64

    Source:
        https://github.com/tensorflow/serving/blob/master/tensorflow_serving/batching/README.md
    """

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = field(default_factory=lambda: os.cpu_count() or 1)
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False
    enable_large_batch_splitting: bool = False
    max_execution_batch_size: int = 0

    def __post_init__(self) -> None:
        for name in _INTEGERS.keys() - {"max_execution_batch_size"}:
            least = _LEAST.get(name, 1)
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}; accepted: {least} or more")
        if not 1 <= self.largest_batch <= self.max_batch_size:
            raise InputError(
                f"max_execution_batch_size is {self.max_execution_batch_size}; "
                f"accepted: 1 to max_batch_size, which is {self.max_batch_size}"
            )
        sizes = self.allowed_batch_sizes
        if sizes and (
            sorted({*sizes}) != [*sizes] or sizes[0] < 1 or sizes[-1] != self.max_batch_size
        ):
            raise InputError(
                f"allowed_batch_sizes is {list(sizes)}; accepted: positive and increasing, the last "
                f"being max_batch_size, {self.max_batch_size}"
            )

    @property
    def largest_batch(self) -> int:
        """Rows of a batch."""
        splits = self.enable_large_batch_splitting
        return (splits and self.max_execution_batch_size) or self.max_batch_size

    def filled_up(self, rows: int) -> int:
        """How many rows a batch has that is made of requests with this many rows."""
        return next((size for size in self.allowed_batch_sizes if size >= rows), rows)


def read_batching_parameters(file: str | os.PathLike[str]) -> BatchingParameters:
    """The parameters in a file that TensorFlow Serving takes as `--batching_parameters_file`.

    Args:
        file: a BatchingParameters message as text, such as `max_batch_size { value: 128 }`.

    Raises:
        InputError: it can't be read, is no such message, or its values contradict one another.

    Example:

        >>> import pathlib
        >>> _ = pathlib.Path("batching.config").write_text("max_batch_size { value: 128 }")
        >>> read_batching_parameters("batching.config").max_batch_size
        128
    """
    try:
        message = text_format.Parse(Path(file).read_text("utf-8"), _message()())
    except OSError as error:
        raise InputError(f"{file} can't be read: {error.strerror}") from error
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise InputError(f"{file} holds no batching parameters: {error}") from error
    given = {name: getattr(message, name).value for name in _INTEGERS if message.HasField(name)}
    try:
        return BatchingParameters(
            **given,
            allowed_batch_sizes=tuple(message.allowed_batch_sizes),
            pad_variable_length_inputs=message.pad_variable_length_inputs,
            enable_large_batch_splitting=message.enable_large_batch_splitting.value,
        )
    except InputError as error:
        raise InputError(f"{file}: {error}") from error


def _message() -> Any:
    """The message, which `tensorflow-serving-api` doesn't ship."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="tfnorm/batching_parameters.proto",
        package="tfnorm",
        syntax="proto3",
        dependency=["google/protobuf/wrappers.proto"],
    )
    message = file.message_type.add(name="BatchingParameters")
    wrapped = dict.fromkeys(_INTEGERS, "Int64Value")
    wrapped |= {"thread_pool_name": "StringValue", "enable_large_batch_splitting": "BoolValue"}
    numbers = _INTEGERS | {"thread_pool_name": 5, "enable_large_batch_splitting": 8}
    for name, kind in wrapped.items():
        message.field.add(
            name=name,
            number=numbers[name],
            label=kinds.LABEL_OPTIONAL,
            type=kinds.TYPE_MESSAGE,
            type_name=f".google.protobuf.{kind}",
        )
    message.field.add(
        name="allowed_batch_sizes", number=6, label=kinds.LABEL_REPEATED, type=kinds.TYPE_INT64
    )
    message.field.add(
        name="pad_variable_length_inputs",
        number=7,
        label=kinds.LABEL_OPTIONAL,
        type=kinds.TYPE_BOOL,
    )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    found = pool.FindMessageTypeByName("tfnorm.BatchingParameters")
    message_class: type = message_factory.GetMessageClass(found)
    return message_class
