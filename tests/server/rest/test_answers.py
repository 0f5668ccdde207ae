"""The JSON of answers, read back."""

import json
import tracemalloc

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis.classification_pb2 import ClassificationResult
from tensorflow_serving.apis.regression_pb2 import RegressionResult

from tfnorm.errors import InputError
from tfnorm.server.rest import answers

MOST = 10**8


def written(outputs, rows):
    return answers.answer(outputs, rows=rows, max_bytes=MOST).decode()


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
    assert json.loads(written(outputs, rows=True)) == {"predictions": rows}
    assert json.loads(written(outputs, rows=False)) == {"outputs": columns}


def test_outputs_without_a_common_batch_size_have_no_rows():
    scalar = {"y": np.float32([1, 2]), "z": np.array(3)}
    with pytest.raises(InputError, match=r"'z' \[\]"):
        written(scalar, rows=True)
    with pytest.raises(InputError, match=r"'z' \[3\]"):
        written({"y": np.zeros(2), "z": np.zeros(3)}, rows=True)
    assert json.loads(written(scalar, rows=False))["outputs"]["z"] == 3


def test_every_float32_comes_back_bit_by_bit():
    bits = np.random.default_rng(0).integers(0, 2**32, 100_000, np.uint32)
    values = np.concatenate([bits.view(np.float32), np.float32([0.0, -0.0, 1e-45, 3.4e38])])
    values = values[np.isfinite(values)]
    read = json.loads(written({"y": values}, rows=False))["outputs"]
    np.testing.assert_array_equal(
        np.array(read, np.float32).view(np.uint32), values.view(np.uint32)
    )


def test_a_float32_is_written_without_the_digits_of_a_double():
    assert written({"y": np.float32([0.1, 3])}, rows=True) == '{"predictions": [0.1, 3.0]}'


def test_infinities_and_nan_are_written_as_tensorflow_serving_does():
    values = np.float32([np.nan, np.inf, -np.inf])
    assert written({"y": values}, rows=False) == '{"outputs": [NaN, Infinity, -Infinity]}'


def test_outputs_that_json_can_not_carry_are_refused():
    with pytest.raises(InputError, match="half"):
        written({"y": np.float16([1])}, rows=True)
    with pytest.raises(InputError, match="_bytes"):
        written({"y": np.array([b"\xff"], object)}, rows=True)


@pytest.mark.parametrize(
    "outputs",
    [
        {"y": np.arange(40_000, dtype=np.float64)},
        {"y": np.arange(40_000, dtype=np.float64).reshape(2, 20_000)},
        {"y": np.arange(40_000, dtype=np.int64).reshape(1, 2, 5, 4_000)},
        {"y": np.arange(20_000), "z": np.arange(40_000).reshape(20_000, 1, 2)},
        {"y": np.arange(2), "z": np.arange(40_000).reshape(2, 5, 4_000)},
        {"y": np.zeros((2, 0))},
        {"y": np.zeros((20_000, 0))},
        {"y": np.zeros((0, 20_000)), "z": np.zeros(0)},
    ],
    ids=lambda outputs: str([array.shape for array in outputs.values()]),
)
def test_a_large_answer_is_the_same_as_one_that_is_written_at_once(outputs):
    lists = {name: array.tolist() for name, array in outputs.items()}
    one = len(lists) == 1
    columns = json.loads(written(outputs, rows=False))["outputs"]
    assert columns == (lists["y"] if one else lists)
    rows = json.loads(written(outputs, rows=True))["predictions"]
    expected = [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]
    assert rows == (lists["y"] if one else expected)


@pytest.mark.parametrize("rows", [True, False])
def test_an_answer_takes_little_more_than_its_text_and_stops_at_the_bound(rows, monkeypatch):
    monkeypatch.setattr(answers, "_CHUNK", 1_000)
    outputs = {"y": np.full((100, 250), 0.5, np.float32)}
    tracemalloc.start()
    text = answers.answer(outputs, rows=rows, max_bytes=MOST)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    with pytest.raises(tf.errors.ResourceExhaustedError, match="fewer rows"):
        answers.answer(outputs, rows=rows, max_bytes=len(text) - 1)
    with pytest.raises(tf.errors.ResourceExhaustedError, match="50,000 characters or more"):
        answers.answer(outputs, rows=rows, max_bytes=10_000)
    # The pieces, joined, and a chunk's objects; those of all values would be 800,000 bytes.
    assert most < 2 * len(text) + 1.5 * 10**5


def test_results_of_records_are_lists():
    scores = ClassificationResult()
    for label, score in (("a", 0.1), ("é", 3.0)):
        scores.classifications.add().classes.add(label=label, score=score)
    text = answers.classifications(scores, MOST).decode()
    assert json.loads(text) == {"results": [[["a", 0.1]], [["é", 3.0]]]}
    values = RegressionResult()
    for value in (0.2, float("inf"), 1, float("-inf"), float("nan")):
        values.regressions.add().value = value
    assert answers.regressions(values, MOST) == b'{"results": [0.2, Infinity, 1.0, -Infinity, NaN]}'
    with pytest.raises(tf.errors.ResourceExhaustedError):
        answers.regressions(values, 20)
