import json
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from written_examples import INPUTS, ONE, ROWS, SCORER, assert_rows, write_lines

from tfnorm.errors import InputError
from tfnorm.examples.load import load


def test_an_instance_a_line_is_read(tmp_path):
    loaded = load(write_lines(tmp_path / "rows.jsonl", *map(json.dumps, ROWS)), SCORER)
    assert_rows(loaded.rows)
    assert (loaded.given, loaded.requests, loaded.labels) == (3, [], None)


def test_requests_of_tensorflow_serving_are_read_and_told_apart(tmp_path):
    columns = {name: [row[name] for row in ROWS[:1]] for name in INPUTS}
    lines = [json.dumps({"inputs": columns}), json.dumps({"instances": ROWS[1:]})]
    loaded = load(write_lines(tmp_path / "requests.jsonl", *lines), SCORER)
    assert_rows(loaded.rows)
    assert loaded.requests == [1, 2]


def test_a_request_over_many_lines_and_a_list_of_instances_are_read(tmp_path):
    request = write_lines(tmp_path / "request.json", json.dumps({"instances": ROWS}, indent=2))
    assert_rows(load(request, SCORER).rows)
    assert_rows(load(write_lines(tmp_path / "any name", json.dumps(ROWS)), SCORER).rows)


def test_a_value_a_line_is_enough_for_a_model_of_one_input(tmp_path):
    loaded = load(write_lines(tmp_path / "x.jsonl", "[1, 2]", "[3, 4]", ""), ONE)
    assert loaded.rows["x"].tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["{", "}{"], "can't be read"),
        (['{"x": [1, 2]}', "no"], "line 2 is no JSON"),
        (['{"x": [1, 2]}', '{"y": 3}'], "line 1 lacks 'y'"),
        (
            ['{"x": [1, 2]}', "", '{"x": [1, 2, 3]}'],
            "'x' has values of different lengths, up to 3, but 2 in line 1",
        ),
        (['{"x": [1, 2]}', '{"x": 1}'], "'x' has values of 0 and 1 axes.* line 2"),
        (["[1, 2]", "[" * 100_000], "line 2 is nested too deep"),
        (['{"x": {"a": 1}}'], "line 1: 'x' is no tensor: an object with 'a'"),
        (['{"x": [[1], [1, 2]]}'], "line 1: 'x' is no tensor"),
        (['{"x": {"b64": "*"}}'], "line 1: 'x' is no tensor"),
        (['{"x": [1, 2]}', '{"x": [1, null]}'], "'x'"),
        (["[1, 2]"], "1 examples; accepted: 2 or more"),
        (['{"instances": 5}'], "line 1: 'instances' is 5; accepted: a list"),
        (['{"instances": {"x": [1, 2]}}'], "line 1: 'instances' is {.*; accepted: a list"),
        (['{"inputs": 5}'], "line 1: 'inputs' is 5; accepted: a list"),
        (['{"inputs": {"x": 5}}'], "line 1: 'x' is 5; accepted: a list"),
        (['{"inputs": {"x": [1], "y": 2}}'], "line 1: 'y' is 2; accepted: a list"),
        (
            ["[1, 2]", '{"inputs": {"x": [1], "y": [1, 2]}}'],
            "line 2: the columns have different numbers of rows: 'x' 1, 'y' 2",
        ),
    ],
)
def test_lines_that_are_no_examples_are_refused_by_number(tmp_path, lines, message):
    with pytest.raises(InputError, match=message):
        load(write_lines(tmp_path / "x.jsonl", *lines), ONE)


def test_a_whole_number_does_for_a_float_but_not_the_other_way_round(tmp_path):
    scorer = SimpleNamespace(
        name="m",
        constants={},
        places={},
        signature=None,
        defaults={},
        inputs={"id": tf.TensorSpec([None], tf.int32, "id")},
    )
    assert load(write_lines(tmp_path / "a.jsonl", "1", "2"), scorer).rows["id"].dtype == np.int32
    with pytest.raises(InputError, match="'id' has dtype float64"):
        load(write_lines(tmp_path / "b.jsonl", "1.5", "2"), scorer)


def test_a_log_of_requests_with_their_answers_is_one_of_requests(tmp_path):
    lines = [
        json.dumps({"request": {"instances": rows}, "response": {"predictions": [0.5] * len(rows)}})
        for rows in (ROWS[:1], ROWS[1:])
    ]
    loaded = load(write_lines(tmp_path / "log.jsonl", *lines), SCORER)
    assert_rows(loaded.rows)
    assert loaded.requests == [1, 2]
    assert list(loaded.left_out) == ["the answers to 2 logged requests"]


def test_logged_requests_and_answers_may_be_text_and_what_was_refused_is_skipped(tmp_path):
    def line(rows, answer, **more):
        request = {"instances": rows, **more.pop("request", {})}
        return json.dumps({"request": json.dumps(request), "response": answer, **more})

    answer = {"predictions": [0.5]}
    lines = [
        line(ROWS[:1], answer),
        line(ROWS[:1], {"error": "no such id"}),
        line(ROWS[:1], answer, request={"signature_name": "more"}),
        line(ROWS[:1], answer, model_spec={"signature_name": "other"}),
        line(ROWS[1:], json.dumps(answer)),
    ]
    path = write_lines(tmp_path / "log.jsonl", *lines)
    scorer = SimpleNamespace(**{**vars(SCORER), "signature": "serving_default"})
    loaded = load(path, scorer)
    assert_rows(loaded.rows)
    assert loaded.requests == [1, 2]
    assert list(loaded.left_out) == [
        "1 logged request that the server refused",
        "1 logged request of signature 'more'",
        "1 logged request of signature 'other'",
        "the answers to 2 logged requests",
    ]


def test_an_input_may_be_called_request(tmp_path):
    spec = {"request": tf.TensorSpec([None], tf.float32, "request")}
    scorer = SimpleNamespace(**{**vars(ONE), "inputs": spec, "signature": "serving_default"})
    path = write_lines(tmp_path / "a.jsonl", '{"request": 1}', '{"request": 2}')
    assert load(path, scorer).rows["request"].tolist() == [1, 2]
