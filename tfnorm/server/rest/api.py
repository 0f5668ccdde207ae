"""TensorFlow Serving's REST API, as far as scoring needs it."""

from __future__ import annotations

import asyncio
import json
import re
from concurrent.futures import Executor
from http import HTTPStatus

import tensorflow as tf
from google.protobuf.json_format import MessageToDict
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from tensorflow_serving.apis.get_model_metadata_pb2 import SignatureDefMap
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusResponse
from tensorflow_serving.apis.model_pb2 import ModelSpec

from tfnorm.errors import InputError
from tfnorm.server.rest import json_format
from tfnorm.server.versions.models import ServedModel
from tfnorm.session import DEFAULT_SIGNATURE

_MODEL = r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
_PREDICT = re.compile(_MODEL + ":(?P<method>classify|regress|predict)", re.IGNORECASE)
_DESCRIBE = re.compile(_MODEL + "(?P<metadata>/metadata)?", re.IGNORECASE)
_HTTP_STATUS = {
    tf.errors.CANCELLED: HTTPStatus.SERVICE_UNAVAILABLE,
    tf.errors.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    tf.errors.DEADLINE_EXCEEDED: HTTPStatus.GATEWAY_TIMEOUT,
    tf.errors.NOT_FOUND: HTTPStatus.NOT_FOUND,
    tf.errors.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
    tf.errors.FAILED_PRECONDITION: HTTPStatus.BAD_REQUEST,
    tf.errors.OUT_OF_RANGE: HTTPStatus.BAD_REQUEST,
    tf.errors.UNIMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED,
    tf.errors.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
}


class RestApi:
    """GET of a model's status and metadata, POST of `:predict`.

    Args:
        model: what it answers for.
        executor: where requests are answered, so that the web server stays free for others.
        max_request_bytes: the largest body accepted.
    """

    def __init__(self, model: ServedModel, executor: Executor, max_request_bytes: int):
        self._model = model
        self._executor = executor
        self._max_request_bytes = max_request_bytes

    def app(self) -> Starlette:
        """The web application."""
        return Starlette(
            routes=[Route("/v1/{path:path}", self._answer, methods=["GET", "POST"])],
            exception_handlers={HTTPException: _http_error},
        )

    async def _answer(self, request: Request) -> Response:
        try:
            body = await self._body(request)
            loop = asyncio.get_running_loop()
            path = request.scope["path"]
            handle = self._post if request.method == "POST" else self._get
            return _json(await loop.run_in_executor(self._executor, handle, path, body))
        except InputError as error:
            return _error(HTTPStatus.BAD_REQUEST, str(error))
        except tf.errors.OpError as error:
            status = _HTTP_STATUS.get(error.error_code, HTTPStatus.INTERNAL_SERVER_ERROR)
            return _error(status, error.message)
        except ClientDisconnect:
            return Response()
        except asyncio.CancelledError:
            return _error(HTTPStatus.SERVICE_UNAVAILABLE, "the server is stopping")

    async def _body(self, request: Request) -> bytes:
        """The body. One too large is read on: a client that still sends would miss the answer."""
        body = bytearray()
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size <= self._max_request_bytes:
                body += chunk
            elif size > 4 * self._max_request_bytes:
                break
        if size > self._max_request_bytes:
            raise InputError(
                f"the request has {size:,} bytes or more; "
                f"accepted: up to {self._max_request_bytes:,}"
            )
        return bytes(body)

    def _post(self, path: str, body: bytes) -> str:
        match = _PREDICT.fullmatch(path)
        if match is None:
            raise InputError(f"Malformed request: POST {path}")
        if match["method"].lower() != "predict":
            raise tf.errors.UnimplementedError(
                None,
                None,
                f"this development server has predict only; {match['method']} takes "
                "TensorFlow Serving",
            )
        document = json_format.parse(body)
        signature = json_format.signature_name(document, DEFAULT_SIGNATURE)
        with self._model.version(_model_spec(match)) as loaded:
            inputs = loaded.model.signature(signature).inputs
            outputs = loaded.run(json_format.feeds(document, inputs), signature=signature)
        return json_format.answer(outputs, rows=json_format.is_row_format(document))

    def _get(self, path: str, body: bytes) -> str:
        match = _DESCRIBE.fullmatch(path)
        if match is None:
            raise InputError(f"Malformed request: GET {path}")
        spec = _model_spec(match)
        return self._metadata(spec) if match["metadata"] else self._status(spec)

    def _status(self, spec: ModelSpec) -> str:
        response = GetModelStatusResponse(model_version_status=self._model.statuses(spec))
        return json.dumps(_to_dict(response))

    def _metadata(self, spec: ModelSpec) -> str:
        with self._model.version(spec) as loaded:
            answering = ModelSpec(name=spec.name)
            answering.version.value = loaded.number
            signatures = SignatureDefMap(signature_def=loaded.model.signature_defs)
        return json.dumps(
            {
                "model_spec": _to_dict(answering),
                "metadata": {"signature_def": _to_dict(signatures)},
            }
        )


def _model_spec(match: re.Match[str]) -> ModelSpec:
    spec = ModelSpec(name=match["name"])
    if match["version"] is not None:
        try:
            spec.version.value = int(match["version"])
        except ValueError as error:
            raise InputError(
                f"Failed to convert version: {match['version']} to numeric."
            ) from error
    if match["label"] is not None:
        spec.version_label = match["label"]
    return spec


def _to_dict(message) -> dict:
    return MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def _json(text: str, status: int = HTTPStatus.OK) -> Response:
    return Response(text, status, media_type="application/json")


def _error(status: int, reason: str) -> Response:
    return _json(json.dumps({"error": reason}), status)


async def _http_error(request: Request, error: HTTPException) -> Response:
    return _error(error.status_code, f"{error.detail}: {request.method} {request.scope['path']}")
