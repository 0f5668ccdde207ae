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
from tfnorm.protocol import json_values
from tfnorm.protocol.json_text import check_parsed_size, number_hooks
from tfnorm.scorers.inputs import check_names
from tfnorm.scorers.scorer import Scorer
from tfnorm.scorers.servers.connection import (
    CONNECT_SECONDS,
    Connection,
    Nonsense,
    Unreachable,
    absent,
    busy,
    check_outputs,
    failed,
    gone,
    is_too_large,
    late,
)
from tfnorm.scorers.servers.metadata import candidates_of, signature_specs

_URL = re.compile(
    r"(?P<model>https?://[^\s?#]+/v1/models/[^/\s?#:]+)"
    r"(/versions/(?P<version>\d+)|/labels/[^/\s?#:]+)?/?"
)
# Statuses that say something of the request, and so of the model.
_REFUSALS = frozenset({400, 404, 413, 501})
_TURNED_AWAY = frozenset({429, 502, 503})
# Of an answer: as it came, once it is parsed, and read at a time.
_MOST_BYTES = 2**28
_MOST_PARSED = 2**31
_PIECE = 1 << 16


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
    concurrent = True

    def __init__(self, url: str, signature: str, connection: Connection | None = None):
        parts = _URL.fullmatch(url)
        if parts is None:
            raise InputError(
                f"{url} is not http://HOST:PORT/v1/models/NAME[/versions/N or /labels/LABEL]"
            )
        self.name = url
        self.signature = signature
        self._connection = connection or Connection()
        self._scoring = False
        # A session is not made for several threads.
        self._sessions = threading.local()
        self._opened: list[requests.Session] = []
        try:
            metadata = self._call("GET", url.rstrip("/") + "/metadata")
            version = parts["version"] or _version(metadata)
            definitions = _signature_defs(metadata, url)
            self.inputs, self._outputs, self.defaults = signature_specs(definitions, signature, url)
            self.candidates = candidates_of(definitions, self.inputs, url)
        except InputError:
            self.close()
            raise
        pinned = f"/versions/{version}" if version else ""
        self._predict = f"{parts['model']}{pinned}:predict"
        self._scoring = True

    def score(self, examples: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        examples = {**self.defaults, **examples}
        check_names(examples, self.inputs)
        # Not requests' own `json=`, which refuses NaN and infinities.
        body = json.dumps(
            {
                "signature_name": self.signature,
                "inputs": {name: _plain(array) for name, array in examples.items()},
            }
        )
        answer = self._call("POST", self._predict, body)
        if "outputs" not in answer:
            raise Nonsense(f"{self.name}: the answer has no 'outputs'")
        outputs = answer["outputs"]
        if len(self._outputs) == 1:
            outputs = {next(iter(self._outputs)): outputs}
        if not isinstance(outputs, dict):
            raise Nonsense(
                f"{self.name}: the answer has not the outputs {', '.join(self._outputs)}"
            )
        check_outputs(self.name, outputs, self._outputs)
        return {
            name: self._array(name, outputs[name], spec) for name, spec in self._outputs.items()
        }

    def close(self) -> None:
        for session in self._opened:
            session.close()

    def _array(self, name: str, value: object, spec: tf.TensorSpec) -> np.ndarray:
        """A tensor of the answer, in the dtype and shape that the signature has for it."""
        try:
            array = json_values.to_array(f"output {name!r}", value, spec.dtype)
        except InputError as error:
            raise Nonsense(f"{self.name}: the answer is not a tensor: {error}") from error
        if spec.dtype.is_floating and not np.isfinite(array).all():
            wide = json_values.to_array(name, value, tf.float64)
            if np.isfinite(wide[~np.isfinite(array)]).any():
                raise Nonsense(
                    f"{self.name}: output {name!r} has numbers beyond {spec.dtype.name}, which it is"
                )
        if not spec.shape.is_compatible_with(array.shape):
            raise Nonsense(
                f"{self.name}: output {name!r} has shape {list(array.shape)}, where the signature "
                f"has {spec.shape.as_list()}"
            )
        return array

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
        session = self._session()
        try:
            status, answer = self._connection.within(
                lambda: self._exchange(session, method, url, body)
            )
        except TimeoutError as error:
            # Its thread may still read from it.
            del self._sessions.mine
            raise late(self.name) from error
        except InputError:
            raise
        except requests.Timeout as error:
            raise late(self.name) from error
        except requests.exceptions.SSLError as error:
            raise Unreachable(f"{self.name}: its certificate is not trusted ({error})") from error
        except requests.RequestException as error:
            raise absent(self.name, error) from error
        # What requests and its parts let through, of chunks and redirects that are none.
        except ValueError as error:
            raise Nonsense(f"{self.name}: the answer is no HTTP ({error})") from error
        if status == requests.codes.ok and isinstance(answer, dict):
            return answer
        reason = answer.get("error") if isinstance(answer, dict) else None
        reason = reason or "without a JSON object; is it TensorFlow Serving?"
        raise self._refusal(status, f"{status} {' '.join(str(reason).split())}")

    def _exchange(
        self, session: requests.Session, method: str, url: str, body: str | None
    ) -> tuple[int, object]:
        """The status, and what the JSON of the answer is; None where it is none."""
        seconds = self._connection.timeout
        trusted = self._connection.certificates
        with session.request(
            method,
            url,
            data=body,
            headers={"Content-Type": "application/json"} if body else None,
            # On the session it would give way to the environment's.
            verify=True if trusted is None else str(trusted),
            timeout=(min(CONNECT_SECONDS, seconds), seconds),
            stream=True,
        ) as response:
            return response.status_code, self._document(response)

    def _document(self, response: requests.Response) -> object:
        """What the JSON of an answer is; None where it is none."""
        body = bytearray()
        for piece in response.iter_content(_PIECE):
            body += piece
            if len(body) > _MOST_BYTES:
                raise self._too_large(f"it has over {_MOST_BYTES:,} bytes")
        try:
            check_parsed_size(body, _MOST_PARSED)
        except InputError as error:
            raise self._too_large(error) from error
        # Nested too deep, or numbers beyond a double: JSON, but no answer of such a server.
        try:
            text = body.decode("utf-8-sig")
            return json.loads(text, **number_hooks(text))
        except (ValueError, RecursionError):
            return None

    def _too_large(self, reason: object) -> InputError:
        return InputError(
            f"{self.name}: the answer is too large: {reason}; try smaller batches (--batch-size)"
        )

    def _refusal(self, status: int, line: str) -> InputError:
        if status in _TURNED_AWAY and not is_too_large(line):
            return busy(self.name, line)
        if status == requests.codes.gateway_timeout:
            return late(self.name)
        if status == requests.codes.not_found and self._scoring:
            return gone(self.name, line)
        if status == requests.codes.ok:
            return Nonsense(f"{self.name}: {line}")
        if status in _REFUSALS or is_too_large(line):
            return InputError(f"{self.name}: {line}")
        return failed(self.name, line)


def _version(metadata: dict[str, Any]) -> str:
    specification = metadata.get("model_spec")
    version = specification.get("version", "") if isinstance(specification, dict) else ""
    # It becomes a part of an address.
    return version if isinstance(version, str) and version.isdecimal() else ""


def _signature_defs(metadata: dict[str, Any], url: str) -> dict[str, meta_graph_pb2.SignatureDef]:
    try:
        definitions = metadata["metadata"]["signature_def"]["signature_def"]
        return {
            name: json_format.ParseDict(
                definition, meta_graph_pb2.SignatureDef(), ignore_unknown_fields=True
            )
            for name, definition in definitions.items()
        }
    except (KeyError, TypeError, ValueError, AttributeError, json_format.ParseError) as error:
        raise InputError(
            f"{url}: its metadata has no signatures; is it TensorFlow Serving?"
        ) from error


def _plain(array: np.ndarray) -> object:
    """The array as lists and values of JSON."""
    if array.dtype.kind in "OSU":
        encoded = [{"b64": base64.b64encode(_bytes(item)).decode()} for item in array.flat]
        return np.array(encoded, dtype=object).reshape(array.shape).tolist()
    return (array.astype(np.float64) if is_floating(array) else array).tolist()


def _bytes(item: object) -> bytes:
    return item if isinstance(item, bytes) else str(item).encode()
