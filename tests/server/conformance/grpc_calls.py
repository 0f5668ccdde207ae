"""gRPC requests: a method and a message or bytes, and the code or what the answer holds."""

import numpy as np
import tensorflow as tf
from server.conformance.table import (
    BATCHING,
    BATCHING_UTIL,
    CLASSIFY,
    CORE,
    EXECUTOR,
    GRPC,
    KINDER,
    METADATA,
    MISSING,
    PREDICT,
    PREDICT_IMPL,
    PREDICT_TEST,
    REGRESS,
    RELOAD,
    SAVED_MODEL,
    SESSION,
    SEVERAL,
    SEVERAL_HELPER,
    STATUS,
    TENSOR,
    UTIL,
    Case,
)
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest
from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataRequest
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest
from tensorflow_serving.apis.inference_pb2 import MultiInferenceRequest
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.regression_pb2 import RegressionRequest

OK, INVALID, NOT_FOUND = "OK", "INVALID_ARGUMENT", "NOT_FOUND"
PRECONDITION, UNIMPLEMENTED, INTERNAL = "FAILED_PRECONDITION", "UNIMPLEMENTED", "INTERNAL"
X = np.zeros((1, 2), np.float32)
HALF = {"score": [0.5]}


def spec(name="ranker", signature="", version=None, label=None):
    made = {"name": name, "signature_name": signature}
    if version is not None:
        made["version"] = {"value": version}
    if label is not None:
        made["version_label"] = label
    return made


def predict(inputs, there, source=PREDICT, outputs=(), here=None, why="", batched=None, **model):
    tensors = {
        name: value if isinstance(value, TensorProto) else tf.make_tensor_proto(value)
        for name, value in inputs.items()
    }
    request = PredictRequest(model_spec=spec(**model), inputs=tensors, output_filter=outputs)
    return made(("Predict", request), there, source, here, why, batched)


def made(ask, there, source, here=None, why="", batched=None):
    given = {"here": here, "batched": batched}
    return Case(ask, there, source, why=why, **{k: v for k, v in given.items() if v is not None})


def tensor(dtype, shape, **values):
    dims = {"dim": [{"size": size} for size in shape]}
    return TensorProto(dtype=tf.as_dtype(dtype).as_datatype_enum, tensor_shape=dims, **values)


def echoed(dtype, shape, there, source=TENSOR, here=None, why="", batched=None, **values):
    """A tensor on the signature that gives it back."""
    proto = tensor(dtype, shape, **values)
    return predict({"x": proto}, there, source, (), here, why, batched, signature=f"echo_{dtype}")


def y(*values):
    return {"y": list(values)}


MODELS = [
    predict({"x": X}, HALF, PREDICT_TEST),
    predict({"x": X}, HALF, PREDICT, version=3),
    predict({"x": X}, HALF, CORE, label="stable"),
    predict({"x": X}, HALF, PREDICT, signature="serving_default"),
    predict({"x": X}, NOT_FOUND, CORE, name="other"),
    predict({"x": X}, NOT_FOUND, CORE, version=4),
    predict({"x": X}, NOT_FOUND, CORE, version=-1),
    predict({"x": X}, INVALID, CORE, name=""),
    predict({"x": X}, INVALID, CORE, label="canary"),
    predict({"x": X}, INVALID, CORE, label=""),
    predict({"x": X}, INVALID, CORE, name="other", label="stable"),
    predict({"x": X}, PRECONDITION, PREDICT, signature="other"),
    predict({}, PRECONDITION, PREDICT, signature="other"),
    predict(
        {}, INTERNAL, PREDICT, here=PRECONDITION, why=KINDER, signature="__saved_model_init_op"
    ),
    made(("Predict", PredictRequest()), INVALID, PREDICT_IMPL),
    made(("Predict", b"\xff\xff"), INTERNAL, GRPC, INVALID, KINDER),
    made(("Predict", b"\x0a\x05"), INTERNAL, GRPC, INVALID, KINDER),
]

INPUTS = [
    predict({}, INVALID, PREDICT_TEST),
    predict({"y": X}, INVALID, PREDICT_TEST),
    predict({"x": X, "y": X}, INVALID, PREDICT_TEST),
    predict({"id": np.array([1])}, INVALID, PREDICT, signature="embed"),
    predict({}, HALF, SAVED_MODEL, signature="defaulted"),
    predict({"x": X}, HALF, SAVED_MODEL, signature="defaulted"),
    predict({"y": X}, INVALID, SAVED_MODEL, signature="defaulted"),
    predict({"x": X, "y": X}, INVALID, PREDICT, signature="defaulted"),
    predict({"x": X.astype(np.float64)}, INVALID, SESSION),
    predict({"x": X.astype(np.int32)}, INVALID, SESSION),
    predict({"x": np.array([[b"a", b"b"]], object)}, INVALID, SESSION),
    predict({"x": np.zeros((1, 3), np.float32)}, INVALID, SESSION),
    predict({"x": np.zeros(2, np.float32)}, INVALID, SESSION),
    predict({"x": np.float32(0)}, INVALID, SESSION),
    predict({"x": np.zeros((0, 2), np.float32)}, {"score": []}, PREDICT),
    predict({"x": np.zeros((16, 2), np.float32)}, {"score": [0.5] * 16}, EXECUTOR),
    predict({"x": np.zeros((17, 2), np.float32)}, {"score": [0.5] * 17}, EXECUTOR, batched=INVALID),
    predict({"x": X}, HALF, PREDICT_TEST, ["score"]),
    predict({"x": X}, INVALID, PREDICT_TEST, ["x"]),
    predict({"x": X}, INVALID, PREDICT_TEST, [""]),
    predict({"x": X}, INVALID, PREDICT_TEST, ["score", "score"]),
    predict({"x": X}, INVALID, PREDICT, ["score", "nothing"]),
    predict(
        {"id": np.array([4]), "x": X}, {"sum": [5.5714283]}, PREDICT, ["sum"], signature="embed"
    ),
    predict({"id": np.array([99]), "x": X}, INVALID, SESSION, signature="embed"),
    predict({"id": np.array([4, 5]), "x": X}, OK, SESSION, batched=INVALID, signature="embed"),
    predict(
        {"x": np.float32([1, 2])},
        {"sum": 3.0, "same": [1.0, 2.0]},
        PREDICT,
        batched=PRECONDITION,
        signature="reduce",
    ),
    predict(
        {"x": np.float32([1, 2])}, {"same": [1.0, 2.0]}, BATCHING, ["same"], signature="reduce"
    ),
    predict(
        {"steps": np.int32(0)}, {"trace": 200.0}, BATCHING_UTIL, batched=INVALID, signature="slow"
    ),
    predict({"inputs": np.array([b""], object)}, {"outputs": [0.5]}, PREDICT, signature="regress"),
    predict({"inputs": np.array([b"no record"], object)}, INVALID, SESSION, signature="regress"),
]

FIELDS = [
    ("float32", {"float_val": [1, 2]}, [1.0, 2.0]),
    ("float64", {"double_val": [1, 2]}, [1.0, 2.0]),
    ("float16", {"half_val": [0x3C00, 0x4000]}, [1.0, 2.0]),
    ("bfloat16", {"half_val": [0x3F80, 0x4000]}, [1.0, 2.0]),
    ("int8", {"int_val": [1, -2]}, [1, -2]),
    ("int16", {"int_val": [1, -2]}, [1, -2]),
    ("int32", {"int_val": [1, -2]}, [1, -2]),
    ("int64", {"int64_val": [1, -2]}, [1, -2]),
    ("uint8", {"int_val": [1, 2]}, [1, 2]),
    ("uint16", {"int_val": [1, 2]}, [1, 2]),
    ("uint32", {"uint32_val": [1, 2]}, [1, 2]),
    ("uint64", {"uint64_val": [1, 2]}, [1, 2]),
    ("bool", {"bool_val": [True, False]}, [True, False]),
    ("string", {"string_val": [b"a", b"\xff"]}, [b"a", b"\xff"]),
    ("complex64", {"scomplex_val": [1, 2, 3, 4]}, [1 + 2j, 3 + 4j]),
]
ZERO = {"bool": False, "string": b"", "complex64": 0j}

TENSORS = (
    [echoed(dtype, [2], y(*values), **given) for dtype, given, values in FIELDS]
    + [
        echoed(
            dtype,
            [3],
            y(values[0], *[values[-1]] * 2),
            **given,
        )
        for dtype, given, values in FIELDS
    ]
    + [echoed(dtype, [2], y(*[ZERO.get(dtype, 0)] * 2)) for dtype, _, _ in FIELDS]
    + [echoed(dtype, [0], y()) for dtype, _, _ in FIELDS]
    + [
        echoed(
            dtype,
            [2],
            y(*np.array([1, 2], tf.as_dtype(dtype).as_numpy_dtype).tolist()),
            tensor_content=np.array([1, 2], tf.as_dtype(dtype).as_numpy_dtype).tobytes(),
        )
        for dtype, _, _ in FIELDS
        if dtype not in ("string", "bool")
    ]
    + [
        echoed("float32", [2], INVALID, tensor_content=b"1234567"),
        echoed("float32", [2], INVALID, tensor_content=b"123456789"),
        echoed(
            "string", [2], y(b"a", b"bc"), tensor_content=b"\x01\x02abc", here=INVALID, why=MISSING
        ),
        echoed("float32", [1], y(1.0), float_val=[1, 2], here=INVALID, why=KINDER),
        echoed("float32", [], {"y": 1.0}, float_val=[1], batched=INVALID),
        echoed("float32", [1, 1, 2], {"y": [[[1.0, 2.0]]]}, float_val=[1, 2]),
        echoed("float32", [2, 0], {"y": [[], []]}),
        echoed("float32", [-1], INVALID, float_val=[1]),
        echoed("float32", [2**62, 2**62], INVALID, float_val=[1]),
        echoed("float32", [2**40, 2], INVALID, float_val=[1], source=SESSION),
        echoed("string", [2**40], INVALID, source=SESSION),
        echoed("int8", [1], {"y": [44]}, int_val=[300], here=INVALID, why=KINDER),
        echoed("uint8", [1], {"y": [255]}, int_val=[-1], here=INVALID, why=KINDER),
        echoed("float32", [1], y(0.0), int_val=[3]),
    ]
    + [
        predict({"x": proto}, INVALID, TENSOR, signature="echo_float32")
        for proto in (
            TensorProto(),
            TensorProto(dtype=1, tensor_shape={"unknown_rank": True}, float_val=[1]),
            TensorProto(dtype=999, tensor_shape={"dim": [{"size": 1}]}),
            tensor("float32", [1] * 300, float_val=[1]),
            tensor("variant", [1]),
            tensor("resource", [1]),
            TensorProto(dtype=101, tensor_shape={"dim": [{"size": 1}]}, float_val=[1]),
        )
    ]
)

EMPTY = {"example_list": {"examples": [{}]}}
TWICE = {"example_list": {"examples": [{}, {}]}}
# Before protobuf 6 a map takes messages alone, not what they are made of.
LABEL = {"features": {"feature": {"label": tf.train.Feature(bytes_list={"value": [b"\xff"]})}}}
SHARED = {"example_list_with_context": {"context": {}, "examples": [{}, {}]}}


def classify(signature, there, source=CLASSIFY, given=EMPTY, batched=None, **model):
    request = ClassificationRequest(model_spec=spec(signature=signature, **model), input=given)
    return made(("Classify", request), there, source, batched=batched)


def regress(signature, there, source=REGRESS, given=EMPTY, batched=None, **model):
    request = RegressionRequest(model_spec=spec(signature=signature, **model), input=given)
    return made(("Regress", request), there, source, batched=batched)


def several(*tasks, there, source=SEVERAL, given=EMPTY):
    request = MultiInferenceRequest(input=given)
    for name, signature, method in tasks:
        request.tasks.add(
            model_spec=spec(name, signature), method_name=f"tensorflow/serving/{method}"
        )
    return made(("MultiInference", request), there, source)


BOTH = [("no", 0.5), ("yes", 0.5)]
R, C = ("ranker", "regress", "regress"), ("ranker", "classify", "classify")

RECORDS = [
    classify("classify", [BOTH]),
    classify("classify", [BOTH, BOTH], UTIL, TWICE),
    classify("classify", [BOTH, BOTH], UTIL, SHARED),
    classify("classify_scores", [[("", 0.5), ("", 0.5)]]),
    classify("classify_labels", [[("no", 0.0), ("yes", 0.0)]]),
    classify("", INVALID),
    classify("nothing", INVALID),
    classify("regress", INVALID),
    classify("classify_three", INVALID),
    classify("classify_other", INVALID),
    classify("classify_flat", INVALID),
    classify("classify_double", INVALID),
    classify("classify_numbers", INVALID),
    classify("classify_uneven", INVALID),
    classify("classify_first", INVALID, CLASSIFY, TWICE, batched=PRECONDITION),
    classify("classify", INVALID, UTIL, {}),
    classify("classify", INVALID, UTIL, {"example_list": {}}),
    classify("classify", NOT_FOUND, CORE, name="other"),
    classify("classify", NOT_FOUND, CORE, version=4),
    classify("classify", INVALID, CORE, label="canary"),
    classify("classify", [BOTH], CORE, label="stable"),
    made(
        ("Classify", ClassificationRequest()),
        INVALID,
        "servables/tensorflow/classification_service.cc",
    ),
    regress("regress", [0.5]),
    regress("regress", [0.5, 0.5], UTIL, SHARED),
    regress("regress_column", [0.5]),
    regress("", INVALID),
    regress("nothing", INVALID),
    regress("classify", INVALID),
    regress("regress_two", INVALID),
    regress("regress_other", INVALID),
    regress("regress_records", INVALID),
    regress("regress_wide", INVALID),
    regress("regress_double", INVALID),
    regress("regress_first", INVALID, REGRESS, TWICE, batched=PRECONDITION),
    regress("regress", INVALID, UTIL, {}),
    regress("regress", NOT_FOUND, CORE, name="other"),
    regress("regress", INVALID, CORE, name=""),
    made(("Regress", RegressionRequest()), INVALID, "servables/tensorflow/regression_service.cc"),
    Case(
        (
            "Classify",
            ClassificationRequest(
                model_spec=spec(signature="classify_given"),
                input={"example_list": {"examples": [LABEL]}},
            ),
        ),
        [[("\ufffd", 0.0)]],
        CLASSIFY,
        INVALID,
        KINDER,
    ),
    several(R, C, there=[[0.5], [BOTH]]),
    several(C, R, there=[[BOTH], [0.5]]),
    several(R, there=[[0.5, 0.5]], given=TWICE),
    several(there=INVALID, source=SEVERAL_HELPER),
    several(R, R, there=INVALID),
    several(R, ("other", "classify", "classify"), there=INVALID),
    several(("", "regress", "regress"), there=INVALID),
    several(("other", "regress", "regress"), there=NOT_FOUND, source=CORE),
    several(("ranker", "nothing", "regress"), there=INVALID),
    several(("ranker", "", "regress"), there=INVALID),
    several(("ranker", "classify", "regress"), there=INVALID),
    several(("ranker", "serving_default", "predict"), there=UNIMPLEMENTED),
    several(("ranker", "nothing", "predict"), there=INVALID),
    several(("ranker", "classify", "regress"), ("ranker", "regress", "predict"), there=INVALID),
    several(R, ("ranker", "classify", "predict"), there=UNIMPLEMENTED),
    several(R, ("ranker", "classify_three", "classify"), there=INVALID),
    several(R, there=INVALID, source=UTIL, given={}),
]


def metadata(there, source=METADATA, fields=("signature_def",), **model):
    request = GetModelMetadataRequest(model_spec=spec(**model), metadata_field=fields)
    return made(("GetModelMetadata", request), there, source)


def status(there, source=STATUS, **model):
    return made(("GetModelStatus", GetModelStatusRequest(model_spec=spec(**model))), there, source)


def reload(there, source=CORE, here=None, why="", **config):
    """A configuration that is refused, so that the next row finds the server as it was."""
    request = ReloadConfigRequest(config=config)
    return made(("HandleReloadConfigRequest", request), there, source, here, why)


def listed(*configs):
    return {"config": [{"model_platform": "tensorflow", **config} for config in configs]}


OTHER = {"name": "other", "base_path": "/nowhere/at/all"}

ABOUT = [
    metadata(OK),
    metadata(OK, version=3),
    metadata(OK, CORE, label="stable"),
    metadata(OK, fields=["signature_def", "signature_def"]),
    metadata(INVALID, fields=[]),
    metadata(INVALID, fields=["weights"]),
    metadata(INVALID, fields=["signature_def", "weights"]),
    metadata(NOT_FOUND, CORE, name="other"),
    metadata(NOT_FOUND, CORE, version=4),
    metadata(INVALID, CORE, name=""),
    metadata(INVALID, CORE, label="canary"),
    made(("GetModelMetadata", GetModelMetadataRequest()), INVALID, METADATA),
    status({3: "AVAILABLE"}),
    status({3: "AVAILABLE"}, version=3),
    status({3: "AVAILABLE"}, label="stable"),
    status({3: "AVAILABLE"}, label="canary"),
    status(NOT_FOUND, version=4),
    status(NOT_FOUND, name="other"),
    status(NOT_FOUND, name=""),
    made(("GetModelStatus", GetModelStatusRequest()), INVALID, STATUS),
    made(("GetModelStatus", b"\xff"), INTERNAL, GRPC, INVALID, KINDER),
    reload(INVALID, RELOAD),
    reload(INVALID, RELOAD, custom_model_config={}),
    reload(INVALID, model_config_list=listed(OTHER, OTHER)),
    reload(INVALID, model_config_list=listed({**OTHER, "base_path": "nowhere"})),
    reload(INVALID, model_config_list=listed({**OTHER, "model_platform": ""})),
    reload(INVALID, model_config_list=listed({**OTHER, "model_platform": "other"})),
    reload(INVALID, model_config_list=listed({**OTHER, "model_type": 1})),
    reload("it waits", model_config_list=listed(OTHER), here=INVALID, why=KINDER),
    made(
        ("HandleReloadConfigRequest", ReloadConfigRequest(metric_names=["a"])),
        INVALID,
        RELOAD,
        UNIMPLEMENTED,
        MISSING,
    ),
    made(("SessionRun", b""), "in some builds", GRPC, UNIMPLEMENTED, MISSING),
]

CASES = MODELS + INPUTS + TENSORS + RECORDS + ABOUT
