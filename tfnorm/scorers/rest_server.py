"""Score examples with a model behind TensorFlow Serving's REST API."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import requests
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf import meta_graph_pb2

from tfnorm.differences import is_floating
from tfnorm.errors import InputError
from tfnorm.scorers.connection import (
    CONNECT_SECONDS,
    Busy,
    Connection,
    Unreachable,
    absent,
    late,
)
from tfnorm.scorers.inputs import check_names
from tfnorm.scorers.metadata import signature_specs
from tfnorm.scorers.scorer import Scorer

_URL = re.compile(
    r"(?P<model>https?://[^\s?#]+/v1/models/[^/\s?#:]+)"
    r"(/versions/(?P<version>\d+)|/labels/[^/\s?#:]+)?/?"
)


class RestScorer(Scorer):
    """Posts to `:predict`, in columns, on the version that the server has when it is made.

    A float is sent with all the digits of its double, and read back by its own dtype: float32 and
    narrower go to the server and come back exactly. NaN and infinities go as the tokens NaN,
    Infinity and -Infinity, which TensorFlow Serving takes and gives.

    Args:
        url: `http://HOST:PORT/v1/models/NAME[/versions/N]`, or `.../labels/LABEL`; `https` for TLS.
        signature: the name of the signature to call.
        connection: how to reach it; None for the defaults.

    Raises:
        InputError: the URL is another, or the server, the model or the signature isn't there.
    """

    remote = True

    def __init__(self, url: str, signature: str, connection: Connection | None = None):
        parts = _URL.fullmatch(url)
        if parts is None:
            raise InputError(
                f"{url} is not http://HOST:PORT/v1/models/NAME[/versions/N or /labels/LABEL]"
            )
        self.name = url
        self.signature = signature
        self._connection = connection or Connection()
        # A session is not made for several threads.
        self._sessions = threading.local()
        self._opened: list[requests.Session] = []
        try:
            metadata = self._call("GET", url.rstrip("/") + "/metadata")
            version = parts["version"] or _version(metadata)
            definitions = _signature_defs(metadata, url)
            self.inputs, self._outputs = signature_specs(definitions, signature, url)
        except InputError:
            self.close()
            raise
        pinned = f"/versions/{version}" if version else ""
        self._predict = f"{parts['model']}{pinned}:predict"

    def score(self, examples: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        check_names(examples, self.inputs)
        # Not requests' own `json=`, which refuses NaN and infinities.
        body = json.dumps(
            {
                "signature_name": self.signature,
                "inputs": {name: _plain(array) for name, array in examples.items()},
            }
        )
        answer = self._call("POST", self._predict, body)
        outputs = answer.get("outputs")
        if len(self._outputs) == 1 and "outputs" in answer:
            outputs = {next(iter(self._outputs)): outputs}
        if not isinstance(outputs, dict) or not self._outputs.keys() <= outputs.keys():
            raise InputError(
                f"{self.name}: the answer has not the outputs {', '.join(self._outputs)}"
            )
        try:
            return {name: _array(outputs[name], spec) for name, spec in self._outputs.items()}
        except (TypeError, ValueError, KeyError) as error:
            raise InputError(f"{self.name}: the answer is not a tensor: {error}") from error

    def close(self) -> None:
        for session in self._opened:
            session.close()

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._sessions, "mine", None)
        if session is None:
            session = self._sessions.mine = requests.Session()
            session.headers.update(self._connection.headers)
            self._opened.append(session)
        return session

    def _call(self, method: str, url: str, body: str | None = None) -> dict[str, Any]:
        return self._connection.ask(lambda: self._asked(method, url, body))

    def _asked(self, method: str, url: str, body: str | None) -> dict[str, Any]:
        seconds = self._connection.timeout
        trusted = self._connection.certificates
        try:
            response = self._session().request(
                method,
                url,
                data=body,
                headers={"Content-Type": "application/json"} if body else None,
                # On the session it would give way to the environment's.
                verify=True if trusted is None else str(trusted),
                timeout=(min(CONNECT_SECONDS, seconds), seconds),
            )
        except requests.Timeout as error:
            raise late(self.name) from error
        except requests.exceptions.SSLError as error:
            raise Unreachable(f"{self.name}: its certificate is not trusted ({error})") from error
        except requests.RequestException as error:
            raise absent(self.name, error) from error
        try:
            answer = response.json()
        except requests.JSONDecodeError:
            answer = None
        if response.status_code != requests.codes.ok or not isinstance(answer, dict):
            reason = answer.get("error") if isinstance(answer, dict) else None
            reason = reason or "without a JSON object; is it TensorFlow Serving?"
            line = f"{self.name}: {response.status_code} {' '.join(str(reason).split())}"
            unavailable = response.status_code == requests.codes.unavailable
            raise (Busy if unavailable else InputError)(line)
        return answer


def _version(metadata: dict[str, Any]) -> str:
    specification = metadata.get("model_spec")
    return specification.get("version", "") if isinstance(specification, dict) else ""


def _signature_defs(metadata: dict[str, Any], url: str) -> dict[str, meta_graph_pb2.SignatureDef]:
    try:
        definitions = metadata["metadata"]["signature_def"]["signature_def"]
        return {
            name: json_format.ParseDict(
                definition, meta_graph_pb2.SignatureDef(), ignore_unknown_fields=True
            )
            for name, definition in definitions.items()
        }
    except (KeyError, TypeError, AttributeError, json_format.ParseError) as error:
        raise InputError(
            f"{url}: its metadata has no signatures; is it TensorFlow Serving?"
        ) from error


def _plain(array: np.ndarray) -> object:
    """The array as lists and values of JSON."""
    if array.dtype.kind in "OSU":
        encoded = [{"b64": base64.b64encode(_bytes(item)).decode()} for item in array.flat]
        return np.array(encoded, dtype=object).reshape(array.shape).tolist()
    return (array.astype(np.float64) if is_floating(array) else array).tolist()


def _array(value: object, spec: tf.TensorSpec) -> np.ndarray:
    """A tensor of the answer, in the dtype that the signature has for it."""
    if spec.dtype == tf.string:
        items = np.array(value, dtype=object)
        return np.array([_bytes(item) for item in items.ravel()], dtype=object).reshape(items.shape)
    dtype = spec.dtype.as_numpy_dtype
    return np.array(value, np.float64 if spec.dtype.is_floating else dtype).astype(dtype)


def _bytes(item: object) -> bytes:
    if isinstance(item, dict):
        return base64.b64decode(item["b64"])
    return item if isinstance(item, bytes) else str(item).encode()
