import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis.input_pb2 import Input

from tfnorm.errors import InputError
from tfnorm.server.inference.classify import classify

RECORDS = Input(example_list={"examples": [{}, {}]})


def test_labels_and_scores_come_together_or_alone(loaded):
    both = classify(loaded, "classify", RECORDS, 10_000)
    assert [[one.label for one in row.classes] for row in both.classifications] == [
        ["no", "yes"]
    ] * 2
    np.testing.assert_allclose(
        [[one.score for one in row.classes] for row in both.classifications], [[0.5, 0.5]] * 2
    )
    labels = classify(loaded, "classify_labels", RECORDS, 10_000).classifications[0].classes
    assert [(one.label, one.score) for one in labels] == [("no", 0), ("yes", 0)]
    scores = classify(loaded, "classify_scores", RECORDS, 10_000).classifications[1].classes
    assert [(one.label, one.score) for one in scores] == [("", 0.5), ("", 0.5)]


@pytest.mark.parametrize(
    ("signature", "reason"),
    [
        ("", "method_name tensorflow/serving/classify. Was: tensorflow/serving/predict"),
        ("nothing", "No signature was found with the name: nothing"),
        ("regress", "Was: tensorflow/serving/regress"),
        ("classify_three", "one or two output Tensors, found 3"),
        ("classify_other", "at least one of 'classes' or 'scores'"),
        ("classify_flat", r"\[batch_size num_classes\] but got \[2\]"),
        ("classify_double", "float64; accepted: float32"),
        ("classify_numbers", "float32; accepted: string"),
        ("classify_first", "Expected scores output batch size of 2. Got: 1"),
        ("classify_uneven", "Got 1 vs. 2"),
    ],
)
def test_a_signature_that_is_no_classification_is_refused(loaded, signature, reason):
    with pytest.raises(InputError, match=reason):
        classify(loaded, signature, RECORDS, 10_000)


def test_an_answer_over_the_bound_is_refused(loaded):
    many = Input(example_list={"examples": [{}] * 100})
    with pytest.raises(tf.errors.ResourceExhaustedError, match="the classes take 12,800 bytes"):
        classify(loaded, "classify", many, 10_000)


def test_a_label_that_is_no_utf8_is_refused(loaded):
    given = Input()
    given.example_list.examples.add().features.feature["label"].bytes_list.value.append(b"\xff")
    with pytest.raises(InputError, match=r"'classes' has .*xff.*not UTF-8"):
        classify(loaded, "classify_given", given, 10_000)
