import pytest
import tensorflow as tf
from tensorflow_serving.apis.input_pb2 import Input

from tfnorm.errors import InputError
from tfnorm.server.inference.regress import regress

RECORDS = Input(example_list={"examples": [{}, {}]})


@pytest.mark.parametrize("signature", ["regress", "regress_column"])
def test_each_record_gets_a_value(loaded, signature):
    result = regress(loaded, signature, RECORDS, 10_000)
    assert [one.value for one in result.regressions] == [0.5, 0.5]


@pytest.mark.parametrize(
    ("signature", "reason"),
    [
        ("", "method_name tensorflow/serving/regress. Was: tensorflow/serving/predict"),
        ("nothing", "No signature was found with the name: nothing"),
        ("regress_two", "Expected one output Tensor"),
        ("regress_other", "gives score; accepted: 'outputs'"),
        ("regress_records", "Expected one input Tensor, 'inputs'; .* takes records"),
        ("regress_wide", r"of 2 but got \[2, 2\]"),
        ("regress_first", r"of 2 but got \[1\]"),
        ("regress_double", "DT_FLOAT. Got: float64"),
    ],
)
def test_a_signature_that_is_no_regression_is_refused(loaded, signature, reason):
    with pytest.raises(InputError, match=reason):
        regress(loaded, signature, RECORDS, 10_000)


def test_an_answer_over_the_bound_is_refused(loaded):
    many = Input(example_list={"examples": [{}] * 300})
    with pytest.raises(tf.errors.ResourceExhaustedError, match="the values take 12,000 bytes"):
        regress(loaded, "regress", many, 10_000)
