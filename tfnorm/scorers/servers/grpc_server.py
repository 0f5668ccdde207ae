"""Score examples with a model behind TensorFlow Serving's gRPC API."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError, Message
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, model_pb2, predict_pb2

from tfnorm.errors import InputError
from tfnorm.protocol.tensor_proto import FIELDS, to_array
from tfnorm.protocol.wire import check_parsed_size
from tfnorm.scorers.inputs import check_names
from tfnorm.scorers.scorer import Scorer
from tfnorm.scorers.servers.connection import (
    CONNECT_SECONDS,
    Connection,
    Nonsense,
    absent,
    busy,
    check_outputs,
    check_version,
    failed,
    gone,
    is_too_large,
    late,
)
from tfnorm.scorers.servers.metadata import candidates_of, signature_specs

_M = TypeVar("_M", bound=Message)
_URL = re.compile(
    r"(?P<scheme>grpcs?)://(?P<address>[^/\s]+:\d+)/(?P<model>[^/\s]+)"
    r"(/(versions/)?(?P<version>\d+)|/labels/(?P<label>[^/\s]+))?/?"
)
# Codes that say something of the request, and so of the model.
_REFUSALS = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
# What gRPC itself says where no server did.
_NOBODY = re.compile(
    "failed to connect|socket closed|connection (reset|refused)|handshake|name resolution|goaway",
    re.IGNORECASE,
)
# Of an answer, and of its arrays: a message of a few bytes can ask for any amount.
_MOST_BYTES = 2**30
_MOST_PARSED = 2**31
ACCEPTED = (
    "grpc://HOST:PORT/NAME[/VERSION], grpc://HOST:PORT/NAME/labels/LABEL, or the same by grpcs"
)


class _Service:
    """The two methods that are called, whose answers are measured before they are parsed."""

    def __init__(self, channel: grpc.Channel):
        self.Predict = _method(channel, "Predict", predict_pb2.PredictResponse)
        self.GetModelMetadata = _method(
            channel, "GetModelMetadata", get_model_metadata_pb2.GetModelMetadataResponse
        )


def _method(channel: grpc.Channel, name: str, answer: type[_M]) -> Callable[..., _M]:
    ask = channel.unary_unary(f"/tensorflow.serving.PredictionService/{name}")

    def call(request: Message, **options: Any) -> _M:
        data = ask(request.SerializeToString(), **options)
        check_parsed_size(data, answer.DESCRIPTOR, _MOST_PARSED)
        found: _M = answer.FromString(data)
        return found

    return call


class GrpcScorer(Scorer):
    """Calls `PredictionService.Predict` on the version that the server has when it is made.

    Args:
        url: `grpc://HOST:PORT/NAME[/VERSION]`, or `.../labels/LABEL`; `grpcs` for TLS.
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
            raise InputError(f"{url} is not {ACCEPTED}")
        self.name = url
        self.signature = signature
        self._connection = connection or Connection()
        self._scoring = False
        self._metadata = [(k.lower(), v) for k, v in self._connection.headers.items()]
        self._channel = self._open(parts["address"], parts["scheme"] == "grpcs")
        self._service = _Service(self._channel)
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = parts["model"]
        if parts["version"]:
            request.model_spec.version.value = _number(url, parts["version"])
        if parts["label"]:
            request.model_spec.version_label = parts["label"]
        try:
            seconds = min(CONNECT_SECONDS, self._connection.timeout)
            response = self._call(self._service.GetModelMetadata, request, seconds)
            definitions = _signature_defs(response, url)
            self.inputs, self._outputs, self.defaults = signature_specs(definitions, signature, url)
            self.candidates = candidates_of(definitions, self.inputs, url)
        except InputError:
            self.close()
            raise
        self._model_spec = request.model_spec
        self._model_spec.MergeFrom(response.model_spec)
        self._model_spec.signature_name = signature
        self._scoring = True

    def score(self, examples: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        examples = {**self.defaults, **examples}
        check_names(examples, self.inputs)
        request = predict_pb2.PredictRequest(model_spec=self._model_spec)
        for name, array in examples.items():
            request.inputs[name].CopyFrom(
                tf.make_tensor_proto(array, self.inputs[name].dtype, array.shape)
            )
        response = self._call(self._service.Predict, request, self._connection.timeout)
        self._check_model(response.model_spec)
        check_outputs(self.name, response.outputs, self._outputs)
        try:
            for name, spec in self._outputs.items():
                _check_values(name, response.outputs[name], spec)
            return {
                name: to_array(f"output {name!r}", response.outputs[name], spec, _MOST_BYTES)
                for name, spec in self._outputs.items()
            }
        except InputError as error:
            raise Nonsense(f"{self.name}: the answer makes no sense: {error}") from error

    def close(self) -> None:
        self._channel.close()

    def _check_model(self, answering: model_pb2.ModelSpec) -> None:
        """Raise where another model or version answers than was asked for, or than answered before."""
        if answering.name not in ("", self._model_spec.name):
            raise Nonsense(
                f"{self.name}: model {answering.name!r} answered where {self._model_spec.name!r} was "
                "asked for"
            )
        if not answering.HasField("version"):
            return
        if not self._model_spec.HasField("version"):
            self._model_spec.version.value = answering.version.value
        check_version(self.name, self._model_spec.version.value, answering.version.value)

    def _open(self, address: str, secure: bool) -> grpc.Channel:
        limit = self._connection.max_message_bytes
        options = [
            ("grpc.max_send_message_length", limit or -1),
            ("grpc.max_receive_message_length", limit or _MOST_BYTES),
        ]
        if not secure:
            return grpc.insecure_channel(address, options=options)
        file = self._connection.certificates
        trusted = Path(file).read_bytes() if file else None
        return grpc.secure_channel(address, grpc.ssl_channel_credentials(trusted), options=options)

    def _call(self, method: Callable[..., _M], request: Message, seconds: float) -> _M:
        def ask() -> _M:
            try:
                return method(request, timeout=seconds, metadata=self._metadata)
            except grpc.RpcError as error:
                raise self._explained(error) from error
            except (DecodeError, InputError) as error:
                raise Nonsense(f"{self.name}: the answer makes no sense: {error}") from error

        return self._connection.ask(ask)

    def _explained(self, error: grpc.RpcError) -> InputError:
        code = error.code()
        reason = f"{code.name}: {' '.join((error.details() or '').split())}"
        if code is grpc.StatusCode.UNAVAILABLE:
            nobody = _NOBODY.search(reason)
            return absent(self.name, reason) if nobody else busy(self.name, reason)
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return late(self.name)
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            if is_too_large(reason):
                return InputError(
                    f"{self.name}: {reason}; try smaller batches (--batch-size), or raise the limit"
                )
            return busy(self.name, reason)
        if code is grpc.StatusCode.NOT_FOUND and self._scoring:
            return gone(self.name, reason)
        if code in _REFUSALS:
            return InputError(f"{self.name}: {reason}")
        return failed(self.name, reason)


def _check_values(name: str, proto: tensor_pb2.TensorProto, spec: tf.TensorSpec) -> None:
    """Raise InputError where an answer has a shape and no value, which TensorFlow reads as zeros.

    One of another dtype is for `to_array` to refuse.
    """
    values = sum(len(getattr(proto, field)) for field in {field for field, _ in FIELDS.values()})
    asked = math.prod(dim.size for dim in proto.tensor_shape.dim)
    fits = proto.dtype == spec.dtype.as_datatype_enum
    if fits and asked > 0 and not values and not proto.tensor_content:
        raise InputError(f"output {name!r} has {asked:,} values by its shape, but none is there")


def _number(url: str, version: str) -> int:
    largest = 2**63 - 1
    if len(version) > len(str(largest)) or int(version) > largest:
        raise InputError(f"{url}: there is no version {version}; accepted: 0 to {largest}")
    return int(version)


def _signature_defs(
    response: get_model_metadata_pb2.GetModelMetadataResponse, url: str
) -> dict[str, meta_graph_pb2.SignatureDef]:
    definitions = get_model_metadata_pb2.SignatureDefMap()
    try:
        found = response.metadata["signature_def"].Unpack(definitions)
    except DecodeError:
        found = False
    if not found:
        raise InputError(f"{url}: its metadata has no signatures; is it TensorFlow Serving?")
    return dict(definitions.signature_def)
