"""The memory that all requests together may make the server take."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tfnorm.server import waiting
from tfnorm.server.bounds import held

MOST_SECONDS = 60.0
"""How long a request waits for what others have, and how long a client may take to send or to read one."""

SMALL_BYTES = 2**16
"""What is not counted: a thread or a connection takes as much."""

_TOGETHER = 4


class Budget:
    """What requests may have together: four times the bound on one request's bytes.

    One at a time may go beyond it, so that each can end, however much it takes; the others wait meanwhile.

    Args:
        max_request_bytes: what a request, its tensors, its outputs and its answer may each have.
    """

    def __init__(self, max_request_bytes: int):
        self.most = _TOGETHER * max_request_bytes
        self.taken = 0
        self.beyond: Share | None = None
        self.changed = threading.Condition()


class Share:
    """What one request has of a budget, until it is closed.

    Attributes:
        gone: set once the client no longer waits for the answer.
    """

    def __init__(self, budget: Budget):
        self.taken = 0
        self.gone = threading.Event()
        self._budget = budget
        self._wanted = 0

    def want(self, size: int) -> None:
        """Ask for so many bytes more."""
        self._wanted += size

    def is_granted(self) -> bool:
        """Whether it has what it wants, without going beyond the budget."""
        if self._wanted < SMALL_BYTES:
            return True
        with self._budget.changed:
            if not self._fits():
                return False
            self._grant()
            return True

    def take(self, size: int) -> None:
        """Take so many bytes more once they are there, or once no other request goes beyond the budget.

        Raises:
            tf.errors.ResourceExhaustedError: that takes over a minute.
            tf.errors.CancelledError: the client that this thread works for is gone.
        """
        waiting.check()
        self.want(size)
        if self.is_granted():
            return
        budget = self._budget
        with budget.changed:
            if not budget.changed.wait_for(self._is_done_waiting, MOST_SECONDS):
                raise tf.errors.ResourceExhaustedError(
                    None,
                    None,
                    f"other requests have had the {budget.most / 2**20:,.0f} MB that all may take together "
                    f"for over {MOST_SECONDS:g} seconds; ask again, or raise --max-request-megabytes",
                )
            waiting.check()
            if not self._fits():
                budget.beyond = self
            self._grant()

    def take_arrays(self, arrays: Mapping[str, np.ndarray], times: int = 1) -> None:
        """Take what arrays have, so many times.

        Raises:
            tf.errors.ResourceExhaustedError: that takes over a minute.
        """
        self.take(times * sum(map(held, arrays.values())))

    def leave(self) -> None:
        """Say that the client is gone: the request ends where it next takes memory, or waits for some."""
        self.gone.set()
        with self._budget.changed:
            self._budget.changed.notify_all()

    def close(self) -> None:
        """Give all of it back."""
        with self._budget.changed:
            self._budget.taken -= self.taken
            self.taken = self._wanted = 0
            if self._budget.beyond is self:
                self._budget.beyond = None
            self._budget.changed.notify_all()

    def _is_done_waiting(self) -> bool:
        return self.gone.is_set() or self._budget.beyond in (None, self) or self._fits()

    def _fits(self) -> bool:
        return self._budget.taken + self._wanted <= self._budget.most

    def _grant(self) -> None:
        self._budget.taken += self._wanted
        self.taken += self._wanted
        self._wanted = 0
