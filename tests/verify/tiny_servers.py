"""TensorFlow Serving's two APIs around a NumPy function, by its protos and its documentation."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

Function = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]
Types = dict[str, tuple[str, list[int]]]


def signature_def(inputs: Types, outputs: Types) -> meta_graph_pb2.SignatureDef:
    """The signature of name -> (dtype, shape), where -1 is a free dimension."""
    definition = meta_graph_pb2.SignatureDef(method_name="tensorflow/serving/predict")
    for tensors, types in ((definition.inputs, inputs), (definition.outputs, outputs)):
        for name, (dtype, shape) in types.items():
            tensors[name].name = f"{name}:0"
            tensors[name].dtype = tf.as_dtype(dtype).as_datatype_enum
            for size in shape:
                tensors[name].tensor_shape.dim.add(size=size)
    return definition


CERTIFICATE = Path(__file__).with_name("localhost.pem")
"""A key and its self-signed certificate, for localhost."""


class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Serves version 3 of the model "ranker", labelled "stable"; `requests` are those that came.

    The first `unavailable` predictions are refused as those of a server that is loading.
    """

    unavailable = 0

    def __init__(self, function: Function, definition: meta_graph_pb2.SignatureDef):
        self.function = function
        self.definition = definition
        self.requests: list[predict_pb2.PredictRequest] = []

    def GetModelMetadata(self, request, context):
        self._check(request, context)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = 3
        definitions = get_model_metadata_pb2.SignatureDefMap()
        definitions.signature_def["serving_default"].CopyFrom(self.definition)
        response.metadata["signature_def"].Pack(definitions)
        return response

    def Predict(self, request, context):
        self._check(request, context)
        if self.unavailable > 0:
            self.unavailable -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "loading")
        self.requests.append(request)
        self.metadata = dict(context.invocation_metadata())
        try:
            outputs = self.function({k: tf.make_ndarray(v) for k, v in request.inputs.items()})
        except ValueError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        response = predict_pb2.PredictResponse(model_spec=request.model_spec)
        for name, array in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(array))
        return response

    def _check(self, request, context):
        spec = request.model_spec
        labelled = spec.version_label in ("", "stable")
        if spec.name != "ranker" or spec.version.value not in (0, 3) or not labelled:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found: {spec.name}")


@contextlib.contextmanager
def grpc_server(service: Service, *, tls: bool = False, threads: int = 2) -> Iterator[str]:
    """The address of a server with the service."""
    options = [("grpc.max_receive_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(threads), options=options)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    if tls:
        pair = [(CERTIFICATE.read_bytes(), CERTIFICATE.read_bytes())]
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials(pair))
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"grpc{'s' if tls else ''}://127.0.0.1:{port}"
    finally:
        server.stop(0).wait()


class _Handler(BaseHTTPRequestHandler):
    # The answer goes out in one piece: in two, TCP waits 40 ms before the second.
    wbufsize = -1

    def do_GET(self):
        found = self.path.endswith("/metadata") and self._found()
        definition = json_format.MessageToDict(
            self.server.definition, preserving_proto_field_name=True
        )
        self._answer(
            found,
            {
                "model_spec": {"name": "ranker", "signature_name": "", "version": "3"},
                "metadata": {"signature_def": {"signature_def": {"serving_default": definition}}},
            },
        )

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, body))
        self.server.headers = dict(self.headers)
        if self.server.unavailable > 0:
            self.server.unavailable -= 1
            self._send(503, b'{"error": "loading"}')
            return
        answer = self.server.answer(json.loads(body))
        self._answer(self._found() and self.path.endswith("versions/3:predict"), answer)

    def _found(self) -> bool:
        return self.path.startswith("/v1/models/ranker")

    def _answer(self, found: bool, answer):
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        if not found:
            content = b'{"error": "Servable not found\\nfor request: Latest(other)"}'
        self._send(200 if found else 404, content)

    def _send(self, status: int, content: bytes):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


class RestServer(ThreadingHTTPServer):
    """Serves version 3 of the model "ranker"; `answer` gives the body for a request's.

    A body that is bytes is sent as it is. The first `unavailable` predictions are refused.
    """

    unavailable = 0

    def __init__(
        self,
        answer: Callable[[dict], object],
        definition: meta_graph_pb2.SignatureDef,
        tls: bool = False,
    ):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.scheme = "https" if tls else "http"
        if tls:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(CERTIFICATE)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.answer = answer
        self.definition = definition
        self.requests: list[tuple[str, bytes]] = []

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}/v1/models/ranker"


@contextlib.contextmanager
def rest_server(answer, definition, *, tls: bool = False) -> Iterator[RestServer]:
    """A server in a thread of its own."""
    server = RestServer(answer, definition, tls)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
