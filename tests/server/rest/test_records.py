"""The records of classify and regress requests, against messages written out by hand."""

import numpy as np
import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.server.rest.records import records


def example(**features):
    kinds = {bytes: "bytes_list", float: "float_list", int: "int64_list"}
    made = tf.train.Example()
    for name, values in features.items():
        feature = made.features.feature[name]
        for value in values:
            getattr(feature, kinds[type(value)]).value.append(value)
    return made


def test_each_value_goes_into_the_list_of_its_kind():
    found = records(
        {
            "examples": [
                {"names": ["foo", {"b64": "aGVsbG8="}], "ratings": [8.0, 9.5], "age": 20},
                {"names": "é", "ratings": float("-inf"), "mixed": [1, True, False], "none": []},
                {"large": [2**64, -(2**63) - 1], "int64": [2**63 - 1, -(2**63)]},
            ]
        }
    )
    assert found.WhichOneof("kind") == "example_list"
    assert list(found.example_list.examples) == [
        example(names=[b"foo", b"hello"], ratings=[8.0, 9.5], age=[20]),
        example(names=["é".encode()], ratings=[-np.inf], mixed=[1, 1, 0], none=[]),
        example(large=[2.0**64, -(2.0**63)], int64=[2**63 - 1, -(2**63)]),
    ]


def test_a_context_is_kept_beside_the_examples():
    found = records({"context": {"query": "pizza"}, "examples": [{"x": 1.5}]})
    shared = found.example_list_with_context
    assert shared.context == example(query=[b"pizza"])
    assert list(shared.examples) == [example(x=[1.5])]


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({}, "key 'examples' is expected"),
        ({"examples": {"x": 1}}, "to be a list/array"),
        ({"examples": []}, "is an empty array"),
        ({"context": [{"x": 1}], "examples": [{}]}, "Example must be JSON object"),
        ({"examples": [[{"x": 1}]]}, "Example must be JSON object"),
        ({"examples": [{"x": [10, None]}]}, "x has element with unexpected JSON type: null"),
        ({"examples": [{"x": [10, 10.0]}]}, "feature: x expecting type: int64"),
        ({"examples": [{"x": ["a", True]}]}, "feature: x expecting type: bytes"),
        ({"examples": [{"x": [1.0, "a"]}]}, "feature: x expecting type: float"),
        ({"examples": [{"x": [10, {"test": 10}]}]}, "x has element with unexpected JSON type"),
        ({"examples": [{"x": [[10], 20]}]}, "x has element with unexpected JSON type"),
        ({"examples": [{"x": [20, 18446744073709551603]}]}, "Only int64_t is supported"),
        ({"examples": [{"x": {"b64": "Y"}}]}, "x has an element that can't be read"),
        ({"examples": [{"\udcff": 1}]}, "is not UTF-8"),
    ],
)
def test_what_makes_no_record_is_refused(document, reason):
    with pytest.raises(InputError) as caught:
        records(document)
    assert reason in str(caught.value)
