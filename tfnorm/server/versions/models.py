"""The served models, by name, and the labels of their versions."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping

from tensorflow_serving.apis.get_model_status_pb2 import ModelVersionStatus
from tensorflow_serving.apis.model_pb2 import ModelSpec

from tfnorm.errors import InputError
from tfnorm.server.versions.loaded import LoadedVersion
from tfnorm.server.versions.served import ServedModel, not_found


class Models:
    """What a server serves: it is told which model and version by a request's ModelSpec.

    Args:
        model: the one to begin with.
    """

    def __init__(self, model: ServedModel):
        self._lock = threading.Lock()
        self._served = {model.name: model}
        self._labels: Mapping[str, Mapping[str, int]] = {}

    @property
    def served(self) -> dict[str, ServedModel]:
        """The models by name."""
        with self._lock:
            return dict(self._served)

    @contextlib.contextmanager
    def version(self, spec: ModelSpec) -> Iterator[LoadedVersion]:
        """The version that `spec` asks for; it stays loaded until the block ends.

        Raises:
            InputError: `spec` has no name, or a label that is not given to a version.
            tf.errors.NotFoundError: it is not available.
        """
        if not spec.name:
            raise InputError("ModelSpec has no name specified.")
        number = self._number(spec)
        model = self.served.get(spec.name)
        if model is None:
            wanted = (
                f"Latest({spec.name})" if number is None else f"Specific({spec.name}, {number})"
            )
            raise not_found(f"Servable not found for request: {wanted}")
        with model.version(number) as loaded:
            yield loaded

    def statuses(self, spec: ModelSpec) -> list[ModelVersionStatus]:
        """What became of the version that `spec` asks for, or of each version, newest first.

        A label is not looked at, as in TensorFlow Serving.

        Raises:
            tf.errors.NotFoundError: there is no such model or version.
        """
        model = self.served.get(spec.name)
        known = {} if model is None else model.statuses()
        if not spec.HasField("version"):
            if not known:
                raise not_found(f"Could not find any versions of model {spec.name}")
            return list(known.values())
        number = spec.version.value
        if number not in known:
            raise not_found(f"Could not find version {number} of model {spec.name}")
        return [known[number]]

    def replace(
        self, served: Mapping[str, ServedModel], labels: Mapping[str, Mapping[str, int]]
    ) -> None:
        """Serve these instead; a model that is no longer there goes when its last request is done."""
        with self._lock:
            gone = [model for model in self._served.values() if model not in served.values()]
            self._served = dict(served)
            self._labels = labels
        for model in gone:
            model.retire()

    def flush(self) -> None:
        """Run at once what waits in batches."""
        for model in self.served.values():
            model.flush()

    def close(self, seconds: float = 0.0) -> None:
        """Free every model: what waits in batches has so many seconds to run."""
        for model in self.served.values():
            model.close(seconds)

    def _number(self, spec: ModelSpec) -> int | None:
        if not spec.HasField("version_label"):
            return spec.version.value if spec.HasField("version") else None
        with self._lock:
            labels = self._labels.get(spec.name, {})
        if spec.version_label not in labels:
            known = ", ".join(map(repr, sorted(labels))) or "none"
            raise InputError(
                f"Unrecognized servable version label: {spec.version_label}; the labels are {known}"
            )
        return labels[spec.version_label]
