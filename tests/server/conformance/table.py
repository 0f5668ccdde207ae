"""What a row of the table is: a request, TensorFlow Serving's answer, the file that says so, and ours."""

from dataclasses import dataclass
from typing import Any

SAME = object()

KINDER = "kinder"
"""A mistake that TensorFlow Serving hides or answers oddly is told, on purpose."""
STRICTER = "stricter"
"""A bound that TensorFlow Serving doesn't have."""
MISSING = "missing"
"""What is not here."""

JSON = "util/json_tensor.cc"
JSON_TEST = "util/json_tensor_test.cc"
RAPIDJSON = "workspace.bzl: RapidJSON 1.1.0, include/rapidjson/reader.h"
ROUTES = "model_servers/http_rest_api_util.cc"
HANDLER = "model_servers/http_rest_api_handler.cc"
HANDLER_TEST = "model_servers/http_rest_api_handler_test.cc"
HTTP = "model_servers/http_server.cc"
EVHTTP = "util/net_http/server/internal/evhttp_request.cc"
GZIP = "util/net_http/compression/gzip_zlib.cc"
EVHTTP_SERVER = "util/net_http/server/internal/evhttp_server.cc"
CORE = "model_servers/server_core.cc"
STATUS = "model_servers/get_model_status_impl.cc"
RELOAD = "model_servers/model_service_impl.cc"
METADATA = "servables/tensorflow/get_model_metadata_impl.cc"
PREDICT = "servables/tensorflow/predict_util.cc"
PREDICT_TEST = "servables/tensorflow/predict_util_test.cc"
PREDICT_IMPL = "servables/tensorflow/predict_impl.cc"
CLASSIFY = "servables/tensorflow/classifier.cc"
REGRESS = "servables/tensorflow/regressor.cc"
SEVERAL = "servables/tensorflow/multi_inference.cc"
SEVERAL_HELPER = "servables/tensorflow/multi_inference_helper.cc"
UTIL = "servables/tensorflow/util.cc"
BATCHING = "batching/batching_session.cc"
BATCHING_UTIL = "batching/batching_util.h"
GRPC = "gRPC C++, which answers what it can't parse"
TENSOR = "tensorflow/core/framework/tensor.cc"
SAVED_MODEL = "tensorflow/cc/saved_model/util.cc"
SESSION = "tensorflow/core/common_runtime/direct_session.cc and the model's ops"
EXECUTOR = "tensorflow/core/kernels/batching_util/shared_batch_scheduler.h"


@dataclass(frozen=True)
class Case:
    """A row.

    Attributes:
        ask: the request, as the test of its API takes it.
        there: TensorFlow Serving's answer: what it gives, or how it refuses.
        source: the file of its source that says so.
        here: ours, where it is another.
        why: KINDER, STRICTER or MISSING, where it is another.
        batched: the answer with batching, there and here, where it is another.
    """

    ask: Any
    there: Any
    source: str
    here: Any = SAME
    why: str = ""
    batched: Any = SAME

    def expected(self, batching: bool) -> Any:
        """Our answer."""
        if batching and self.batched is not SAME:
            return self.batched
        return self.there if self.here is SAME else self.here
