"""Requests and files that are wrong in some way, the same ones for the same seed."""

import gzip
import json
import random
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.framework.types_pb2 import DataType
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest
from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataRequest
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest
from tensorflow_serving.apis.inference_pb2 import MultiInferenceRequest
from tensorflow_serving.apis.input_pb2 import Input
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog
from tensorflow_serving.apis.regression_pb2 import RegressionRequest

SIGNATURES = (
    *("", "embed", "text", "echo", "halves", "reduce", "to_half", "other", "defaulted"),
    *("regress", "regress_wide", "classify", "classify_uneven", "echo_string", "echo_float32"),
    *("echo_int8", "echo_bool", "echo_uint64", "echo_complex64", "echo_bytes", "echo_uint16"),
    *("classify_given", "echo_float16"),
)
# Signatures with inputs that JSON can't carry, there and here: each input's, and whether it is integers.
NOT_CARRIED = {
    "halves": {"half": False, "brain": False},
    "echo_float16": {"x": False},
    "echo_complex64": {"x": False},
    "echo_uint16": {"x": True},
}
INPUTS = ("x", "id", "text", "flag", "int8", "half", "brain", "inputs", "y", "")
SIZES = (0, 1, 2, 3, 5, 100, 2**16, 2**26, 2**31, 2**40, 2**62, 2**63 - 1, -1, -(2**63))
FEW = (0, 1, 1, 2, 2, 2, 3)
NUMBERS = (
    *("0", "1", "-1", "2.5", "1e39", "1e400", "-1e400", "1e-400", "NaN", "Infinity", "-Infinity"),
    *("9" * 30, "1" + "0" * 400, "18446744073709551615", "-9223372036854775809", "01", "1."),
)
TOKENS = (
    *(b"[", b"]", b"{", b"}", b",", b":", b'"', b"null", b"true", b"\\u0000", b"\\ud800", b"\xff"),
    *(b"[[[[[[[[", b'{"b64": "', b"\x00", b"1e999", b" ", b"\\", b"\xef\xbb\xbf", b"[]," * 300),
)
PATHS = (
    *("/v1/models/ranker:predict", "/v1/models/ranker:regress", "/v1/models/ranker:classify"),
    *("/v1/models/ranker/versions/3:predict", "/v1/models/ranker", "/v1/models/ranker/metadata"),
)
EXAMPLE = {"features": {"feature": {"x0": tf.train.Feature(float_list={"value": [1.0]})}}}
LABEL = {"features": {"feature": {"label": tf.train.Feature(bytes_list={"value": [b"a\xff"]})}}}
DIRECTORIES = ("/nowhere", "", "\x00", "/\x00", "/" * 5_000, "/" + "a" * 5_000, "/proc/self/mem")
_ANSWERED = frozenset(
    {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED"}
)
_NOT_IMPLEMENTED = 501


@dataclass
class Rest:
    """A request to the REST API."""

    method: str
    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    chunked: bool = False

    def send(self, connection):
        """Send it over an http.client.HTTPConnection."""
        half = len(self.body) // 2
        pieces = iter([self.body[:half], self.body[half:]])
        body = pieces if self.chunked else self.body
        connection.request(self.method, self.path, body, self.headers)


def _is_well_formed(request):
    """Whether a request would be served if JSON could carry the dtypes of its signature's inputs."""
    try:
        return _fits(request)
    except (LookupError, TypeError, ValueError, OSError):
        return False


def _fits(request):
    body = request.body
    if "Content-Encoding" in request.headers:
        body = gzip.decompress(body)
    decoder = json.JSONDecoder(object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    text = body.decode("utf-8-sig", errors="surrogateescape").lstrip(" \t\r\n")
    document, _ = decoder.raw_decode(text)
    inputs = NOT_CARRIED[document["signature_name"]]
    if "inputs" in document:
        given = document["inputs"]
        columns = given if isinstance(given, dict) else dict.fromkeys(inputs, given)
    elif isinstance(document["instances"][0], dict):
        columns = {name: [row[name] for row in document["instances"]] for name in inputs}
    else:
        columns = dict.fromkeys(inputs, document["instances"])
    for name, integers in inputs.items():
        values = columns[name]
        while isinstance(values, list) and any(isinstance(item, list) for item in values):
            if len({len(item) if isinstance(item, list) else -1 for item in values}) > 1:
                return False
            values = [value for item in values for value in item]
        values = values if isinstance(values, list) else [values]
        if not all(type(value) in ((int,) if integers else (int, float)) for value in values):
            return False
    return True


def rest_problem(status, body, request):
    """What is wrong with an answer to a request that may be malformed; None where nothing is."""
    if status >= 500 and not (status == _NOT_IMPLEMENTED and _is_well_formed(request)):
        return f"{status}: {body[:200]!r}"
    try:
        answer = json.loads(body)
    except ValueError:
        return f"{status} without JSON: {body[:200]!r}"
    if status != 200 and not (answer.get("error") and "\n" not in answer["error"]):
        return f"{status} without one line: {body[:200]!r}"
    return None


def grpc_problem(code, details, method):
    """What is wrong with an answer to a request that may be malformed; None where nothing is.

    As in TensorFlow Serving, a task of MultiInference may be neither a classification nor a regression.
    """
    unimplemented = (code, method) == ("UNIMPLEMENTED", "MultiInference")
    if code not in _ANSWERED and not unimplemented:
        return f"{code}: {details[:200]}"
    if code != "OK" and (not details or "\n" in details):
        return f"{code} without one line: {details[:200]!r}"
    return None


class Fuzzer:
    """Makes requests and files; each call makes the next."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def rest(self):
        """A request whose path, headers, bytes or structure are wrong."""
        path = self.random.choice(PATHS[:3])
        method = "POST"
        if self.random.random() < 0.1:
            method = self.random.choice(["GET", "POST", "PUT", "DELETE", "OPTIONS"])
            path = self._path()
        body = json.dumps(self._document()) if self.random.random() < 0.5 else self._text()
        body = body.encode(errors="surrogatepass")
        if self.random.random() < 0.4:
            body = self.mutated(body)
        headers = {}
        if self.random.random() < 0.05:
            headers["Content-Encoding"] = "gzip"
            packed = gzip.compress(body, mtime=0)
            many = gzip.compress(b"", mtime=0) * 50 + packed
            body = self.random.choice(
                [packed, many, self.mutated(packed), self.mutated(many), body]
            )
        return Rest(method, path, body, headers, self.random.random() < 0.05)

    def grpc(self):
        """Service, method and message of a call whose bytes, shapes or types are wrong."""
        make = self.random.choice(
            [self._predict] * 6
            + [self._records, self._several, self._metadata, self._status, self._reload]
        )
        service, method, message = make()
        data = message.SerializeToString()
        if self.random.random() < 0.3 and method != "HandleReloadConfigRequest":
            data = self.mutated(data)
        return service, method, data

    def warmup(self, file):
        """Writes a file of warm-up requests."""
        with tf.io.TFRecordWriter(str(file)) as writer:
            for _ in range(self.random.choice(FEW)):
                log = PredictionLog()
                kind = self.random.choice(["predict"] * 6 + ["classify", "regress", "several"])
                if kind == "predict":
                    log.predict_log.request.CopyFrom(self._predict()[2])
                elif kind == "several":
                    log.multi_inference_log.request.CopyFrom(self._several()[2])
                else:
                    request = getattr(log, f"{kind}_log").request
                    request.model_spec.CopyFrom(ModelSpec(**self._spec()))
                    request.input.CopyFrom(self._input())
                data = log.SerializeToString()
                writer.write(self.mutated(data) if self.random.random() < 0.5 else data)
        if self.random.random() < 0.3:
            file.write_bytes(self.mutated(file.read_bytes()))

    def mutated(self, data):
        """The bytes with a few changes."""
        data = bytearray(data)
        for _ in range(self.random.choice(FEW) + 1):
            at = self.random.randrange(len(data) + 1)
            change = self.random.randrange(5)
            if change == 0 and data:
                data[at % len(data)] = self.random.randrange(256)
            elif change == 1:
                del data[at : at + self.random.choice([1, 2, 8, 1_000])]
            elif change == 2:
                data[at:at] = self.random.choice(TOKENS)
            elif change == 3:
                data[at:at] = data[at : at + self.random.choice([1, 8, 64])]
            elif data:
                data[at % len(data)] ^= 1 << self.random.randrange(8)
        return bytes(data)

    def _path(self):
        path = self.random.choice(PATHS)
        for _ in range(self.random.choice(FEW)):
            at = self.random.randrange(len(path) + 1)
            part = self.random.choice(["/", ":", "%2F", "%ff", "..", "?a", "versions/9", "A", "%"])
            path = path[:at] + part + path[at:]
        return path

    def _document(self):
        keys = ("instances", "inputs", "examples", "context", "signature_name")
        found = {
            key: self._value(3) for key in self.random.sample(keys, self.random.choice((1, 1, 2)))
        }
        if self.random.random() < 0.7:
            found["signature_name"] = self.random.choice(SIGNATURES)
        return found

    def _value(self, depth):
        kind = self.random.randrange(9 if depth else 6)
        if kind == 0:
            return None
        if kind == 1:
            return self.random.choice([True, False])
        if kind == 2:
            return self.random.choice([0, 1, -1, 300, 2**31, 2**63, 2**64, -(2**63)])
        if kind == 3:
            return self.random.choice([0.5, 1e39, -1e308, float("nan"), float("inf")])
        if kind == 4:
            return self.random.choice(["", "a", "\udcff", "\U0001f600", "1.5", "x" * 100])
        if kind == 5:
            return {"b64": self.random.choice(["YQ==", "YQ", "Y", "!", "", 1])}
        if kind == 6:
            return {
                self.random.choice([*INPUTS, "x0", "label", "b64"]): self._value(depth - 1)
                for _ in range(self.random.choice(FEW))
            }
        inner = self._value(depth - 1)
        count = self.random.choice((0, 1, 2, 3, 50))
        return [
            inner if self.random.random() < 0.9 else self._value(depth - 1) for _ in range(count)
        ]

    def _text(self):
        """A document with numbers and nesting that json.dumps would not write."""
        numbers = ", ".join(self.random.choice(NUMBERS) for _ in range(self.random.choice(FEW)))
        depth = self.random.choice((1, 1, 2, 3, 40, 900, 1_100, 20_000))
        nested = "[" * depth + numbers + "]" * (depth - self.random.choice((0, 0, 0, 1)))
        name = self.random.choice(SIGNATURES)
        key = self.random.choice(("instances", "inputs", "examples"))
        return f'{{"signature_name": "{name}", "{key}": {nested}}}'

    def _spec(self):
        spec = {"name": self.random.choice(["ranker"] * 9 + ["other", "", "\x00"])}
        spec["signature_name"] = self.random.choice(SIGNATURES)
        if self.random.random() < 0.1:
            spec["version"] = {"value": self.random.choice([3, 4, -1, 2**63 - 1])}
        elif self.random.random() < 0.1:
            spec["version_label"] = self.random.choice(["stable", "", "\x00"])
        return spec

    def _tensor(self):
        if self.random.random() < 0.3:
            shape = [self.random.choice(FEW) for _ in range(self.random.choice(FEW))]
            dtype = self.random.choice(["float32", "int64", "bool", "int8", "complex64"])
            return tf.make_tensor_proto(np.zeros(shape, dtype))
        rank = self.random.choice((0, 1, 1, 1, 2, 2, 3, 300))
        sizes = [
            self.random.choice(SIZES if self.random.random() < 0.4 else FEW) for _ in range(rank)
        ]
        count = self.random.choice((0, 0, 1, 1, 2, 4, 100))
        fields = {
            "float_val": [0.5] * count,
            "double_val": [0.5] * count,
            "int_val": [self.random.choice([0, 1, -1, 300, 2**31 - 1])] * count,
            "half_val": [self.random.choice([0, 1, 2**16, -1])] * count,
            "int64_val": [self.random.choice([0, 1, 99, -(2**63)])] * count,
            "uint32_val": [2**32 - 1] * count,
            "uint64_val": [2**64 - 1] * count,
            "bool_val": [True] * count,
            "string_val": [self.random.choice([b"", b"a", b"\xff", bytes(50_000)])] * count,
            "scomplex_val": [1.0] * count,
            "dcomplex_val": [1.0] * count,
        }
        chosen = self.random.sample(sorted(fields), self.random.choice((0, 1, 2, 11)))
        proto = TensorProto(**{name: fields[name] for name in chosen})
        # Unknown numbers are kept as they come: the field is open.
        proto.dtype = self.random.choice([*DataType.values(), 999, -1, 2**31 - 1])
        for size in sizes:
            proto.tensor_shape.dim.add(size=size)
        proto.tensor_shape.unknown_rank = self.random.random() < 0.05
        if self.random.random() < 0.2:
            proto.tensor_content = self.random.randbytes(self.random.choice((1, 4, 8, 64)))
        return proto

    def _predict(self):
        names = self.random.sample(INPUTS, self.random.choice((0, 1, 1, 1, 2, 7)))
        request = PredictRequest(
            model_spec=self._spec(),
            inputs={name: self._tensor() for name in names},
            output_filter=self.random.sample(
                ["score", "y", "sum", "sum", ""], self.random.choice(FEW)
            ),
        )
        return "PredictionService", "Predict", request

    def _input(self):
        examples = [
            self.random.choice([{}, EXAMPLE, LABEL]) for _ in range(self.random.choice(FEW))
        ]
        if self.random.random() < 0.3:
            return Input(example_list_with_context={"context": EXAMPLE, "examples": examples})
        return Input(example_list={"examples": examples})

    def _records(self):
        method = self.random.choice(["Classify", "Regress"])
        kind = ClassificationRequest if method == "Classify" else RegressionRequest
        return "PredictionService", method, kind(model_spec=self._spec(), input=self._input())

    def _several(self):
        request = MultiInferenceRequest(input=self._input())
        for _ in range(self.random.choice(FEW)):
            method = self.random.choice(["regress", "classify", "predict", ""])
            request.tasks.add(model_spec=self._spec(), method_name=f"tensorflow/serving/{method}")
        return "PredictionService", "MultiInference", request

    def _metadata(self):
        fields = self.random.sample(
            ["signature_def", "weights", ""], self.random.choice((0, 1, 1, 2))
        )
        request = GetModelMetadataRequest(model_spec=self._spec(), metadata_field=fields)
        return "PredictionService", "GetModelMetadata", request

    def _status(self):
        return "ModelService", "GetModelStatus", GetModelStatusRequest(model_spec=self._spec())

    def _reload(self):
        """Never one that could be taken over."""
        request = ReloadConfigRequest()
        listed = request.config.model_config_list
        for _ in range(self.random.choice(FEW) + 1):
            config = listed.config.add(
                name=self.random.choice(["other", "ranker", "a", "", "a/b"]),
                base_path=self.random.choice(DIRECTORIES),
                model_platform=self.random.choice(["tensorflow"] * 3 + ["", "other"]),
                model_type=self.random.choice([0] * 4 + [1, 2, 999, -1]),
                version_labels={"stable": self.random.choice([3, -1])},
            )
            policy = config.model_version_policy
            if self.random.random() < 0.3:
                policy.specific.versions.extend(
                    [self.random.choice([3, -1])] * self.random.choice(FEW)
                )
                policy.specific.SetInParent()
        return "ModelService", "HandleReloadConfigRequest", request
