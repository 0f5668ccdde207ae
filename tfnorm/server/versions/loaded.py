"""A version in memory."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from tfnorm.server.batching.batcher import Batcher
from tfnorm.server.batching.parameters import BatchingParameters
from tfnorm.server.running.local import Model
from tfnorm.server.versions import warmup

_log = logging.getLogger(__name__)


class LoadedVersion:
    """A version in memory, and how many requests run on it.

    Args:
        number: its number.
        model: the SavedModel, which is closed with the version.
        batching: how requests are put together; None to run each by itself.
        max_bytes: what the inputs, and the outputs, of a warm-up request may have, and of a batch for
            each request in it.
    """

    def __init__(
        self, number: int, model: Model, batching: BatchingParameters | None, max_bytes: int
    ):
        self.number = number
        self.requests = 0
        self.retired = False
        self._closed = False
        self._max_bytes = max_bytes
        self.model = model
        self._batcher = None if batching is None else Batcher(model, batching, max_bytes)

    def warm_up(self) -> None:
        """Replay the requests that are kept beside the model.

        Raises:
            InputError: one is refused.
        """
        if replayed := warmup.replay(self.model.path, self, self._max_bytes):
            _log.info("%s: replayed %d warm-up records", self.model.path, replayed)

    def run(
        self,
        feeds: Mapping[str, np.ndarray],
        *,
        signature: str,
        outputs: Sequence[str] | None = None,
    ) -> dict[str, np.ndarray]:
        """As `SavedModel.run`, perhaps together with other requests.

        Raises:
            tf.errors.UnavailableError: the version is unloaded meanwhile.
        """
        try:
            if self._batcher is not None:
                return self._batcher.run(feeds, signature=signature, outputs=outputs)
            return self.model.run(
                feeds, signature=signature, outputs=outputs, max_bytes=self._max_bytes
            )
        except tf.errors.CancelledError as error:
            if self._closed:
                raise tf.errors.UnavailableError(
                    None, None, "the version is being unloaded; ask again"
                ) from error
            raise

    def flush(self) -> None:
        """Run at once what waits for others, and take no more."""
        if self._batcher is not None:
            self._batcher.close()

    def close(self, seconds: float = 0.0) -> None:
        """Free the model: what waits has so many seconds to run, what then still runs is cancelled."""
        if self._batcher is not None:
            self._batcher.close(seconds)
        self._closed = True
        self.model.close()
