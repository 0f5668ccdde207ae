"""The served model: the newest version in a directory, replaced while requests run."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis.get_model_status_pb2 import ModelVersionStatus
from tensorflow_serving.apis.model_pb2 import ModelSpec

from tfnorm.errors import InputError
from tfnorm.server.batching.batcher import Batcher
from tfnorm.server.batching.parameters import BatchingParameters
from tfnorm.server.versions import warmup
from tfnorm.session import SavedModel, find_saved_model, versions

_log = logging.getLogger(__name__)


class LoadedVersion:
    """A version in memory, warmed up, and how many requests run on it."""

    def __init__(self, number: int, path: Path, batching: BatchingParameters | None):
        self.number = number
        self.model = SavedModel(path)
        self._batcher = None if batching is None else Batcher(self.model, batching)
        self.requests = 0
        self.retired = False
        try:
            replayed = warmup.replay(path, self.run)
        except InputError:
            self.close()
            raise
        if replayed:
            _log.info("%s: replayed %d warm-up records", path, replayed)

    def run(
        self,
        feeds: Mapping[str, np.ndarray],
        *,
        signature: str,
        outputs: Sequence[str] | None = None,
    ) -> dict[str, np.ndarray]:
        """As `SavedModel.run`, perhaps together with other requests."""
        runner = self.model if self._batcher is None else self._batcher
        return runner.run(feeds, signature=signature, outputs=outputs)

    def close(self) -> None:
        """Free the model; a request that still runs is cancelled."""
        if self._batcher is not None:
            self._batcher.close()
        self.model.close()


class ServedModel:
    """Serves the newest version in a directory, and each newer one as it appears.

    A version is taken up once its `saved_model.pb` is there and its warm-up requests were replayed. One
    that can't be loaded or warmed up is reported in its status and tried again when its files change;
    the one before it stays. As in TensorFlow Serving, an older version is served where the newest is
    deleted, and none where all are.

    Args:
        name: the model's name in requests.
        directory: holds the versions, each a folder named by its number.
        poll_seconds: time between two looks at the directory.
        batching: how requests are put together; None to run each by itself.

    Raises:
        InputError: the directory has no version, or its newest can't be loaded or warmed up.
    """

    def __init__(
        self,
        name: str,
        directory: str | Path,
        *,
        poll_seconds: float = 1.0,
        batching: BatchingParameters | None = None,
    ):
        self.name = name
        self.directory = Path(directory)
        self._batching = batching
        self._poll_seconds = poll_seconds
        self._lock = threading.RLock()
        self._current: LoadedVersion | None = None
        self._statuses: dict[int, ModelVersionStatus] = {}
        self._failed: tuple[Path, frozenset] | None = None
        self._closing = threading.Event()
        found = versions(self.directory)
        if not found:
            single = find_saved_model(self.directory)
            raise InputError(
                f"{single} is one SavedModel; give the directory above it, "
                "where each version is a folder named by its number"
            )
        self._load(max(found), found[max(found)])
        self._watcher = threading.Thread(target=self._watch, name="tfnorm-versions", daemon=True)
        self._watcher.start()

    @contextlib.contextmanager
    def version(self, spec: ModelSpec) -> Iterator[LoadedVersion]:
        """The version that `spec` asks for; it stays loaded until the block ends.

        Raises:
            InputError: `spec` has no name, or a label.
            tf.errors.NotFoundError: it is not loaded.
        """
        if not spec.name:
            raise InputError("ModelSpec has no name specified.")
        _refuse_label(spec)
        with self._lock:
            loaded = self._current if spec.name == self.name else None
            pinned = spec.HasField("version")
            if loaded is None or (pinned and loaded.number != spec.version.value):
                wanted = f"Specific({spec.name}, {spec.version.value})"
                raise _not_found(
                    "Servable not found for request: "
                    + (wanted if pinned else f"Latest({spec.name})")
                )
            loaded.requests += 1
        try:
            yield loaded
        finally:
            with self._lock:
                loaded.requests -= 1
                last = loaded.retired and not loaded.requests
            if last:
                self._unload(loaded)

    def statuses(self, spec: ModelSpec) -> list[ModelVersionStatus]:
        """What became of the version that `spec` asks for, or of each version, newest first.

        Raises:
            InputError: `spec` has a label.
            tf.errors.NotFoundError: there is no such model or version.
        """
        _refuse_label(spec)
        with self._lock:
            known = dict(self._statuses) if spec.name == self.name else {}
        if not spec.HasField("version"):
            if not known:
                raise _not_found(f"Could not find any versions of model {spec.name}")
            return [known[number] for number in sorted(known, reverse=True)]
        number = spec.version.value
        if number not in known:
            raise _not_found(f"Could not find version {number} of model {spec.name}")
        return [known[number]]

    def close(self) -> None:
        """Stop watching and free the model; a request that still runs is cancelled."""
        self._closing.set()
        # A load can't be interrupted; its thread frees what it loaded when it is done.
        self._watcher.join(timeout=0.5)
        with self._lock:
            loaded, self._current = self._current, None
        if loaded is not None:
            self._unload(loaded)

    def _watch(self) -> None:
        while not self._closing.wait(self._poll_seconds):
            try:
                self._update()
            except (InputError, OSError) as error:
                _log.warning("%s: %s", self.name, error)

    def _update(self) -> None:
        """Serve the newest version on disk, or none where none is left."""
        found = versions(self.directory)
        if not found:
            # Where the directory itself is gone, its file system may be away: keep what is loaded.
            if self._current is not None and self.directory.is_dir():
                self._replace(None)
            return
        number, path = max(found.items())
        serving = self._current is not None and self._current.number == number
        if not serving and self._failed != (path, _fingerprint(path)):
            self._load(number, path)

    def _load(self, number: int, path: Path) -> None:
        before = _fingerprint(path)
        self._report(number, "LOADING")
        try:
            loaded = LoadedVersion(number, path, self._batching)
        except InputError as error:
            self._failed = (path, before)
            code = getattr(error.__cause__, "error_code", tf.errors.UNKNOWN)
            self._report(number, "END", code, str(error))
            raise
        self._failed = None
        self._replace(loaded)
        _log.info("%s: version %d is available", self.name, number)

    def _replace(self, loaded: LoadedVersion | None) -> None:
        """Send new requests to `loaded`; the one before it goes when its last request is done."""
        with self._lock:
            if loaded is not None and self._closing.is_set():
                loaded.close()
                return
            old, self._current = self._current, loaded
            if old is not None:
                old.retired = True
                self._report(old.number, "UNLOADING")
            idle = old is not None and not old.requests
            if loaded is not None:
                self._report(loaded.number, "AVAILABLE")
        if idle:
            self._unload(old)

    def _unload(self, loaded: LoadedVersion) -> None:
        loaded.close()
        with self._lock:
            # The same number may be back in service by now, from a directory made anew.
            if self._current is None or self._current.number != loaded.number:
                self._report(loaded.number, "END")
        _log.info("%s: version %d is unloaded", self.name, loaded.number)

    def _report(self, number: int, state: str, code: int = 0, message: str = "") -> None:
        status = ModelVersionStatus(version=number, state=ModelVersionStatus.State.Value(state))
        status.status.error_code = code
        status.status.error_message = message
        with self._lock:
            self._statuses[number] = status


def _refuse_label(spec: ModelSpec) -> None:
    if spec.HasField("version_label"):
        raise InputError(
            f"Unrecognized servable version label: {spec.version_label}; "
            "this server has no labels, only version numbers"
        )


def _not_found(message: str) -> tf.errors.NotFoundError:
    return tf.errors.NotFoundError(None, None, message)


def _fingerprint(path: Path) -> frozenset:
    """The files below `path` with their sizes and times: it changes while they are written."""
    stats = ((file, file.lstat()) for file in path.rglob("*"))
    return frozenset((file, stat.st_size, stat.st_mtime_ns) for file, stat in stats)
