"""Batches that fill up and wait for a thread."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future

import numpy as np
import tensorflow as tf

from tfnorm.server.batching.parameters import BatchingParameters

Arrays = Mapping[str, np.ndarray]
Key = tuple[str, tuple[str, ...]]
"""Requests with one key go into one batch: the signature and the outputs wanted."""


class Batch:
    """Requests that are put together while they wait."""

    def __init__(self, deadline: float):
        self.requests: list[Arrays] = []
        self.rows: list[int] = []
        self.deadline = deadline
        self.outputs: Future[list[dict[str, np.ndarray]]] = Future()


class Queues:
    """A queue of batches for each key, and the threads that take from all of them in turn.

    A thread takes a batch that is full, that a newer one follows, or whose first request has waited
    long enough; it never waits for one that is not.

    Args:
        parameters: sizes, times and threads.
        run: the outputs of each request in a batch.
    """

    def __init__(
        self,
        parameters: BatchingParameters,
        run: Callable[[Key, Batch], list[dict[str, np.ndarray]]],
    ):
        self._parameters = parameters
        self._run = run
        self._changed = threading.Condition()
        # A queue that is taken from goes to the end.
        self._queues: dict[Key, deque[Batch]] = {}
        self._closing = False
        self._threads = [
            threading.Thread(target=self._work, name=f"tfnorm-batch_{number}", daemon=True)
            for number in range(parameters.num_batch_threads)
        ]
        for thread in self._threads:
            thread.start()

    def join(self, key: Key, feeds: Arrays, rows: int) -> list[tuple[Batch, int]]:
        """A place in a batch, or in several where the request is split: the batch, and which in it.

        Raises:
            tf.errors.UnavailableError: too many batches wait, or the queues are closed.
        """
        with self._changed:
            if self._closing:
                raise _unavailable("the version is being unloaded; ask again")
            waiting = self._queues.get(key, deque())
            # A batch that is taken leaves the queue at once, so the last one is open.
            room = self._parameters.largest_batch - sum(waiting[-1].rows) if waiting else 0
            sizes = self._pieces(rows, room)
            batches = [waiting[-1]] if sizes[0] <= room else []
            more = len(sizes) - len(batches)
            if len(waiting) + more > self._parameters.max_enqueued_batches:
                raise _unavailable(
                    "The batch scheduling queue to which this task was submitted is full"
                )
            deadline = time.monotonic() + self._parameters.batch_timeout_micros / 1e6
            opened = [Batch(deadline) for _ in range(more)]
            self._queues.setdefault(key, waiting).extend(opened)
            places = []
            start = 0
            for batch, size in zip(batches + opened, sizes, strict=True):
                end = start + size
                batch.requests.append({name: array[start:end] for name, array in feeds.items()})
                batch.rows.append(size)
                places.append((batch, len(batch.rows) - 1))
                start = end
            self._changed.notify_all()
            return places

    def close(self, seconds: float) -> None:
        """Run at once what still waits, for so many seconds, and take no more."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _pieces(self, rows: int, room: int) -> list[int]:
        """The rows of each batch that a request goes into, of which the open one has so much room."""
        largest = self._parameters.largest_batch
        if not self._parameters.enable_large_batch_splitting:
            return [rows]
        first = min(rows, room)
        rest = rows - first
        sizes = [first, *[largest] * (rest // largest), rest % largest]
        return [size for size in sizes if size]

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            key, batch = taken
            try:
                batch.outputs.set_result(self._run(key, batch))
            # Whatever it is, it is for those who wait; the thread goes on with the next batch.
            except Exception as error:
                batch.outputs.set_exception(error)

    def _take(self) -> tuple[Key, Batch] | None:
        """The next batch to run; None when there will be none."""
        with self._changed:
            while True:
                now = time.monotonic()
                for key, waiting in self._queues.items():
                    if self._is_ready(waiting, now):
                        batch = waiting.popleft()
                        del self._queues[key]
                        if waiting:
                            self._queues[key] = waiting
                        return key, batch
                if self._closing:
                    return None
                deadlines = [waiting[0].deadline for waiting in self._queues.values()]
                self._changed.wait(min(deadlines) - now if deadlines else None)

    def _is_ready(self, waiting: deque[Batch], now: float) -> bool:
        first = waiting[0]
        full = sum(first.rows) >= self._parameters.largest_batch
        return self._closing or full or len(waiting) > 1 or first.deadline <= now


def _unavailable(message: str) -> tf.errors.UnavailableError:
    return tf.errors.UnavailableError(None, None, message)
