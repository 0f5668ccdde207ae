"""TensorFlow Serving's REST API."""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import Executor
from http import HTTPStatus
from typing import Any

import tensorflow as tf
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from tensorflow_serving.apis.get_model_metadata_pb2 import SignatureDefMap
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusResponse
from tensorflow_serving.apis.model_pb2 import ModelSpec

from tfnorm.errors import InputError
from tfnorm.protocol.json_text import check_parsed_size
from tfnorm.server import waiting
from tfnorm.server.bounds import PARSED
from tfnorm.server.budget import Budget, Share
from tfnorm.server.failures import Failure, explained
from tfnorm.server.inference.classify import classify
from tfnorm.server.inference.counted import Counted
from tfnorm.server.inference.predict import run
from tfnorm.server.inference.regress import regress
from tfnorm.server.metrics import PATH, Metrics
from tfnorm.server.rest import answers, body, documents, records, routes, tensors
from tfnorm.server.rest.sent import Sent
from tfnorm.server.versions.models import Models
from tfnorm.session import DEFAULT_SIGNATURE

# What nginx calls a request that the client closed.
_CLOSED = 499
_HTTP_STATUS = {
    tf.errors.CANCELLED: _CLOSED,
    tf.errors.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    tf.errors.DEADLINE_EXCEEDED: HTTPStatus.GATEWAY_TIMEOUT,
    tf.errors.NOT_FOUND: HTTPStatus.NOT_FOUND,
    tf.errors.ALREADY_EXISTS: HTTPStatus.CONFLICT,
    tf.errors.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    tf.errors.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    tf.errors.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
    tf.errors.FAILED_PRECONDITION: HTTPStatus.BAD_REQUEST,
    tf.errors.ABORTED: HTTPStatus.CONFLICT,
    tf.errors.OUT_OF_RANGE: HTTPStatus.BAD_REQUEST,
    tf.errors.UNIMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED,
    tf.errors.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
}
_METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]


class RestApi:
    """GET of a model's status and metadata, POST of its methods, and the page for Prometheus.

    Args:
        models: what it answers for.
        executor: where requests are answered, so that the web server stays free for others.
        metrics: where they are counted.
        max_request_bytes: what a body, its tensors, its outputs and its answer may each have; what
            its JSON is parsed into may have four times as much.
        budget: what requests may take together.
    """

    def __init__(
        self,
        models: Models,
        executor: Executor,
        metrics: Metrics,
        max_request_bytes: int,
        budget: Budget,
    ):
        self._models = models
        self._executor = executor
        self._metrics = metrics
        self._max_request_bytes = max_request_bytes
        self._budget = budget

    def app(self) -> Starlette:
        """The web application."""
        app = Starlette(
            routes=[
                Route(PATH, self._page, methods=["GET"]),
                Route("/{path:path}", self._answer, methods=_METHODS),
            ],
            exception_handlers={HTTPException: _http_error},
        )
        app.router.redirect_slashes = False
        return app

    async def _page(self, request: Request) -> Response:
        return Response(self._metrics.page(), media_type="text/plain")

    async def _answer(self, request: Request) -> Response:
        path = _path(request)
        if not path.lower().startswith("/v1/"):
            return _error(HTTPStatus.NOT_FOUND, f"Not Found: {request.method} {path}")
        if request.method == "OPTIONS":
            return _preflight(request)
        began = time.perf_counter()
        spec = ModelSpec()
        method = ""
        share = Share(self._budget)
        try:
            route = routes.find(request.method, path)
            spec, method = route.spec, route.method
            packed = await body.read(request, self._max_request_bytes, share)
            encoding = request.headers.get("content-encoding", "")
            loop = asyncio.get_running_loop()
            handled = loop.run_in_executor(
                self._executor, self._handle_for, route, packed, encoding, share
            )
            text = await _while_waited_for(handled, request, share)
        except ClientDisconnect:
            share.close()
            return Response()
        except asyncio.CancelledError:
            failure = Failure(tf.errors.UNAVAILABLE, "the server is stopping")
        # Whatever it is, the client is told.
        except Exception as error:
            failure = explained(error, f"{request.method} {path}")
        else:
            failure = Failure(tf.errors.OK, "")
        known = spec.name if spec.name in self._models.served else ""
        seconds = time.perf_counter() - began
        self._metrics.record(known, method.capitalize(), "REST", failure.code, seconds)
        if failure.code == tf.errors.OK:
            return Sent(text, share)
        share.close()
        status = _HTTP_STATUS.get(failure.code, HTTPStatus.INTERNAL_SERVER_ERROR)
        return _error(status, failure.message)

    def _handle_for(self, route: routes.Route, packed: bytes, encoding: str, share: Share) -> bytes:
        with waiting.until(share.gone):
            waiting.check()
            return self._handle(route, packed, encoding, share)

    def _handle(self, route: routes.Route, packed: bytes, encoding: str, share: Share) -> bytes:
        if route.method == "status":
            return self._status(route.spec)
        if route.method == "metadata":
            return self._metadata(route.spec)
        unpacked = body.unpacked(packed, encoding, self._max_request_bytes)
        share.take(check_parsed_size(unpacked, PARSED * self._max_request_bytes))
        document = documents.parse(unpacked)
        signature = documents.signature_name(document)
        if route.method == "predict":
            return self._predict(route.spec, document, signature or DEFAULT_SIGNATURE, share)
        given = records.records(document)
        most = self._max_request_bytes
        with self._models.version(route.spec) as loaded:
            runner = Counted(loaded, share)
            if route.method == "classify":
                return answers.classifications(classify(runner, signature, given, most), most)
            return answers.regressions(regress(runner, signature, given, most), most)

    def _predict(
        self, spec: ModelSpec, document: dict[str, Any], signature: str, share: Share
    ) -> bytes:
        most = self._max_request_bytes
        with self._models.version(spec) as loaded:
            known = loaded.model.signatures.get(signature)
            if known is None:
                raise InputError(
                    f"Serving signature name: {json.dumps(signature)} not found in signature def"
                )
            feeds = tensors.feeds(document, known.inputs)
            runner = Counted(loaded, share)
            outputs = run(runner, feeds, signature=signature, outputs=None, max_bytes=most)
        rows = tensors.is_row_format(document)
        return answers.answer(outputs, rows=rows, max_bytes=most)

    def _status(self, spec: ModelSpec) -> bytes:
        response = GetModelStatusResponse(model_version_status=self._models.statuses(spec))
        return json.dumps(_to_dict(response)).encode()

    def _metadata(self, spec: ModelSpec) -> bytes:
        with self._models.version(spec) as loaded:
            answering = ModelSpec(name=spec.name)
            answering.version.value = loaded.number
            signatures = SignatureDefMap(signature_def=loaded.model.signature_defs)
        metadata = {
            "model_spec": _to_dict(answering),
            "metadata": {"signature_def": _to_dict(signatures)},
        }
        return json.dumps(metadata).encode()


async def _while_waited_for(
    handled: asyncio.Future[bytes], request: Request, share: Share
) -> bytes:
    """What comes of a request; where its client goes, its work is told."""
    try:
        while not (await asyncio.wait([handled], timeout=waiting.LOOK_SECONDS))[0]:
            if await request.is_disconnected():
                share.leave()
    except asyncio.CancelledError:
        handled.cancel()
        raise
    return await handled


def _path(request: Request) -> str:
    """The path as it came, with its query: TensorFlow Serving matches both before it decodes."""
    query = request.scope["query_string"]
    path = request.scope["raw_path"] + (b"?" + query if query else b"")
    return str(path, "latin-1")


def _preflight(request: Request) -> Response:
    """What a browser asks before it posts; no answer has the headers that would let it go on."""
    origin = request.headers.get("origin", "")
    if "http://" in origin or "https://" in origin:
        return Response()
    return _error(HTTPStatus.BAD_REQUEST, "Origin header is missing in CORS preflight")


def _to_dict(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return found


def _json(text: bytes, status: int = HTTPStatus.OK) -> Response:
    return Response(text, status, media_type="application/json")


def _error(status: int, reason: str) -> Response:
    return _json(json.dumps({"error": reason}).encode(), status)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, f"{error.detail}: {request.method} {request.scope['path']}")
