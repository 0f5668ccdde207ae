"""Every other REST request: a method, a path, and what answers; :classify and :regress, status, metadata."""

import gzip
import json

from server.conformance.table import (
    CLASSIFY,
    CORE,
    EVHTTP,
    EVHTTP_SERVER,
    GZIP,
    HANDLER,
    HANDLER_TEST,
    HTTP,
    JSON,
    JSON_TEST,
    KINDER,
    METADATA,
    REGRESS,
    ROUTES,
    SESSION,
    STATUS,
    Case,
)

ZEROS = '{"instances": [[0, 0]]}'
HALF = {"predictions": [0.5]}
AVAILABLE = {
    "model_version_status": [
        {
            "version": "3",
            "state": "AVAILABLE",
            "status": {"error_code": "OK", "error_message": ""},
        }
    ]
}


def get(path, there, source=ROUTES, **more):
    return Case(("GET", path, {}), there, source, **more)


def post(path, there, source=ROUTES, body=ZEROS, headers=(), **more):
    body = body if isinstance(body, bytes) else body.encode()
    return Case(("POST", path, {"data": body, "headers": headers}), there, source, **more)


def other(method, there, source=HANDLER, headers=(), path="/v1/models/ranker", **more):
    return Case((method, path, {"headers": headers}), there, source, **more)


def is_metadata(found):
    signature = found["metadata"]["signature_def"]["signature_def"]["serving_default"]
    x = signature["inputs"]["x"]
    return (
        found["model_spec"] == {"name": "ranker", "version": "3", "signature_name": ""}
        and signature["method_name"] == "tensorflow/serving/predict"
        and x["dtype"] == "DT_FLOAT"
        and [dim["size"] for dim in x["tensor_shape"]["dim"]] == ["-1", "2"]
        and x["tensor_shape"]["unknown_rank"] is False
    )


GZIPPED = [("Content-Encoding", "gzip")]
HUGE = 2**64 - 1

PATHS = [
    post("/v1/models/ranker:predict", HALF, HANDLER_TEST),
    post("/V1/MODELS/ranker:predict", HALF),
    post("/v1/models/ranker/versions/3:predict", HALF, HANDLER_TEST),
    post("/v1/models/ranker/versions/003:predict", HALF),
    post("/v1/models/ranker/labels/stable:predict", HALF, HANDLER_TEST),
    post("/v1/models/%72anker:predict", HALF),
    post("/v1/models/ranker/labels/%73table:predict", HALF),
    post("/v1/models/RANKER:predict", 404, CORE),
    post("/v1/models/foo:predict", 404, HANDLER_TEST),
    post("/v1/models/foo/versions/50:predict", 404, HANDLER_TEST),
    post("/v1/models/ranker99:predict", 404, HANDLER_TEST),
    post("/v1/models/ranker/versions/4:predict", 404, CORE),
    post("/v1/models/ranker/labels/canary:predict", 400, HANDLER_TEST),
    post("/v1/models/foo/labels/stable:predict", 400, CORE),
    post(f"/v1/models/ranker/versions/{HUGE}:predict", 400, HANDLER_TEST),
    post(f"/v1/models/ranker/versions/{2**63}:predict", 400),
    post("/v1/models/ranker/versions/-1:predict", 400),
    post("/v1/models/ranker/versions/:predict", 400),
    post("/v1/models/ranker/versions/x:predict", 400, HANDLER_TEST),
    post("/v1/models/ranker/version/3:predict", 400, HANDLER_TEST),
    post("/v1/models/ranker/label/stable:predict", 400, HANDLER_TEST),
    post("/v1/models/ranker/versions/3/labels/stable:predict", 400, HANDLER_TEST),
    post("/v1/models/ranker:PREDICT", 400, HANDLER),
    post("/v1/models/ranker:predict/", 400),
    post("/v1/models/ranker:predict?a=b", 400, EVHTTP),
    post("/v1/models/ranker%3Apredict", 400),
    post("/v1/models/ran%2Fker:predict", 404, ROUTES),
    post("/v1/models/:predict", 400),
    post("/v1/models//ranker:predict", 400),
    post("/v1/models/ranker:score", 400),
    post("/v1/models/ranker", 400),
    post("/v1/models/ranker/metadata", 400, HANDLER_TEST),
    post("/v1/models", 400, HANDLER_TEST),
    post("/v1/foo", 400, HANDLER_TEST),
    post("/v2/models/ranker:predict", 404, EVHTTP_SERVER),
    post("/", 404, EVHTTP_SERVER),
    post("/v1", 404, HTTP),
    get("/v1/models/ranker", AVAILABLE, HANDLER_TEST),
    get("/v1/models/ranker/versions/3", AVAILABLE, HANDLER_TEST),
    get("/v1/models/ranker/labels/stable", AVAILABLE, HANDLER_TEST),
    get("/v1/models/ranker/labels/canary", AVAILABLE, STATUS),
    get("/v1/models/ranker/METADATA", AVAILABLE, HANDLER),
    get("/v1/models/ranker/versions/4", 404, STATUS),
    get("/v1/models/foo", 404, STATUS),
    get("/v1/models/foo/versions/3", 404, STATUS),
    get("/v1/models/ranker?a=b", 404, EVHTTP),
    get(f"/v1/models/ranker/versions/{HUGE}", 400),
    get("/v1/models", 400, HANDLER_TEST),
    get("/v1/models/metadata", 404, ROUTES),
    get("/v1/models/ranker/", 400),
    get("/v1/models/ranker/nothing", 400, HANDLER_TEST),
    get("/v1/models/ranker:predict", 400, HANDLER_TEST),
    get("/v1/foo", 400, HANDLER_TEST),
    get("/", 404, EVHTTP_SERVER),
    get("/index", 404, HANDLER_TEST),
    get("/v1/models/ranker/metadata", is_metadata, HANDLER_TEST),
    get("/v1/models/ranker/versions/3/metadata", is_metadata),
    get("/v1/models/ranker/labels/stable/metadata", is_metadata),
    get("/v1/models/ranker/labels/canary/metadata", 400, CORE),
    get("/v1/models/ranker/versions/4/metadata", 404, CORE),
    get("/v1/models/foo/metadata", 404, METADATA),
    other("PUT", 400),
    other("DELETE", 400),
    other("PATCH", 400),
    other("HEAD", 400),
    other("HEAD", 404, EVHTTP_SERVER, path="/"),
    other("OPTIONS", 200, HTTP, headers=[("Origin", "https://example.org")]),
    other("OPTIONS", 400, HTTP),
    other("OPTIONS", 400, HTTP, headers=[("Origin", "example.org")]),
]

BODIES = [
    post(
        "/v1/models/ranker:predict", HALF, EVHTTP, gzip.compress(ZEROS.encode(), mtime=0), GZIPPED
    ),
    post(
        "/v1/models/ranker:predict",
        HALF,
        EVHTTP,
        gzip.compress(ZEROS.encode(), mtime=0),
        [("Content-Encoding", "x-gzip, identity")],
    ),
    post(
        "/v1/models/ranker:predict",
        400,
        GZIP,
        gzip.compress(b"", mtime=0)
        + gzip.compress(ZEROS.encode(), mtime=0)
        + gzip.compress(b" ", mtime=0),
        GZIPPED,
        here=HALF,
        why=KINDER,
    ),
    post(
        "/v1/models/ranker:predict",
        400,
        EVHTTP,
        gzip.compress(ZEROS.encode(), mtime=0),
        [("Content-Encoding", "GZIP")],
        here=HALF,
        why=KINDER,
    ),
    post("/v1/models/ranker:predict", 400, EVHTTP, ZEROS, GZIPPED),
    post("/v1/models/ranker:predict", 400, EVHTTP, gzip.compress(ZEROS.encode(), mtime=0)),
    post("/v1/models/ranker:predict", HALF, EVHTTP, ZEROS, [("Content-Encoding", "br")]),
    post("/v1/models/ranker:predict", HALF, HTTP, ZEROS, [("Content-Type", "text/plain")]),
    post("/v1/models/foo:predict", 400, HANDLER, "{"),
    post("/v1/models/foo:regress", 400, HANDLER, "{}"),
]


def ask(method, signature, there, source, examples='[{"x0": 0, "x1": 0}]', more="", **others):
    """Records of a signature; those of floats are 0.0 in JSON, since 0 is an integer."""
    examples = examples.replace(": 0,", ": 0.0,").replace(": 0}", ": 0.0}")
    body = f'{{"signature_name": {json.dumps(signature)}, {more}"examples": {examples}}}'
    return post(f"/v1/models/ranker:{method}", there, source, body, **others)


def labels(*named):
    return {"results": [[list(one) for one in named]]}


RECORDS = [
    ask("regress", "regress", {"results": [0.5]}, HANDLER_TEST),
    ask("regress", "regress", {"results": [0.5, 0.5]}, HANDLER_TEST, "[{}, {}]"),
    ask("regress", "regress_column", {"results": [0.5]}, REGRESS),
    ask("regress", "regress", {"results": [0.5]}, JSON_TEST, "[{}]", '"context": {}, '),
    ask(
        "regress",
        "regress",
        {"results": [0.5]},
        JSON_TEST,
        '[{"x0": [0.0], "z": ["a", {"b64": "YQ=="}]}]',
    ),
    ask("regress", "regress", {"results": [0.5]}, JSON_TEST, '[{"z": [1, true, false]}]'),
    ask("regress", "regress", {"results": [0.5]}, JSON, '[{"x0": []}]'),
    ask("regress", "regress", {"results": [1.0]}, JSON_TEST, '[{"x0": Infinity}]'),
    ask("regress", "regress", 400, SESSION, '[{"x0": 1}]'),
    ask("regress", "regress", 400, SESSION, '[{"x0": "a"}]'),
    ask("regress", "regress", 400, SESSION, '[{"x0": [0.0, 0.0]}]'),
    ask("regress", "", 400, REGRESS),
    ask("regress", "nothing", 400, REGRESS),
    ask("regress", "classify", 400, REGRESS),
    ask("regress", "regress_two", 400, REGRESS),
    ask("regress", "regress_other", 400, REGRESS),
    ask("regress", "regress_records", 400, REGRESS),
    ask("regress", "regress_wide", 400, REGRESS),
    ask("regress", "regress_double", 400, REGRESS),
    ask("regress", "regress_first", {"results": [0.5]}, REGRESS, batched=400),
    ask("regress", "regress_first", 400, REGRESS, "[{}, {}]"),
    ask("regress", ["a"], 400, JSON_TEST),
    ask("regress", 5, 400, JSON_TEST),
    ask("classify", "classify", labels(("no", 0.5), ("yes", 0.5)), HANDLER_TEST),
    ask("classify", "classify_scores", labels(("", 0.5), ("", 0.5)), HANDLER_TEST),
    ask("classify", "classify_labels", labels(("no", 0.0), ("yes", 0.0)), CLASSIFY),
    ask("classify", "", 400, CLASSIFY),
    ask("classify", "nothing", 400, CLASSIFY),
    ask("classify", "regress", 400, CLASSIFY),
    ask("classify", "classify_three", 400, CLASSIFY),
    ask("classify", "classify_other", 400, CLASSIFY),
    ask("classify", "classify_flat", 400, CLASSIFY),
    ask("classify", "classify_double", 400, CLASSIFY),
    ask("classify", "classify_numbers", 400, CLASSIFY),
    ask("classify", "classify_first", 400, CLASSIFY, "[{}, {}]"),
    ask("classify", "classify_uneven", 400, CLASSIFY),
    ask("classify", "classify", 400, JSON, "[]"),
    ask("classify", "classify", 400, JSON_TEST, '{"x0": 0}'),
    ask("classify", "classify", 400, JSON_TEST, '[[{"x0": 0}]]'),
    ask("classify", "classify", 400, JSON, "[1]"),
    ask("classify", "classify", 400, JSON_TEST, "[{}]", '"context": [{}], '),
    ask("classify", "classify", 400, JSON_TEST, '[{"x": [10, null]}]'),
    ask("classify", "classify", 400, JSON_TEST, '[{"x": [10, 10.0]}]'),
    ask("classify", "classify", 400, JSON, '[{"x": [10, "a"]}]'),
    ask("classify", "classify", 400, JSON, '[{"x": ["a", true]}]'),
    ask("classify", "classify", 400, JSON, '[{"x": [1.5, {"b64": "YQ=="}]}]'),
    ask("classify", "classify", 400, JSON_TEST, '[{"x": [10, {"test": 10}]}]'),
    ask("classify", "classify", 400, JSON_TEST, '[{"x": [[10], 20]}]'),
    ask("classify", "classify", 400, JSON_TEST, '[{"x": [20, 18446744073709551603]}]'),
    ask("classify", "classify", 400, JSON, '[{"x": {"b64": "Y"}}]'),
    post("/v1/models/ranker:classify", 400, JSON, '{"signature_name": "classify"}'),
    post("/v1/models/foo:classify", 404, CORE, '{"examples": [{}]}'),
    post("/v1/models/ranker/labels/canary:regress", 400, CORE, '{"examples": [{}]}'),
]

CASES = PATHS + BODIES + RECORDS
