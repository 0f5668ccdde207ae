"""TensorFlow Serving's JSON against arrays written out by hand."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.server.rest import json_format


def specs(**dtypes):
    return {name: tf.TensorSpec(None, dtype, name) for name, dtype in dtypes.items()}


def feeds(text, **dtypes):
    return json_format.feeds(json_format.parse(text.encode()), specs(**dtypes))


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
        ('{"inputs": {"x": 1, "z": 1}}', {"x": tf.float32}, "no input 'z'"),
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
        (f'{{"inputs": [1{"0" * 400}]}}', {"x": tf.float32}, "is not of expected type: float"),
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


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "The document is empty"),
        (b'{"instances": [1,', "at offset: 17"),
        (b"\xff", "JSON Parse error"),
        (b"[1]", "Is not object"),
        (b"[" * 100_000, "JSON Parse error"),
        (b'{"a": 1' + b"0" * 5_000 + b"}", "JSON Parse error"),
        (b'{"instances": [1]} {}', "JSON Parse error"),
    ],
    ids=["empty", "cut", "not text", "list", "deep", "long number", "more after it"],
)
def test_what_is_no_json_object_is_refused(body, reason):
    with pytest.raises(InputError, match=reason):
        json_format.parse(body)


def test_nesting_near_the_recursion_limit_is_refused():
    for depth in range(700, 1010):
        nested = "[" * depth + "]" * depth
        for body in (f'{{"inputs": {nested}}}', f'{{"inputs": [1, {nested}]}}', nested):
            with pytest.raises(InputError):
                feeds(body, x=tf.float32)


def test_a_byte_order_mark_is_skipped():
    assert json_format.parse(b"\xef\xbb\xbf{}") == {}


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.complex64, tf.uint16])
def test_dtypes_that_tensorflow_serving_does_not_read_from_json_are_unimplemented(dtype):
    with pytest.raises(tf.errors.UnimplementedError, match="gRPC"):
        feeds('{"inputs": [1]}', x=dtype)


@pytest.mark.parametrize(
    ("outputs", "rows", "columns"),
    [
        ({"y": np.float32([1, 0.1])}, [1.0, 0.1], [1.0, 0.1]),
        ({"y": np.int64([[1, 2], [3, 4]])}, [[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        (
            {"y": np.float64([1]), "z": np.array([[True, False]])},
            [{"y": 1.0, "z": [True, False]}],
            {"y": [1.0], "z": [[True, False]]},
        ),
        ({"y": np.zeros((0, 3), np.float32)}, [], []),
        ({"y": np.array(["é".encode()], object)}, ["é"], ["é"]),
        ({"y_bytes": np.array([b"\x00\xff"], object)}, [{"b64": "AP8="}], [{"b64": "AP8="}]),
    ],
)
def test_an_answer_has_the_format_of_its_request(outputs, rows, columns):
    assert json.loads(json_format.answer(outputs, rows=True)) == {"predictions": rows}
    assert json.loads(json_format.answer(outputs, rows=False)) == {"outputs": columns}


def test_outputs_without_a_common_batch_size_have_no_rows():
    scalar = {"y": np.float32([1, 2]), "z": np.array(3)}
    with pytest.raises(InputError, match=r"'z' \[\]"):
        json_format.answer(scalar, rows=True)
    with pytest.raises(InputError, match=r"'z' \[3\]"):
        json_format.answer({"y": np.zeros(2), "z": np.zeros(3)}, rows=True)
    assert json.loads(json_format.answer(scalar, rows=False))["outputs"]["z"] == 3


def test_every_float32_comes_back_bit_by_bit():
    bits = np.random.default_rng(0).integers(0, 2**32, 100_000, np.uint32)
    values = np.concatenate([bits.view(np.float32), np.float32([0.0, -0.0, 1e-45, 3.4e38])])
    values = values[np.isfinite(values)]
    read = json.loads(json_format.answer({"y": values}, rows=False))["outputs"]
    np.testing.assert_array_equal(
        np.array(read, np.float32).view(np.uint32), values.view(np.uint32)
    )


def test_a_float32_is_written_without_the_digits_of_a_double():
    assert (
        json_format.answer({"y": np.float32([0.1, 3])}, rows=True) == '{"predictions": [0.1, 3.0]}'
    )


def test_infinities_and_nan_are_written_as_tensorflow_serving_does():
    values = np.float32([np.nan, np.inf, -np.inf])
    assert (
        json_format.answer({"y": values}, rows=False) == '{"outputs": [NaN, Infinity, -Infinity]}'
    )


def test_outputs_that_json_can_not_carry_are_refused():
    with pytest.raises(InputError, match="half"):
        json_format.answer({"y": np.float16([1])}, rows=True)
    with pytest.raises(InputError, match="_bytes"):
        json_format.answer({"y": np.array([b"\xff"], object)}, rows=True)
