"""What a message takes, told before it is parsed."""

import pytest
from google.protobuf.internal.encoder import _VarintBytes
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest
from tensorflow_serving.apis.inference_pb2 import MultiInferenceRequest
from tensorflow_serving.apis.predict_pb2 import PredictRequest

from tfnorm.errors import InputError
from tfnorm.protocol.wire import check_parsed_size

PREDICT = PredictRequest.DESCRIPTOR
MANY = 20_000


def field(number, data):
    return _VarintBytes(number << 3 | 2) + _VarintBytes(len(data)) + data


def tensor(data):
    return field(2, field(1, b"x") + field(2, data))


@pytest.mark.parametrize(
    ("data", "descriptor", "least"),
    [
        (field(2, b"") * MANY, PREDICT, 88),
        (tensor(field(2, field(2, b"") * MANY)), PREDICT, 23),
        (tensor(field(8, b"") * MANY), PREDICT, 15),
        (tensor(field(14, b"") * MANY), PREDICT, 51),
        (tensor(field(10, bytes(2 * MANY))), PREDICT, 15),
        (field(3, b"") * MANY, PREDICT, 15),
        (field(2, field(1, field(1, b"") * MANY)), ClassificationRequest.DESCRIPTOR, 19),
        (field(1, b"") * MANY, MultiInferenceRequest.DESCRIPTOR, 27),
    ],
    ids=["inputs", "dims", "strings", "resources", "integers", "filter", "examples", "tasks"],
)
def test_a_message_that_grows_is_refused_at_what_was_measured(data, descriptor, least):
    """`least` is how many bytes protobuf took for each of the message, on 64-bit Linux."""
    check_parsed_size(data, descriptor, 200 * len(data))
    with pytest.raises(InputError, match="once it is parsed"):
        check_parsed_size(data, descriptor, least * len(data) // 2)


def test_a_message_of_few_large_fields_takes_what_it_has():
    floats = tensor(field(5, bytes(10**6)))
    check_parsed_size(floats, PREDICT, len(floats) + 2_000)
    with pytest.raises(InputError):
        check_parsed_size(floats, PREDICT, len(floats) // 2)
    text = tensor(field(8, bytes(10**6)))
    check_parsed_size(text, PREDICT, len(text) + 2_000)


def test_unknown_fields_and_bytes_that_are_no_message_pass():
    for data in (
        field(99, bytes(1_000)) * 10,
        b"\xff" * 10_000,
        b"\x12\xff\xff\xff\xff\x0f" * 1_000,
        tensor(b"\x08" * 1_001),
        b"\x0b" * 1_000,
        b"\x09" * 1_001,
    ):
        check_parsed_size(data, PREDICT, 170 * len(data))


@pytest.mark.parametrize(
    ("data", "descriptor"),
    [
        (field(2, b"") * MANY, PREDICT),
        (b"\x92\x00\x00" * MANY, PREDICT),
        (b"\x92\x80\x00\x00" * MANY, PREDICT),
        (tensor(field(8, b"") * MANY), PREDICT),
        (tensor(b"\xc2\x00\x00" * MANY), PREDICT),
        (tensor(field(10, bytes(2 * MANY))), PREDICT),
        (tensor(field(5, bytes(4 * MANY))), PREDICT),
        (field(2, field(1, field(1, b"") * MANY)), ClassificationRequest.DESCRIPTOR),
    ],
)
def test_what_is_told_in_no_time_is_never_too_little(data, descriptor):
    told = check_parsed_size(data, descriptor, 176 * len(data))
    looked_through = check_parsed_size(data, descriptor, 176 * len(data) - 1)
    assert looked_through <= told <= 200 * len(data)
