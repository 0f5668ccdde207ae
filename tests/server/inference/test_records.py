import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis.input_pb2 import Input

from tfnorm.errors import InputError
from tfnorm.server.inference.records import serialized


def example(**features):
    return {
        "features": {
            "feature": {
                name: tf.train.Feature(float_list={"value": [value]})
                for name, value in features.items()
            }
        }
    }


def test_a_context_is_in_each_record_and_gives_way_to_its_own_features():
    given = Input(
        example_list_with_context={
            "context": example(a=1.0, b=2.0),
            "examples": [example(b=3.0), example(c=4.0)],
        }
    )
    records = serialized(given, 1_000)
    assert records.dtype == object
    parsed = tf.io.parse_example(
        records, {name: tf.io.FixedLenFeature([], tf.float32, 0.0) for name in "abc"}
    )
    np.testing.assert_array_equal(parsed["a"], [1, 1])
    np.testing.assert_array_equal(parsed["b"], [3, 2])
    np.testing.assert_array_equal(parsed["c"], [0, 4])


@pytest.mark.parametrize("given", [{}, {"example_list": {}}, {"example_list_with_context": {}}])
def test_without_records_there_is_nothing_to_run(given):
    with pytest.raises(InputError, match="Input is empty"):
        serialized(Input(**given), 1_000)


def test_a_context_counts_in_each_record():
    feature = tf.train.Feature(bytes_list={"value": [bytes(1_000)]})
    context = {"features": {"feature": {"a": feature}}}
    given = Input(example_list_with_context={"context": context, "examples": [{}] * 100})
    assert len(serialized(given, 110_000)) == 100
    with pytest.raises(InputError, match="their context in each; accepted: up to 100,000"):
        serialized(given, 100_000)
