import json

import numpy as np
import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.replay.log.call import ModelSpec, Passed
from tfnorm.replay.log.files import open_log

SPECS = {
    "x": tf.TensorSpec([None, 2], tf.float32),
    "history": tf.TensorSpec([None, None], tf.int64),
}
ROWS = [{"x": [1, 2], "history": [5]}, {"x": [3, 4.5], "history": [6, 7]}]
GOOD = {"request": {"instances": ROWS}, "response": {"predictions": [0.5, 0.25]}}


def calls(tmp_path, *written, inputs=SPECS):
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(one if isinstance(one, str) else json.dumps(one) for one in written))
    log = open_log(path, inputs, labels="labels")
    return [log.call(number, entry) for number, entry in log.entries()]


@pytest.mark.parametrize(
    "request_",
    [
        {"instances": ROWS},
        {"inputs": {"x": [[1, 2], [3, 4.5]], "history": [[5], [6, 7]]}},
        json.dumps({"instances": ROWS}),
    ],
)
@pytest.mark.parametrize(
    ("response", "name"),
    [
        ({"predictions": [0.5, 0.25]}, "predictions"),
        ({"predictions": [{"score": 0.5}, {"score": 0.25}]}, "score"),
        ({"outputs": {"score": [0.5, 0.25]}}, "score"),
        ({"outputs": [0.5, 0.25]}, "outputs"),
        (json.dumps({"predictions": [0.5, 0.25]}), "predictions"),
    ],
)
def test_rows_and_columns_are_the_same(request_, response, name, tmp_path):
    (call,) = calls(tmp_path, {"request": request_, "response": response})
    np.testing.assert_array_equal(call.inputs["x"], [[1, 2], [3, 4.5]])
    np.testing.assert_array_equal(call.inputs["history"], [[5, 0], [6, 7]])
    assert call.outputs[name].tolist() == [0.5, 0.25] and call.number == 1


def test_a_line_says_who_answered_what_it_is_called_and_its_labels(tmp_path):
    line = {
        "request": {"instances": ROWS, "signature_name": "rank"},
        "response": {"predictions": [0.5, 0.25]},
    }
    url, spec = (
        {**line, "url": "http://host:8501/v1/models/ranker/versions/12:predict", "id": "a-1"},
        {**line, "model_spec": {"name": "ranker", "version": 12}, "labels": [1, 0]},
    )
    one, other = calls(tmp_path, url, spec)
    assert one.spec == other.spec == ModelSpec("ranker", 12, "rank")
    assert (one.key, other.key) == ("a-1", None)
    assert other.labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("response", "reason"),
    [({"error": "no such model"}, "an error"), ({}, "a request without an answer")],
)
def test_errors_are_passed_over(response, reason, tmp_path):
    (found,) = calls(tmp_path, {"request": {"instances": ROWS}, "response": response})
    assert isinstance(found, Passed) and reason in found.reason


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "line 2 is no JSON"),
        ({"instances": ROWS}, "line 2 is \"{'instances'"),
        (
            {"request": {"instances": 3}, "response": {"predictions": []}},
            "line 2: 'instances' is 3",
        ),
        ({"request": {"instances": ROWS}, "response": {"scores": [1]}}, "line 2: its response is"),
        ({"request": {"instances": ROWS}, "response": {"predictions": [[1], [1, 2]]}}, "no tensor"),
        ({"request": "{", "response": {"predictions": [1]}}, "line 2: Expecting property name"),
        ({**GOOD, "model_spec": 7}, "line 2: model_spec is 7; accepted: a name, a version"),
        ({**GOOD, "model_spec": {"version": "new"}}, "line 2: model None, version 'new'"),
        ({**GOOD, "model_spec": {"name": ["a"]}}, "line 2: model ['a'], version None"),
        ({**GOOD, "labels": ["yes", "no"]}, "line 2: 'labels' is \"['yes', 'no']\"; accepted: a"),
    ],
)
def test_a_line_that_is_no_call_is_named(line, reason, tmp_path):
    with pytest.raises(InputError) as refused:
        calls(tmp_path, GOOD, line)
    assert str(refused.value).startswith(str(tmp_path / "log.jsonl: ")) and reason in str(
        refused.value
    )
