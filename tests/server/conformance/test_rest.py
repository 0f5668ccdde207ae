"""The REST rows of the table, over a real server, with batching and without."""

import json
import re

import numpy as np
import pytest
from server.conformance import rest_predict, rest_routes
from server.conformance.table import SAME


def shortened(case):
    return str(case.ask)[:70].replace("[", "(").replace("]", ")")


def same(found, expected):
    """Whether two documents are the same; of a float32 any digits that are read back as it will do."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[k], expected[k]) for k in found)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, float) and isinstance(found, float):
        with np.errstate(over="ignore"):
            narrow = np.float32(found), np.float32(expected)
        return found == expected or np.isnan(narrow).all() or bool(narrow[0] == narrow[1])
    return type(found) is type(expected) and found == expected


def check(response, expected):
    if isinstance(expected, int):
        assert response.status_code == expected, response.text
        assert expected == 200 or response.json().keys() == {"error"}
    else:
        assert response.status_code == 200, response.text
        assert same(response.json(), expected), response.text


def with_signature(name, body):
    """The body, with the signature's name in front."""
    body = body if isinstance(body, bytes) else body.encode()
    if name is None:
        return body
    named = json.dumps({"signature_name": name}).encode()[:-1]
    return re.sub(rb"\{(?=\s*[^\s}])", lambda _: named + b", ", body, count=1)


@pytest.mark.parametrize("case", rest_predict.CASES, ids=shortened)
def test_predict(case, batching, http):
    response = http("POST", "/v1/models/ranker:predict", data=with_signature(*case.ask))
    check(response, case.expected(batching))


@pytest.mark.parametrize("case", rest_routes.CASES, ids=shortened)
def test_routes(case, batching, http):
    method, path, options = case.ask
    response = http(method, path, **options)
    expected = case.expected(batching)
    if callable(expected):
        assert response.status_code == 200
        assert expected(response.json())
    elif method in ("OPTIONS", "HEAD"):
        assert response.status_code == expected
    else:
        check(response, expected)


def test_what_differs_is_marked_and_nothing_else_is():
    for case in rest_predict.CASES + rest_routes.CASES:
        assert (case.here is not SAME) == bool(case.why), case
        assert case.source
