import pytest
import tensorflow as tf
from tensorflow_serving.apis.inference_pb2 import MultiInferenceRequest

from tfnorm.errors import InputError
from tfnorm.server.inference.several import model_spec, several


def request(*tasks, model="ranker"):
    made = MultiInferenceRequest(input={"example_list": {"examples": [{}, {}]}})
    for signature, method in tasks:
        made.tasks.add(
            model_spec={"name": model, "signature_name": signature},
            method_name=f"tensorflow/serving/{method}",
        )
    return made


def test_each_task_has_its_result(loaded):
    asked = request(("classify", "classify"), ("regress", "regress"))
    response = several(loaded, asked, 10_000)
    kinds = [result.WhichOneof("result") for result in response.results]
    assert kinds == ["classification_result", "regression_result"]
    assert model_spec(asked).signature_name == "classify"


def other_model():
    made = request(("classify", "classify"), ("regress", "regress"))
    made.tasks[1].model_spec.name = "other"
    return made


@pytest.mark.parametrize(
    ("asked", "error", "reason"),
    [
        (request(("regress", "regress"), model=""), InputError, "empty model name"),
        (other_model(), InputError, "must access the same model name"),
        (
            request(("regress", "regress"), ("regress", "regress")),
            InputError,
            "Duplicate evaluation of signature: regress",
        ),
        (
            request(("regress", "predict")),
            tf.errors.UnimplementedError,
            "method_name: tensorflow/serving/predict",
        ),
        (request(("classify", "regress")), InputError, "method_name tensorflow/serving/regress"),
        (request(("", "regress")), InputError, "'serving_default'"),
        (request(("nothing", "regress")), InputError, "not found in model graph: nothing"),
        (request(("nothing", "predict")), InputError, "not found in model graph: nothing"),
        (request(("classify", "regress"), ("regress", "predict")), InputError, "method_name"),
    ],
)
def test_tasks_that_can_not_be_run_are_refused(loaded, asked, error, reason):
    with pytest.raises(error, match=reason):
        several(loaded, asked, 10_000)


def test_the_answers_of_all_tasks_together_are_bounded(loaded):
    asked = request(("classify", "classify"), ("classify_scores", "classify"))
    size = several(loaded, asked, 10_000).results[0].ByteSize()
    several(loaded, asked, 256 + size)
    with pytest.raises(tf.errors.ResourceExhaustedError, match="256 bytes; at most 255"):
        several(loaded, asked, 255 + size)
