"""Server-side batching: requests of several clients run as one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.protocol.tensor_proto import STRING_BYTES
from tfnorm.server.batching.parameters import BatchingParameters
from tfnorm.server.batching.queues import Arrays, Batch, Key, Queues
from tfnorm.server.bounds import check_expected
from tfnorm.server.running.local import Model


class Batcher:
    """Runs a SavedModel's signatures on batches of requests, as TensorFlow Serving does.

    A request joins the batch of its signature that is open, and waits until the batch is full or a
    thread is free and the first request in it has waited long enough. The batch is filled up to an
    allowed size with copies of the first row of its last request. What one request does wrong fails
    all of its batch.

    Args:
        model: what to run.
        parameters: sizes, times and threads.
        max_bytes: what a batch's inputs, and its outputs, may have for each request in it, filled up
            and padded.

    Source:
        https://github.com/tensorflow/serving/blob/master/tensorflow_serving/batching
    """

    def __init__(self, model: Model, parameters: BatchingParameters, max_bytes: int):
        self._model = model
        self._max_bytes = max_bytes
        self._parameters = parameters
        self._queues = Queues(parameters, self._run)

    def run(
        self, feeds: Arrays, *, signature: str, outputs: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        """As `SavedModel.run`; without batching where there is no row.

        Raises:
            InputError: as there, or the request is larger than the largest batch.
            tf.errors.UnavailableError: too many requests wait.
            tf.errors.FailedPreconditionError: requests of different shapes came together, or an
                output has other rows than the inputs.
            tf.errors.ResourceExhaustedError: the batch is over `max_bytes` a request.
        """
        called = self._model.signatures[signature]
        called.check(feeds)
        rows = _rows(feeds)
        wanted = tuple(sorted(called.outputs if outputs is None else outputs))
        if not rows or not wanted:
            return self._model.run(
                feeds, signature=signature, outputs=outputs, max_bytes=self._max_bytes
            )
        if rows > self._parameters.max_batch_size:
            raise InputError(
                f"Task size {rows} is larger than maximum input batch size "
                f"{self._parameters.max_batch_size}"
            )
        places = self._queues.join((signature, wanted), feeds, rows)
        parts = [batch.outputs.result()[index] for batch, index in places]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def close(self, seconds: float = 0.0) -> None:
        """Run at once what still waits, for so many seconds, and take no more."""
        self._queues.close(seconds)

    def _run(self, key: Key, batch: Batch) -> list[dict[str, np.ndarray]]:
        """The outputs of each request in a batch."""
        signature, wanted = key
        rows = sum(batch.rows)
        size = self._parameters.filled_up(rows)
        merged = self._merged(batch.requests, size - rows)
        known = self._model.signatures[signature].outputs
        expected = {name: known[name] for name in wanted if name in known}
        most = self._most(batch.requests)
        check_expected(merged, expected, most)
        outputs = self._model.run(merged, signature=signature, outputs=wanted, max_bytes=most)
        for name, array in outputs.items():
            if array.shape[:1] != (size,):
                raise _precondition(
                    f"Batched output tensor {name!r} has shape {list(array.shape)}: its 0th dimension "
                    f"does not equal the {size} rows of the batch"
                )
        ends = np.cumsum(batch.rows)
        return [
            {name: array[end - count : end] for name, array in outputs.items()}
            for end, count in zip(ends, batch.rows, strict=True)
        ]

    def _most(self, requests: Sequence[Arrays]) -> int:
        return self._max_bytes * len(requests)

    def _merged(self, requests: Sequence[Arrays], more: int) -> dict[str, np.ndarray]:
        """The rows of all requests, and so many copies of the last one's first row."""
        merged = {}
        left = self._most(requests)
        for name in requests[0]:
            arrays = [request[name] for request in requests]
            left -= _merged_bytes(arrays, more)
            if left < 0:
                raise tf.errors.ResourceExhaustedError(
                    None,
                    None,
                    f"a batch of {len(requests)} requests has over {self._most(requests):,} bytes once "
                    "it is filled up and padded; send fewer rows, or shorter ones, in a request",
                )
            if len({array.shape[1:] for array in arrays}) > 1:
                if not self._parameters.pad_variable_length_inputs:
                    raise _precondition(
                        f"Tensors with name {name!r} from different tasks have different shapes and "
                        "padding is turned off. Set pad_variable_length_inputs to true, or ensure "
                        "that all tensors with the same name have equal dimensions starting with the "
                        "first dim."
                    )
                arrays = _equally_long(name, arrays)
            merged[name] = np.concatenate([*arrays, np.repeat(arrays[-1][:1], more, axis=0)])
        return merged


def _rows(feeds: Arrays) -> int:
    sizes = {array.shape[:1] for array in feeds.values()}
    if () in sizes:
        raise InputError("Batching Run() input tensors must have at least one dimension")
    if len(sizes) != 1:
        raise InputError("Batching Run() input tensors must have equal 0th-dimension size")
    rows: int = sizes.pop()[0]
    return rows


def _merged_bytes(arrays: Sequence[np.ndarray], more: int) -> int:
    """What the rows of all arrays take, each as long as the longest, and so many copies of one more."""
    ranks = {array.ndim for array in arrays}
    if len(ranks) > 1 or not all(array.size for array in arrays):
        return 0
    sizes = np.max([array.shape[1:] for array in arrays], axis=0)
    values = math.prod(map(int, sizes))
    rows = sum(map(len, arrays)) + more
    if arrays[0].dtype != object:
        return rows * values * arrays[0].itemsize
    total = rows * values * STRING_BYTES
    for array in (*arrays, *[arrays[-1][:1]] * more):
        padding = len(array) * values - array.size
        total += sum(map(len, array.flat)) + padding * len(array.flat[0])
    return total


def _equally_long(name: str, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Each array padded with its first value to the largest size of each axis."""
    if len({array.ndim for array in arrays}) > 1:
        raise _precondition(f"Tensors with name {name!r} from different tasks have different ranks")
    if not all(array.size for array in arrays):
        raise InputError("Got empty tensor in batch of non-empty tensors.")
    longest = np.max([array.shape[1:] for array in arrays], axis=0)
    padded = []
    for array in arrays:
        larger = np.full([len(array), *longest], array.flat[0], array.dtype)
        larger[tuple(map(slice, array.shape))] = array
        padded.append(larger)
    return padded


def _precondition(message: str) -> tf.errors.FailedPreconditionError:
    return tf.errors.FailedPreconditionError(None, None, message)
