"""A served model: versions in a directory, loaded and unloaded while requests run."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf
from tensorflow_serving.apis.get_model_status_pb2 import ModelVersionStatus

from tfnorm.errors import InputError
from tfnorm.server.batching.parameters import BatchingParameters
from tfnorm.server.failures import Failure, described
from tfnorm.server.running.local import LocalModel, Model
from tfnorm.server.versions.files import Fingerprint, fingerprint
from tfnorm.server.versions.loaded import LoadedVersion
from tfnorm.server.versions.policy import NEWEST, VersionPolicy
from tfnorm.session import check_path, find_saved_model, versions

_log = logging.getLogger(__name__)
MAX_REQUEST_BYTES = 64 * 2**20
# As in TensorFlow Serving.
_MOST_RETRIES = 5
_RETRY_SECONDS = 60.0
_NONE = Failure(tf.errors.OK, "")


@dataclass
class _Failed:
    """A version that can't be served, as it was then."""

    path: Path
    files: Fingerprint
    retries: int
    next_try: float


class ServedModel:
    """Serves versions in a directory, and others as they appear.

    A version is taken up once its `saved_model.pb` is there and its warm-up requests were replayed. One
    that can't be is reported in its status with the reason; it is tried again when its files change, and
    five times a minute apart. Those before it stay until one that is to be served is available. As in
    TensorFlow Serving, an older version is served where the newest is deleted, and none where all are.

    Args:
        name: the model's name in requests.
        directory: holds the versions, each a folder named by its number.
        policy: which of them are to be served; may be changed, for the next `look`.
        poll_seconds: time between two looks at the directory.
        batching: how requests are put together; None to run each by itself.
        max_request_bytes: what the inputs, and the outputs, of a warm-up request may have.
        open_model: loads the SavedModel of a version.

    Raises:
        InputError: the directory has no version, or none can be loaded and warmed up.
    """

    def __init__(
        self,
        name: str,
        directory: str | Path,
        *,
        policy: VersionPolicy = NEWEST,
        poll_seconds: float = 1.0,
        batching: BatchingParameters | None = None,
        max_request_bytes: int = MAX_REQUEST_BYTES,
        open_model: Callable[[Path], Model] = LocalModel,
    ):
        self.name = name
        self.directory = check_path(directory)
        self.policy = policy
        self._batching = batching
        self._max_request_bytes = max_request_bytes
        self._open_model = open_model
        self._poll_seconds = poll_seconds
        self._lock = threading.RLock()
        self._looking = threading.Lock()
        self._loaded: dict[int, LoadedVersion] = {}
        self._retired: set[LoadedVersion] = set()
        self._statuses: dict[int, ModelVersionStatus] = {}
        self._failed: dict[int, _Failed] = {}
        self._loading: dict[int, threading.Thread] = {}
        self._warming: dict[int, LoadedVersion] = {}
        # As of the last look.
        self._wanted: list[int] = []
        self._closing = threading.Event()
        self._load_first()
        self._watcher = threading.Thread(target=self._watch, name="tfnorm-versions", daemon=True)
        self._watcher.start()

    @contextlib.contextmanager
    def version(self, number: int | None = None) -> Iterator[LoadedVersion]:
        """The version of that number, or the newest; it stays loaded until the block ends.

        Raises:
            tf.errors.NotFoundError: it is not available.
        """
        with self._lock:
            newest = max(self._loaded, default=-1)
            loaded = self._loaded.get(newest if number is None else number)
            if loaded is None:
                wanted = f"Specific({self.name}, {number})"
                raise not_found(
                    "Servable not found for request: "
                    + (f"Latest({self.name})" if number is None else wanted)
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

    def statuses(self) -> dict[int, ModelVersionStatus]:
        """What became of each version, newest first."""
        with self._lock:
            return dict(sorted(self._statuses.items(), reverse=True))

    def is_available(self, number: int) -> bool:
        """Whether requests can ask for that version."""
        with self._lock:
            return number in self._loaded

    def look(self) -> None:
        """Serve the versions on disk that are to be, or none where none is left."""
        with self._looking:
            self._look()

    def flush(self) -> None:
        """Run at once what waits in batches."""
        with self._lock:
            loaded = [*self._loaded.values(), *self._retired]
        for one in loaded:
            one.flush()

    def retire(self) -> None:
        """Take no more requests; each version goes when its last request is done."""
        self._closing.set()
        with self._lock:
            numbers = list(self._loaded)
        for number in numbers:
            self._retire(number)

    def close(self, seconds: float = 0.0) -> None:
        """Stop watching and free the versions: what waits in batches has so many seconds to run."""
        self._closing.set()
        self._cancel(list(self._warming))
        # A load can't be interrupted; its thread frees what it loaded when it is done.
        self._watcher.join(timeout=0.5)
        with self._lock:
            loaded = list(self._loaded.values())
            self._loaded.clear()
        for one in loaded:
            self._unload(one, seconds)

    def _load_first(self) -> None:
        found = versions(self.directory)
        if not found:
            single = find_saved_model(self.directory)
            raise InputError(
                f"{single} is one SavedModel; give the directory above it, "
                "where each version is a folder named by its number"
            )
        wanted = self._wanted = self.policy.wanted(found)
        if not wanted:
            raise InputError(
                f"{self.directory} has none of the versions {sorted(self.policy.specific)}; "
                f"it has {', '.join(map(str, found))}"
            )
        for number in wanted:
            self._load(number, found[number])
        if not self._loaded:
            raise InputError(self._statuses[wanted[0]].status.error_message)

    def _watch(self) -> None:
        told = None
        try:
            while not self._closing.wait(self._poll_seconds):
                try:
                    self.look()
                    told = None
                # Whatever a look comes to, the next one may find what is to be served.
                except Exception as error:
                    reason = described(error)
                    if reason != told:
                        _log.warning("%s: %s", self.name, reason)
                    told = reason
        finally:
            if not self._closing.is_set():
                self._give_up_watching()

    def _give_up_watching(self) -> None:
        reason = f"{self.directory} is no longer watched for versions; restart the server"
        _log.critical("%s: %s", self.name, reason)
        with self._lock:
            for number, status in self._statuses.items():
                state = ModelVersionStatus.State.Name(status.state)
                self._report(number, state, Failure(tf.errors.ABORTED, reason))

    def _look(self) -> None:
        found = versions(self.directory)
        if not found and not self.directory.is_dir():
            # Its file system may be away: keep what is loaded.
            return
        wanted = self.policy.wanted(found)
        for number in self._due(found):
            self._load(number, found[number])
        with self._lock:
            unwanted = self._loaded.keys() - set(wanted)
            served = self._loaded.keys() & set(wanted)
        if served or not wanted:
            for number in unwanted:
                self._retire(number)

    def _due(self, found: Mapping[int, Path]) -> list[int]:
        """Those of the versions on disk that are to be loaded now."""
        self._wanted = self.policy.wanted(found)
        return [
            number
            for number in self._wanted
            if not self.is_available(number)
            and number not in self._loading
            and self._is_due(number, found[number])
        ]

    def _is_due(self, number: int, path: Path) -> bool:
        """Whether to load a version: it was not tried, or not as it is now, or long ago."""
        failed = self._failed.get(number)
        if failed is None or (failed.path, failed.files) != (path, fingerprint(path)):
            return True
        return failed.retries < _MOST_RETRIES and failed.next_try <= time.monotonic()

    def _load(self, number: int, path: Path) -> None:
        """Load a version, and return when that is done, or when it takes long and another is to be loaded."""
        before = fingerprint(path)
        self._report(number, "LOADING")
        thread = threading.Thread(
            target=self._try, args=(number, path, before), name=f"tfnorm-load-{number}", daemon=True
        )
        self._loading[number] = thread
        thread.start()
        while thread.is_alive():
            thread.join(self._poll_seconds)
            if self._closing.is_set() or self._due(versions(self.directory)):
                return

    def _try(self, number: int, path: Path, before: Fingerprint) -> None:
        try:
            loaded = self._warmed_up(number, path)
        # Whatever a version does, the others are served and the watch goes on.
        except Exception as error:
            code = getattr(error.__cause__, "error_code", tf.errors.UNKNOWN)
            self._fail(number, path, before)
            self._report(number, "END", Failure(code, described(error)))
            _log.warning("%s: version %d is not served: %s", self.name, number, described(error))
        else:
            self._failed.pop(number, None)
            self._serve(loaded)
        finally:
            del self._loading[number]

    def _warmed_up(self, number: int, path: Path) -> LoadedVersion:
        model = self._open_model(path)
        try:
            loaded = LoadedVersion(number, model, self._batching, self._max_request_bytes)
        except BaseException:
            model.close()
            raise
        self._warming[number] = loaded
        try:
            loaded.warm_up()
        except BaseException:
            loaded.close()
            raise
        finally:
            del self._warming[number]
        return loaded

    def _cancel(self, numbers: Iterable[int]) -> None:
        """End the warm-up of these, which may have no other end."""
        for number in numbers:
            if loaded := self._warming.get(number):
                loaded.close()

    def _fail(self, number: int, path: Path, files: Fingerprint) -> None:
        last = self._failed.get(number)
        again = last is not None and (last.path, last.files) == (path, files)
        retries = last.retries + 1 if last is not None and again else 0
        self._failed[number] = _Failed(path, files, retries, time.monotonic() + _RETRY_SECONDS)

    def _serve(self, loaded: LoadedVersion) -> None:
        with self._lock:
            newest = max(self._loaded, default=-1)
            # It may have taken so long that others were loaded meanwhile.
            superseded = loaded.number < newest and loaded.number not in self._wanted
            if self._closing.is_set() or superseded:
                loaded.close()
                self._report(loaded.number, "END")
                return
            self._loaded[loaded.number] = loaded
            self._report(loaded.number, "AVAILABLE")
        _log.info("%s: version %d is available", self.name, loaded.number)
        self._cancel(self._warming.keys() - set(self._wanted))

    def _retire(self, number: int) -> None:
        """Take no more requests on a version; it goes when its last one is done."""
        with self._lock:
            loaded = self._loaded.pop(number)
            loaded.retired = True
            self._retired.add(loaded)
            self._report(number, "UNLOADING")
            idle = not loaded.requests
        if idle:
            self._unload(loaded)

    def _unload(self, loaded: LoadedVersion, seconds: float = 0.0) -> None:
        loaded.close(seconds)
        with self._lock:
            self._retired.discard(loaded)
            # The same number may be back in service by now, from a directory made anew.
            if loaded.number not in self._loaded:
                self._report(loaded.number, "END")
        _log.info("%s: version %d is unloaded", self.name, loaded.number)

    def _report(self, number: int, state: str, failure: Failure = _NONE) -> None:
        status = ModelVersionStatus(version=number, state=ModelVersionStatus.State.Value(state))
        status.status.error_code = failure.code
        status.status.error_message = failure.message
        with self._lock:
            self._statuses[number] = status


def not_found(message: str) -> tf.errors.NotFoundError:
    """The error of a model or version that is not there."""
    return tf.errors.NotFoundError(None, None, message)
