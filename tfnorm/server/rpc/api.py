"""TensorFlow Serving's gRPC services."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from pathlib import Path

import grpc
import tensorflow as tf
from google.protobuf.message import DecodeError, Message
from tensorflow_serving.apis.classification_pb2 import (
    ClassificationRequest,
    ClassificationResponse,
)
from tensorflow_serving.apis.get_model_metadata_pb2 import (
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    SignatureDefMap,
)
from tensorflow_serving.apis.get_model_status_pb2 import (
    GetModelStatusRequest,
    GetModelStatusResponse,
)
from tensorflow_serving.apis.inference_pb2 import MultiInferenceRequest, MultiInferenceResponse
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest, ReloadConfigResponse
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse
from tensorflow_serving.apis.regression_pb2 import RegressionRequest, RegressionResponse

from tfnorm.errors import InputError
from tfnorm.protocol.wire import check_parsed_size
from tfnorm.server import waiting
from tfnorm.server.bounds import PARSED
from tfnorm.server.budget import MOST_SECONDS, Budget, Share
from tfnorm.server.failures import Failure, explained
from tfnorm.server.inference import several, tensor_proto
from tfnorm.server.inference.classify import classify
from tfnorm.server.inference.counted import Counted
from tfnorm.server.inference.predict import predict
from tfnorm.server.inference.regress import regress
from tfnorm.server.metrics import Metrics
from tfnorm.server.rpc.receiving import Receiving
from tfnorm.server.versions.loaded import LoadedVersion
from tfnorm.server.versions.models import Models
from tfnorm.server.versions.policy import VersionPolicy
from tfnorm.server.versions.reload import reload
from tfnorm.server.versions.served import ServedModel
from tfnorm.session import DEFAULT_SIGNATURE

_CODES = {code.value[0]: code for code in grpc.StatusCode}
_MAX_DETAILS = 1024
_COUNTED = frozenset({"Predict", "Classify", "Regress"})


class GrpcApi:
    """PredictionService and ModelService.

    Args:
        models: what they answer for.
        executor: where requests are answered once they are received.
        receiving: receives them.
        metrics: where requests are counted.
        load: starts serving a model that a new configuration lists: its name, directory and policy.
        max_request_bytes: what a request, its tensors, its outputs and its answer may each have; what
            it is parsed into may have four times as much.
        budget: what requests may take together.
    """

    def __init__(
        self,
        models: Models,
        executor: Executor,
        receiving: Receiving,
        metrics: Metrics,
        load: Callable[[str, Path, VersionPolicy], ServedModel],
        max_request_bytes: int,
        budget: Budget,
    ):
        self._models = models
        self._executor = executor
        self._receiving = receiving
        self._metrics = metrics
        self._load = load
        self._max_request_bytes = max_request_bytes
        self._budget = budget
        self._reloading = threading.Lock()

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """What a grpc.Server answers with."""
        services = {
            "PredictionService": {
                "Predict": (PredictRequest, self.predict),
                "Classify": (ClassificationRequest, self.classify),
                "Regress": (RegressionRequest, self.regress),
                "MultiInference": (MultiInferenceRequest, self.multi_inference),
                "GetModelMetadata": (GetModelMetadataRequest, self.metadata),
            },
            "ModelService": {
                "GetModelStatus": (GetModelStatusRequest, self.status),
                "HandleReloadConfigRequest": (ReloadConfigRequest, self.reload),
            },
        }
        return [
            grpc.method_handlers_generic_handler(
                f"tensorflow.serving.{service}",
                {name: self._method(name, *method) for name, method in methods.items()},
            )
            for service, methods in services.items()
        ] + [_Missing()]

    def predict(self, request: PredictRequest, share: Share) -> bytes:
        """Run a signature on the request's tensors."""
        _require_model_spec(request)
        with self._models.version(request.model_spec) as loaded:
            outputs = predict(Counted(loaded, share), request, self._max_request_bytes)
        response = PredictResponse()
        _answer_for(response.model_spec, request.model_spec, loaded)
        return tensor_proto.response(outputs, response, self._max_request_bytes)

    def classify(self, request: ClassificationRequest, share: Share) -> ClassificationResponse:
        """Run a classification signature on the request's records."""
        _require_model_spec(request)
        name = request.model_spec.signature_name
        with self._models.version(request.model_spec) as loaded:
            runner = Counted(loaded, share)
            result = classify(runner, name, request.input, self._max_request_bytes)
        response = ClassificationResponse(result=result)
        _answer_for(response.model_spec, request.model_spec, loaded)
        return response

    def regress(self, request: RegressionRequest, share: Share) -> RegressionResponse:
        """Run a regression signature on the request's records."""
        _require_model_spec(request)
        name = request.model_spec.signature_name
        with self._models.version(request.model_spec) as loaded:
            runner = Counted(loaded, share)
            result = regress(runner, name, request.input, self._max_request_bytes)
        response = RegressionResponse(result=result)
        _answer_for(response.model_spec, request.model_spec, loaded)
        return response

    def multi_inference(
        self, request: MultiInferenceRequest, share: Share
    ) -> MultiInferenceResponse:
        """Run several signatures on the request's records."""
        with self._models.version(several.model_spec(request)) as loaded:
            response = several.several(Counted(loaded, share), request, self._max_request_bytes)
        for result in response.results:
            result.model_spec.version.value = loaded.number
        return response

    def metadata(self, request: GetModelMetadataRequest, share: Share) -> GetModelMetadataResponse:
        """The signatures of a version."""
        _require_model_spec(request)
        if set(request.metadata_field) != {"signature_def"}:
            raise InputError(
                f"metadata_field is {list(request.metadata_field)}; accepted: ['signature_def']"
            )
        with self._models.version(request.model_spec) as loaded:
            signatures = SignatureDefMap(signature_def=loaded.model.signature_defs)
        response = GetModelMetadataResponse()
        response.metadata["signature_def"].Pack(signatures)
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = loaded.number
        return response

    def status(self, request: GetModelStatusRequest, share: Share) -> GetModelStatusResponse:
        """The state of a version, or of each."""
        _require_model_spec(request)
        return GetModelStatusResponse(
            model_version_status=self._models.statuses(request.model_spec)
        )

    def reload(self, request: ReloadConfigRequest, share: Share) -> ReloadConfigResponse:
        """Serve what the request lists."""
        if request.metric_names:
            raise tf.errors.UnimplementedError(
                None, None, "metric_names is not implemented here; read the page for Prometheus"
            )
        with self._reloading:
            reload(self._models, request, self._load)
        response = ReloadConfigResponse()
        response.status.SetInParent()
        return response

    def _method(
        self,
        name: str,
        request_type: type[Message],
        answer: Callable[[Message, Share], Message | bytes],
    ) -> grpc.RpcMethodHandler:
        """Receives and parses requests itself.

        gRPC would have a thread wait for each message as long as a client likes, and answer what it can't
        parse with an internal error.
        """

        def answered(data: bytes, share: Share) -> bytes:
            began = time.perf_counter()
            spec = ModelSpec()
            try:
                with waiting.until(share.gone):
                    request = self._parsed(data, request_type, share)
                    spec = getattr(request, "model_spec", spec)
                    found = answer(request, share)
                text: bytes = found if isinstance(found, bytes) else found.SerializeToString()
            # Whatever it is, the client is told.
            except Exception as error:
                failure = explained(error, name)
                self._record(name, spec, failure.code, began)
                raise _Failed(failure) from error
            self._record(name, spec, tf.errors.OK, began)
            return text

        def call(requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
            share = Share(self._budget)
            context.add_callback(share.leave)
            try:
                data = self._receiving.message(requests, context)
                text = self._executor.submit(answered, data, share).result()
            except _Failed as error:
                share.close()
                _abort(context, error.failure.code, error.failure.message)
            _close_when_sent(share, context)
            return text

        return grpc.stream_unary_rpc_method_handler(call)

    def _parsed(self, data: bytes, request_type: type[Message], share: Share) -> Message:
        most = self._max_request_bytes
        if len(data) > most:
            raise InputError(f"the request has {len(data):,} bytes; accepted: up to {most:,}")
        share.take(len(data) + check_parsed_size(data, request_type.DESCRIPTOR, PARSED * most))
        try:
            return request_type.FromString(data)
        except DecodeError as error:
            raise InputError(f"this is no {request_type.DESCRIPTOR.name}: {error}") from error

    def _record(self, name: str, spec: ModelSpec, code: int, began: float) -> None:
        if name in _COUNTED:
            known = spec.name if spec.name in self._models.served else ""
            self._metrics.record(known, name, "GRPC", code, time.perf_counter() - began)


class _Failed(Exception):
    """A request failed."""

    def __init__(self, failure: Failure):
        super().__init__(failure.message)
        self.failure = failure


class _Missing(grpc.GenericRpcHandler):
    """Says of every other method that there is none."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        method = handler_call_details.method

        def refuse(requests: Iterator[bytes], context: grpc.ServicerContext) -> None:
            _abort(
                context,
                tf.errors.UNIMPLEMENTED,
                f"this development server has no {method}; its documentation lists what it has",
            )

        return grpc.stream_unary_rpc_method_handler(refuse)


def _close_when_sent(share: Share, context: grpc.ServicerContext) -> None:
    """Give a request's memory back once its client has the answer, or has taken too long to read it."""
    if not share.taken:
        return
    late = threading.Timer(MOST_SECONDS, context.cancel)
    late.daemon = True

    def done() -> None:
        late.cancel()
        share.close()

    late.start()
    if not context.add_callback(done):
        done()


def _answer_for(answering: ModelSpec, asked: ModelSpec, loaded: LoadedVersion) -> None:
    """Say which model, version and signature answered."""
    answering.name = asked.name
    answering.version.value = loaded.number
    answering.signature_name = asked.signature_name or DEFAULT_SIGNATURE


def _require_model_spec(request: Message) -> None:
    if not request.HasField("model_spec"):
        raise InputError("Missing ModelSpec")


def _abort(context: grpc.ServicerContext, code: int, reason: str) -> None:
    # As TensorFlow Serving does: details travel in a header, and a long one is refused on the way.
    details = reason.encode(errors="replace")
    shown = details[:_MAX_DETAILS].decode(errors="ignore")
    more = "...TRUNCATED" if len(details) > _MAX_DETAILS else ""
    context.abort(_CODES.get(code, grpc.StatusCode.INTERNAL), shown + more)
