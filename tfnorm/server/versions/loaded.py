"""A version in memory."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.server.batching.batcher import Batcher
from tfnorm.server.batching.parameters import BatchingParameters
from tfnorm.server.inference.predict import COMPOSITE
from tfnorm.server.versions import warmup
from tfnorm.session import SavedModel

_log = logging.getLogger(__name__)


class LoadedVersion:
    """A version in memory, and how many requests run on it.

    Args:
        number: its number.
        path: the SavedModel.
        batching: how requests are put together; None to run each by itself.
        max_bytes: what the inputs, and the outputs, of a warm-up request may have, and of a batch for
            each request in it.

    Raises:
        InputError: it can't be loaded, or a signature names what its graph lacks.
    """

    def __init__(
        self, number: int, path: Path, batching: BatchingParameters | None, max_bytes: int
    ):
        self.number = number
        self.requests = 0
        self.retired = False
        self._closed = False
        self._max_bytes = max_bytes
        self.model = SavedModel(path)
        self._batcher: Batcher | None = None
        try:
            _check_tensors(self.model)
            self._batcher = None if batching is None else Batcher(self.model, batching, max_bytes)
        except BaseException:
            self.close()
            raise

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
        runner = self.model if self._batcher is None else self._batcher
        try:
            return runner.run(feeds, signature=signature, outputs=outputs)
        except (RuntimeError, tf.errors.CancelledError) as error:
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


def _check_tensors(model: SavedModel) -> None:
    """Raise InputError where a signature names a tensor that the graph lacks, or of another dtype."""
    for name, definition in model.signature_defs.items():
        if not definition.method_name:
            continue
        for info in (*definition.inputs.values(), *definition.outputs.values()):
            if info.WhichOneof("encoding") in COMPOSITE:
                continue
            try:
                tensor = model.graph.get_tensor_by_name(info.name)
            except (KeyError, ValueError) as error:
                raise InputError(
                    f"{model.path} can't be served: its graph has no {info.name!r}, "
                    f"which signature {name!r} names"
                ) from error
            if tensor.dtype.base_dtype != tf.as_dtype(info.dtype).base_dtype:
                raise InputError(
                    f"{model.path} can't be served: {info.name!r} is {tensor.dtype.name}, "
                    f"which signature {name!r} has as {tf.as_dtype(info.dtype).name}"
                )
