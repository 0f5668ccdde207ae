"""The arrays of a request, against arrays written out by hand."""

import numpy as np
import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.server.rest import documents, tensors


def specs(**dtypes):
    return {name: tf.TensorSpec(None, dtype, name) for name, dtype in dtypes.items()}


def feeds(text, **dtypes):
    return tensors.feeds(documents.parse(text.encode(errors="surrogateescape")), specs(**dtypes))


@pytest.mark.parametrize(
    ("text", "dtypes", "expected"),
    [
        # One input: rows may be bare values, lists or objects.
        ('{"instances": [1, 2.5]}', {"x": tf.float32}, {"x": np.float32([1, 2.5])}),
        ('{"instances": [[1], [2]]}', {"x": tf.int64}, {"x": np.int64([[1], [2]])}),
        ('{"instances": [{"x": 1}, {"x": 2}]}', {"x": tf.uint8}, {"x": np.uint8([1, 2])}),
        (
            '{"instances": [[[1, 2]], [[3, 4]]]}',
            {"x": tf.int8},
            {"x": np.int8([[[1, 2]], [[3, 4]]])},
        ),
        ('{"inputs": [[true, false]]}', {"x": tf.bool}, {"x": np.array([[True, False]])}),
        ('{"inputs": 3}', {"x": tf.int32}, {"x": np.int32(3)}),
        ('{"inputs": []}', {"x": tf.float64}, {"x": np.zeros(0)}),
        ('{"inputs": {"x": [[], []]}}', {"x": tf.float32}, {"x": np.zeros((2, 0), np.float32)}),
        # An integer is a float, however large; what is no input is not looked at.
        (f'{{"inputs": [1{"0" * 300}]}}', {"x": tf.float32}, {"x": np.float32([np.inf])}),
        ('{"inputs": {"x": [1], "z": {}}}', {"x": tf.float32}, {"x": np.float32([1])}),
        # Several inputs.
        (
            '{"instances": [{"a": 1, "b": [1, 2]}, {"b": [3, 4], "a": 5}]}',
            {"a": tf.int64, "b": tf.float32},
            {"a": np.int64([1, 5]), "b": np.float32([[1, 2], [3, 4]])},
        ),
        (
            '{"inputs": {"b": [[0.5]], "a": [7]}}',
            {"a": tf.int64, "b": tf.float32},
            {"a": np.int64([7]), "b": np.float32([[0.5]])},
        ),
        # Strings are UTF-8; bytes are base64, with or without padding.
        (
            '{"instances": ["é", {"b64": "AP8="}, {"b64": "YQ"}, {"b64": " Y W I = "}]}',
            {"s": tf.string},
            {"s": np.array(["é".encode(), b"\x00\xff", b"a", b"ab"], object)},
        ),
        ('{"inputs": {"b64": "YQ=="}}', {"s": tf.string}, {"s": np.array(b"a", object)}),
        (
            '{"instances": [{"s": {"b64": "YQ"}}]}',
            {"s": tf.string},
            {"s": np.array([b"a"], object)},
        ),
        (
            '{"instances": ["\udc80\udcff"]}',
            {"s": tf.string},
            {"s": np.array([b"\x80\xff"], object)},
        ),
        # Numbers keep their precision.
        ('{"inputs": [9007199254740993]}', {"x": tf.int64}, {"x": np.int64([9007199254740993])}),
        ('{"inputs": [18446744073709551615]}', {"x": tf.uint64}, {"x": np.uint64([2**64 - 1])}),
        ('{"inputs": [0.1, 1e39]}', {"x": tf.float32}, {"x": np.float32([0.1, np.inf])}),
        (
            '{"inputs": [NaN, Infinity, -Infinity]}',
            {"x": tf.float64},
            {"x": np.array([np.nan, np.inf, -np.inf])},
        ),
    ],
)
def test_a_request_is_read(text, dtypes, expected):
    came = feeds(text, **dtypes)
    assert came.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(came[name], array, strict=True)


@pytest.mark.parametrize(
    ("text", "dtypes", "reason"),
    [
        ("{}", {"x": tf.float32}, "Missing 'inputs' or 'instances' key"),
        ('{"instances": [1], "inputs": [1]}', {"x": tf.float32}, "only one of"),
        ('{"instances": []}', {"x": tf.float32}, "No values in 'instances'"),
        ('{"instances": {}}', {"x": tf.float32}, "to be a list/array"),
        ('{"instances": [1]}', {}, "Failed to get input map"),
        ('{"instances": [1]}', {"x": tf.float32, "y": tf.float32}, "instances is a plain list"),
        ('{"inputs": [1]}', {"x": tf.float32, "y": tf.float32}, "inputs is a plain value/list"),
        ('{"instances": [{"x": 1}, 2]}', {"x": tf.float32}, "got list at item 1"),
        ('{"instances": [1, {"x": 2}]}', {"x": tf.float32}, "got object at item 1"),
        ('{"instances": [{"x": 1}, {"z": 2}]}', {"x": tf.float32}, "element: 1 of 'instances'"),
        ('{"inputs": {"z": 1}}', {"x": tf.float32}, "Missing named input: x"),
        ('{"instances": [[1, 2], [3]]}', {"x": tf.float32}, "'x'[1] is a list of 1"),
        ('{"instances": [[1, 2], 3]}', {"x": tf.float32}, "'x'[1] is 3"),
        (
            '{"instances": [1, [2]]}',
            {"x": tf.float32},
            "Type: Array is not of expected type: float",
        ),
        (
            '{"inputs": [[1], ["a"]]}',
            {"x": tf.float32},
            "'x'[1][0]: JSON Value: \"a\" Type: String",
        ),
        ('{"inputs": [null]}', {"x": tf.float32}, "Type: Null is not of expected type: float"),
        ('{"inputs": [{"b64": "YQ"}]}', {"x": tf.float32}, "Type: Object"),
        ('{"inputs": [1.0]}', {"x": tf.int64}, "1.0 Type: Number is not of expected type: int64"),
        ('{"inputs": [true]}', {"x": tf.int64}, "is not of expected type: int64"),
        ('{"inputs": [true]}', {"x": tf.float32}, "is not of expected type: float"),
        ('{"inputs": [1]}', {"x": tf.bool}, "is not of expected type: bool"),
        ('{"inputs": [1]}', {"x": tf.string}, "is not of expected type: string"),
        ('{"inputs": [256]}', {"x": tf.uint8}, "256 Type: Number is not of expected type: uint8"),
        ('{"inputs": [-1]}', {"x": tf.uint64}, "is not of expected type: uint64"),
        ('{"inputs": [9223372036854775808]}', {"x": tf.int64}, "is not of expected type: int64"),
        ('{"inputs": [{"b64": "Y"}]}', {"x": tf.string}, "'x'[0]"),
        ('{"inputs": [{"b64": "é"}]}', {"x": tf.string}, "'x'[0]"),
        ('{"inputs": [{"b64": 1}]}', {"x": tf.string}, "Type: Object"),
        ('{"inputs": ["\\ud800"]}', {"x": tf.string}, "'x'[0]"),
        (f'{{"inputs": {"[" * 40}1{"]" * 40}}}', {"x": tf.float32}, "nested deeper"),
    ],
)
def test_a_request_that_does_not_fit_is_refused_with_the_place(text, dtypes, reason):
    with pytest.raises(InputError) as caught:
        feeds(text, **dtypes)
    assert reason in str(caught.value)


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.complex64, tf.uint16])
def test_dtypes_that_tensorflow_serving_does_not_read_from_json_are_unimplemented(dtype):
    with pytest.raises(tf.errors.UnimplementedError, match="gRPC"):
        feeds('{"inputs": [1]}', x=dtype)


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.complex64, tf.uint16])
@pytest.mark.parametrize("values", ["[[1], [1, 2]]", '["a"]', "[null]", "[true]"])
def test_what_is_malformed_is_refused_whatever_the_dtype(values, dtype):
    with pytest.raises(InputError, match="'x'"):
        feeds(f'{{"inputs": {values}}}', x=dtype)
    with pytest.raises(InputError, match="'y'"):
        feeds(f'{{"inputs": {{"x": [1], "y": {values}}}}}', x=dtype, y=tf.float32)
