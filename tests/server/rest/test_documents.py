"""JSON documents, as RapidJSON reads them for TensorFlow Serving."""

import json
import tracemalloc

import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.protocol.json_text import check_parsed_size
from tfnorm.server.rest import documents, tensors

X = {"x": tf.TensorSpec(None, tf.float32)}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "The document is empty"),
        (b'{"instances": [1,', "at offset: 17"),
        (b" \n\t\r", "The document is empty"),
        (b"\xff", "JSON Parse error"),
        (b"[1]", "Is not object"),
        (b"[" * 100_000, "JSON Parse error"),
        (b'{"a": 1' + b"0" * 5_000 + b"}", "JSON Parse error"),
        (b'{"instances": [1e400]}', "Number too big to be stored in double"),
        (b'{"instances": [-1' + b"0" * 400 + b"]}", "Number too big to be stored in double"),
    ],
    ids=["empty", "space", "cut", "not text", "list", "deep", "long", "1e400", "400 digits"],
)
def test_what_is_no_json_object_is_refused(body, reason):
    with pytest.raises(InputError, match=reason):
        documents.parse(body)


def test_nesting_near_the_recursion_limit_is_refused():
    for depth in range(850, 1010, 2):
        nested = "[" * depth + "]" * depth
        for body in (f'{{"inputs": {nested}}}', f'{{"inputs": [1, {nested}]}}', nested):
            with pytest.raises(InputError):
                tensors.feeds(documents.parse(body.encode()), X)


def test_a_byte_order_mark_is_skipped():
    assert documents.parse(b"\xef\xbb\xbf{}") == {}


def test_what_follows_the_document_is_not_looked_at():
    for more in (b"X", b" {}", b"\xff", b'{"a"'):
        assert documents.parse(b'{"a": 1}' + more) == {"a": 1}


def test_of_equal_keys_the_first_counts():
    assert documents.parse(b'{"a": 1, "b": {"c": 2, "c": 3}, "a": 4}') == {
        "a": 1,
        "b": {"c": 2},
    }


def test_a_number_that_a_double_can_hold_is_read_whatever_its_length():
    largest = documents.parse(b'{"a": [1e308, 1e-400, 1e+0000001, 0.' + b"1" * 400 + b"]}")
    assert largest == {"a": [1e308, 0.0, 10.0, float("0." + "1" * 400)]}


def test_a_signature_name_is_a_string():
    assert documents.signature_name({}) == ""
    assert documents.signature_name({"signature_name": "a"}) == "a"
    for name in (None, 1, ["a"], {}):
        with pytest.raises(InputError, match="'signature_name' key must be a string value"):
            documents.signature_name({"signature_name": name})


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": [' + b"[]," * 3_000 + b"[]]}",
        b'{"a": [' + b"{}," * 3_000 + b"{}]}",
        b'{"a": [' + b'{"b":1},' * 3_000 + b"{}]}",
        b'{"a": [' + b"0.5," * 3_000 + b"1]}",
        b'{"a": [' + b'"bc",' * 3_000 + b"1]}",
        b'{"a": [' + b"12345678901234567890," * 3_000 + b"1]}",
        b'{"a": "' + b"b" * 50_000 + '\U0001f600"}'.encode(),
        json.dumps({f"key {number}": 0.5 for number in range(3_000)}).encode(),
    ],
    ids=["lists", "objects", "objects of one", "floats", "strings", "integers", "wide", "keys"],
)
def test_a_document_takes_no_more_than_the_bound_that_lets_it_pass(body):
    bound = 1_000
    while True:
        try:
            tracemalloc.start()
            check_parsed_size(body, bound)
            document = documents.parse(body)
            _, most = tracemalloc.get_traced_memory()
            break
        except InputError as error:
            assert "once it is parsed" in str(error)
            bound = int(bound * 1.1)
        finally:
            tracemalloc.stop()
    assert document
    assert most < 1.5 * bound
