"""Paths, as TensorFlow Serving matches them."""

import pytest

from tfnorm.errors import InputError
from tfnorm.server.rest.routes import find

RESERVED = "modelname%21%23%24%25%26%27%28%29%2A%2B%2C%2F%3A%3B%3D%3F%40%5B%5D"
DECODED = "modelname!#$%&'()*+,/:;=?@[]"


@pytest.mark.parametrize(
    ("http_method", "path", "method", "name", "version", "label"),
    [
        ("POST", "/v1/models/a:predict", "predict", "a", None, ""),
        ("POST", "/V1/Models/a:regress", "regress", "a", None, ""),
        ("POST", "/v1/models/a/versions/12:classify", "classify", "a", 12, ""),
        ("POST", "/v1/models/a/versions/0012:predict", "predict", "a", 12, ""),
        ("POST", "/v1/models/a/labels/b%2Fc:predict", "predict", "a", None, "b/c"),
        ("POST", f"/v1/models/{RESERVED}:predict", "predict", DECODED, None, ""),
        ("GET", "/v1/models/a", "status", "a", None, ""),
        ("GET", "/v1/models/a/versions/9223372036854775807", "status", "a", 2**63 - 1, ""),
        ("GET", "/v1/models/a/metadata", "metadata", "a", None, ""),
        ("GET", "/v1/models/a/METADATA", "status", "a", None, ""),
        ("GET", "/v1/models/a/labels/b/metadata", "metadata", "a", None, "b"),
        ("GET", "/v1/models/a?b=c", "status", "a?b=c", None, ""),
        ("GET", "/v1/models/%ff", "status", "\ufffd", None, ""),
    ],
)
def test_a_path_names_a_method_a_model_and_a_version(
    http_method, path, method, name, version, label
):
    route = find(http_method, path)
    assert (route.method, route.spec.name, route.spec.version_label) == (method, name, label)
    assert (route.spec.version.value if route.spec.HasField("version") else None) == version


@pytest.mark.parametrize(
    ("http_method", "path", "reason"),
    [
        ("GET", "/v1/foo", "Malformed request: GET /v1/foo"),
        ("POST", "/v1/models", "Malformed request"),
        ("GET", "/v1/models", "Missing model name"),
        ("GET", "/v1/models/debug/model_name", "Malformed request"),
        ("GET", "/v1/models/foo:predict", "Malformed request"),
        ("POST", "/v1/models/foo/version/50:regress", "Malformed request"),
        ("POST", "/v1/models/foo/versions/HELLO:regress", "Malformed request"),
        (
            "POST",
            "/v1/models/foo/versions/18446744073709551615:regress",
            "Failed to convert version",
        ),
        ("POST", f"/v1/models/foo/versions/{'9' * 5_000}:regress", "Failed to convert version"),
        ("POST", "/v1/models/foo/metadata", "Malformed request"),
        ("POST", "/v1/models/foo/versions/50/labels/some_label:regress", "Malformed request"),
        ("POST", "/v1/models/foo%3Apredict", "Malformed request"),
        ("POST", "/v1/models/foo:PREDICT", "Malformed request"),
        ("POST", "/v1/models/foo:predict?a=b", "Malformed request"),
        ("POST", "/v1/models/foo:predict\n", "Malformed request"),
        ("POST", "/v1/models/foo/versions/\u0663:predict", "Malformed request"),
        ("PUT", "/v1/models/foo:predict", "Malformed request"),
    ],
)
def test_a_path_that_is_none_is_refused(http_method, path, reason):
    with pytest.raises(InputError, match=reason):
        find(http_method, path)
