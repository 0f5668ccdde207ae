"""TensorFlow Serving's gRPC services, as far as scoring needs them."""

from __future__ import annotations

from collections.abc import Callable

import grpc
import tensorflow as tf
from google.protobuf.message import DecodeError, Message
from tensorflow_serving.apis.get_model_metadata_pb2 import (
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    SignatureDefMap,
)
from tensorflow_serving.apis.get_model_status_pb2 import (
    GetModelStatusRequest,
    GetModelStatusResponse,
)
from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse

from tfnorm.errors import InputError
from tfnorm.server.inference import tensor_proto
from tfnorm.server.versions.models import ServedModel
from tfnorm.session import DEFAULT_SIGNATURE

_CODES = {code.value[0]: code for code in grpc.StatusCode}
_MAX_DETAILS = 1024


class GrpcApi:
    """PredictionService.Predict and GetModelMetadata, ModelService.GetModelStatus.

    The other methods of these services answer UNIMPLEMENTED.

    Args:
        model: what they answer for.
        max_request_bytes: the largest request accepted, and the largest tensor in one.
    """

    def __init__(self, model: ServedModel, max_request_bytes: int):
        self._model = model
        self._max_request_bytes = max_request_bytes

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """What a grpc.Server answers with."""
        services = {
            "tensorflow.serving.PredictionService": {
                "Predict": self._method(PredictRequest, self.predict),
                "GetModelMetadata": self._method(GetModelMetadataRequest, self.metadata),
                "Classify": _UNIMPLEMENTED,
                "Regress": _UNIMPLEMENTED,
                "MultiInference": _UNIMPLEMENTED,
            },
            "tensorflow.serving.ModelService": {
                "GetModelStatus": self._method(GetModelStatusRequest, self.status),
                "HandleReloadConfigRequest": _UNIMPLEMENTED,
            },
        }
        return [
            grpc.method_handlers_generic_handler(service, methods)
            for service, methods in services.items()
        ]

    def predict(self, request: PredictRequest) -> PredictResponse:
        """Run a signature on the request's tensors."""
        _require_model_spec(request)
        if len(set(request.output_filter)) < len(request.output_filter):
            raise InputError(f"duplicate output tensor alias in {list(request.output_filter)}")
        feeds = {
            name: tensor_proto.to_array(name, proto, self._max_request_bytes)
            for name, proto in request.inputs.items()
        }
        signature = request.model_spec.signature_name or DEFAULT_SIGNATURE
        with self._model.version(request.model_spec) as loaded:
            outputs = loaded.run(
                feeds, signature=signature, outputs=sorted(request.output_filter) or None
            )
        response = PredictResponse(
            outputs={name: tensor_proto.from_array(array) for name, array in outputs.items()}
        )
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = loaded.number
        response.model_spec.signature_name = signature
        return response

    def metadata(self, request: GetModelMetadataRequest) -> GetModelMetadataResponse:
        """The signatures of a version."""
        _require_model_spec(request)
        if set(request.metadata_field) != {"signature_def"}:
            raise InputError(
                f"metadata_field is {list(request.metadata_field)}; accepted: ['signature_def']"
            )
        with self._model.version(request.model_spec) as loaded:
            signatures = SignatureDefMap(signature_def=loaded.model.signature_defs)
        response = GetModelMetadataResponse()
        response.metadata["signature_def"].Pack(signatures)
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = loaded.number
        return response

    def status(self, request: GetModelStatusRequest) -> GetModelStatusResponse:
        """The state of a version, or of each."""
        _require_model_spec(request)
        return GetModelStatusResponse(model_version_status=self._model.statuses(request.model_spec))

    def _method(
        self, request_type: type[Message], answer: Callable[[Message], Message]
    ) -> grpc.RpcMethodHandler:
        """Parses requests itself: gRPC would answer what it can't parse with an internal error."""

        def call(data: bytes, context: grpc.ServicerContext) -> Message:
            try:
                if len(data) > self._max_request_bytes:
                    raise InputError(
                        f"the request has {len(data):,} bytes; "
                        f"accepted: up to {self._max_request_bytes:,}"
                    )
                return answer(request_type.FromString(data))
            except DecodeError as error:
                name = request_type.DESCRIPTOR.name
                _abort(context, tf.errors.INVALID_ARGUMENT, f"this is no {name}: {error}")
            except InputError as error:
                _abort(context, tf.errors.INVALID_ARGUMENT, str(error))
            except tf.errors.OpError as error:
                _abort(context, error.error_code, error.message)

        return grpc.unary_unary_rpc_method_handler(
            call, response_serializer=lambda response: response.SerializeToString()
        )


def _require_model_spec(request: Message) -> None:
    if not request.HasField("model_spec"):
        raise InputError("Missing ModelSpec")


def _abort(context: grpc.ServicerContext, code: int, reason: str) -> None:
    # As TensorFlow Serving does: details travel in a header, and a long one is refused on the way.
    details = reason.encode(errors="replace")
    shown = details[:_MAX_DETAILS].decode(errors="ignore")
    context.abort(_CODES[code], shown if len(details) <= _MAX_DETAILS else f"{shown}...TRUNCATED")


def _refuse(data: bytes, context: grpc.ServicerContext) -> None:
    _abort(
        context,
        tf.errors.UNIMPLEMENTED,
        "this development server has Predict, GetModelMetadata and GetModelStatus only; "
        "the rest takes TensorFlow Serving",
    )


_UNIMPLEMENTED = grpc.unary_unary_rpc_method_handler(_refuse)
