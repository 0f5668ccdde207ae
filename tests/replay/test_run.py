import json

import keras
import numpy as np
import pytest
from replay.traffic import Numpy, answered, lines, predicted, requests, write
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog
from written_examples import example

import tfnorm
from tfnorm import metrics
from tfnorm.errors import InputError
from tfnorm.replay import ReplayReport
from tfnorm.replay.log.sampling import drawn  # noqa: F401 - that it may be imported beside the function

ASKED = requests(3, 30)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


def all_scores(scorer, asked=ASKED):
    return np.concatenate([scorer.score(inputs)["score"] for inputs in asked])


def test_figures_are_those_of_all_rows(log):
    old, new = Numpy(1), Numpy(2)
    report = tfnorm.replay(write(log, answered(old, ASKED)), new)
    apart = np.abs(all_scores(new) - all_scores(old))
    model = report.model
    assert (report.calls_given, report.calls_drawn, model.calls) == (30, 30, 30)
    assert (model.rows, model.rows_different) == (len(apart), int((apart > 1e-4).sum()))
    assert model.max_abs_diff == pytest.approx(apart.max())
    for share, found in model.quantiles.items():
        assert found == pytest.approx(np.quantile(apart, share, method="lower"), rel=0.011)
    worst = [max(np.abs(new.score(i)["score"] - old.score(i)["score"])) for i in ASKED]
    assert [one.number for one in model.worst] == np.argsort(worst)[::-1][:10].tolist()
    assert len(model.points) == len(apart)
    assert model.ranking.requests == sum(len(i["x"]) > 1 for i in ASKED)


def test_threads_and_their_number_change_nothing(log):
    write(log, answered(Numpy(1), ASKED))
    reports = [tfnorm.replay(log, Numpy(2), threads=threads).to_dict() for threads in (1, 5)]
    for report in reports:
        del report["provenance"]
    assert reports[0] == reports[1]


def test_a_report_is_the_same_from_json(log):
    report = tfnorm.replay(write(log, answered(Numpy(1), ASKED)), Numpy(2), Numpy(1))
    assert ReplayReport.from_dict(json.loads(report.to_json())) == report


def test_labels_tell_what_it_means(log, tmp_path):
    rng = np.random.default_rng(0)
    labels = [rng.integers(0, 2, len(inputs["x"])) for inputs in ASKED]
    logs = [
        predicted({**inputs, "labels": own}, Numpy(1).score(inputs))
        for inputs, own in zip(ASKED, labels, strict=True)
    ]
    within = tfnorm.replay(write(log, logs), Numpy(2)).model
    assert within.notes == {}
    flat = np.concatenate(labels)
    for quality, scorer in ((within.logged, Numpy(1)), (within.new, Numpy(2))):
        scores = all_scores(scorer)
        exact = metrics.auc(flat, scores)
        assert abs(quality.auc - exact) <= quality.auc_error + 1e-12 < 0.01
        assert quality.log_loss == pytest.approx(metrics.log_loss(flat, scores))
        assert quality.rows == len(flat)
    file = tmp_path / "labels.csv"
    joined = [f"{n},{row},{one}" for n, own in enumerate(labels) for row, one in enumerate(own)]
    file.write_text("\n".join(["request,row,label", *joined]))
    write(log, answered(Numpy(1), ASKED))
    apart = tfnorm.replay(log, Numpy(2), labels=file).model
    assert (apart.logged, apart.new) == (within.logged, within.new)
    assert tfnorm.replay(log, Numpy(2)).model.logged is None


def test_labels_that_are_not_one_a_row_are_refused(log):
    logs = [predicted({**ASKED[0], "labels": np.zeros(99)}, Numpy(1).score(ASKED[0]))]
    with pytest.raises(InputError, match="request 0 has labels of dtype float64 and shape"):
        tfnorm.replay(write(log, logs), Numpy(1))


def test_a_limit_draws_whole_requests_by_the_seed(log):
    write(log, answered(Numpy(1), ASKED))
    reports = [tfnorm.replay(log, Numpy(1), limit=7, seed=seed) for seed in (0, 0, 1)]
    assert [(r.calls_drawn, r.calls_given, r.model.calls) for r in reports] == [(7, 30, 7)] * 3
    rows = [r.model.rows for r in reports]
    assert rows[0] == rows[1] and reports[0].model.points != reports[2].model.points
    assert "7 of 30 requests" in str(reports[0])


def test_the_rows_that_differ_are_written_for_a_debugger(log, tmp_path):
    old, new = Numpy(1), Numpy(1)
    logs = answered(old, ASKED, version=3)
    scores = np.array(old.score(ASKED[4])["score"])
    scores[0] += 0.25
    logs[4] = predicted(ASKED[4], {"score": scores}, version=3)
    file = tmp_path / "rows.jsonl"
    report = tfnorm.replay(write(log, logs), new, rows_file=file)
    (row,) = map(json.loads, file.read_text().splitlines())
    assert report.model.rows_different == 1
    assert (row["request"], row["row"], row["version"], row["key"]) == (4, 0, 3, None)
    assert row["difference"] == pytest.approx(0.25)
    assert row["logged"]["score"] - row["new"]["score"] == pytest.approx(0.25)
    assert row["inputs"]["item"] == ASKED[4]["item"][0]
    np.testing.assert_array_equal(np.float32(row["inputs"]["x"]), ASKED[4]["x"][0])


def test_json_lines_and_tables_are_logs(tmp_path):
    ranker = Numpy(1)
    assert tfnorm.replay(lines(tmp_path / "log.jsonl", ASKED, ranker), ranker).verdict == "equal"
    rows = ["request,x,item,score"]
    for number, inputs in enumerate(ASKED):
        for x, item, score in zip(*inputs.values(), ranker.score(inputs)["score"], strict=True):
            rows.append(f"{number},{'|'.join(map(str, x))},{item},{score}")
    (tmp_path / "log.csv").write_text("\n".join(rows))
    report = tfnorm.replay(tmp_path / "log.csv", ranker)
    assert (report.verdict, report.model.calls, report.batches_known) == ("equal", 30, True)


def test_regressions_and_classifications_of_examples_are_logs(log):
    ranker = Numpy(1)
    logs = []
    for kind in ("regress_log", "classify_log"):
        for inputs in ASKED:
            one = PredictionLog()
            logged = getattr(one, kind)
            for x, item in zip(inputs["x"], inputs["item"], strict=True):
                record = example(x=x.tolist(), item=[int(item)])
                logged.request.input.example_list.examples.add().ParseFromString(record)
            for score in ranker.score(inputs)["score"].tolist():
                if kind == "regress_log":
                    logged.response.result.regressions.add().value = score
                    continue
                classes = logged.response.result.classifications.add().classes
                for label, probability in (("0", 1 - score), ("1", score)):
                    classes.add(label=label, score=probability)
            logs.append(one)
    for half in (logs[:30], logs[30:]):
        report = tfnorm.replay(write(log, half), ranker)
        assert (report.verdict, report.model.calls) == ("equal", 30)
        assert report.model.ranking.tau == 1


def test_what_has_nothing_to_compare_is_counted_and_told(log):
    inferences = PredictionLog()
    inferences.multi_inference_log.request.SetInParent()
    logs = [
        *answered(Numpy(1), ASKED[:3]),
        inferences,
        *answered(Numpy(1), ASKED[3:5], signature="other"),
        *answered(Numpy(1), ASKED[5:6], name="another"),
        predicted(ASKED[6], {}),
    ]
    report = tfnorm.replay(write(log, logs), Numpy(1))
    assert report.verdict == "equal" and report.model.calls == 5
    assert report.passed_over == {
        "a multi-inference, which asks several signatures at once": 1,
        "model 'another' answered": 1,
        "a request without an answer": 1,
    }
    assert "passed over" in str(report)


@pytest.mark.parametrize("first", [False, True])
def test_an_answer_that_names_no_model_is_compared(first, log):
    named = answered(Numpy(1), ASKED[:5])
    unnamed = answered(Numpy(2), ASKED[5:6], name="")
    logs = [*unnamed, *named] if first else [*named, *unnamed]
    report = tfnorm.replay(write(log, logs), Numpy(1))
    assert report.passed_over == {} and report.model.calls_different == 1


def test_no_quantile_is_above_the_largest_difference(log):
    logs = [predicted(i, {"score": Numpy(1).score(i)["score"] + np.float32(0.8)}) for i in ASKED]
    model = tfnorm.replay(write(log, logs), Numpy(1)).model
    assert max(model.quantiles.values()) <= model.max_abs_diff < 0.801


def test_a_log_of_nothing_to_compare_is_not_equal(log):
    inferences = PredictionLog()
    inferences.multi_inference_log.request.SetInParent()
    with pytest.raises(InputError, match=r"no request can be replayed: a multi-inference.* \(1\)"):
        tfnorm.replay(write(log, [inferences]), Numpy(1))
    with pytest.raises(InputError, match="no request can be replayed: it holds none"):
        tfnorm.replay(write(log, []), Numpy(1))


def test_an_input_that_the_log_lacks_is_could_not_tell(log):
    few = [predicted({"x": i["x"]}, Numpy(1).score(i)) for i in ASKED[:2]]
    with pytest.raises(InputError, match=r"the log lacks 'item', int32 \[None\]"):
        tfnorm.replay(write(log, few), Numpy(1))
    report = tfnorm.replay(write(log, [*answered(Numpy(1), ASKED[2:]), *few]), Numpy(1))
    assert report.verdict == "could not tell" and not report.passed
    assert report.model.unfit == {"the log lacks 'item', int32 [None]": 2}
    assert "COULD NOT TELL" in str(report)


def test_answers_without_what_is_compared_are_could_not_tell(log):
    logs = answered(Numpy(1), ASKED[:5])
    logs.append(predicted(ASKED[5], {"embedding": np.zeros((len(ASKED[5]["x"]), 3), np.float32)}))
    report = tfnorm.replay(write(log, logs), Numpy(1))
    assert report.verdict == "could not tell"
    assert report.model.unfit == {"its answer has 'embedding' alone": 1}


def test_a_type_that_is_another_is_told(log):
    logs = [predicted({**i, "item": i["item"].astype(np.int64)}, Numpy(1).score(i)) for i in ASKED]
    report = tfnorm.replay(write(log, logs), Numpy(1))
    assert report.verdict == "equal"
    assert report.model.notes == {"the log has 'item' as int64, the model takes int32": 30}


def test_types_are_no_matter_where_the_log_is_text(tmp_path):
    report = tfnorm.replay(lines(tmp_path / "log.jsonl", ASKED, Numpy(1)), Numpy(1))
    assert report.verdict == "equal" and report.model.notes == {}


def test_requests_without_a_row_are_could_not_tell(log):
    none = {name: array[:0] for name, array in ASKED[0].items()}
    empty = predicted(none, {"score": np.zeros(0, np.float32)})
    report = tfnorm.replay(write(log, [empty]), Numpy(1))
    assert report.verdict == "could not tell" and "has a row" in str(report)
    assert tfnorm.replay(write(log, [empty, *answered(Numpy(1), ASKED[:1])]), Numpy(1)).passed


def test_a_column_that_is_no_score_is_not_taken_for_one(tmp_path):
    rows = ["x,item,clicked", *("1|2|3|4,1,0" for _ in range(9))]
    (tmp_path / "log.csv").write_text("\n".join(rows))
    with pytest.raises(InputError, match="which of its columns has scores is not known: none is"):
        tfnorm.replay(tmp_path / "log.csv", Numpy(1))
    report = tfnorm.replay(tmp_path / "log.csv", Numpy(1), score="clicked")
    assert report.verdict == "different"


def test_labels_that_no_row_or_only_some_have_are_told(log, tmp_path):
    write(log, answered(Numpy(1), ASKED))
    assert "no row has one: clicked is no name" in " ".join(
        str(tfnorm.replay(log, Numpy(1), labels="clicked")).split()
    )
    file = tmp_path / "labels.csv"
    file.write_text("request,row,label\n0,0,1\n2,0,0\n")
    report = tfnorm.replay(log, Numpy(1), labels=file)
    assert f"2 of {report.model.rows} rows have one" in str(report)
    for name in ("nowhere.csv", "nowhere/labels"):
        with pytest.raises(InputError, match="a file that does not exist; accepted: a file, or"):
            tfnorm.replay(log, Numpy(1), labels=name)


def test_a_tolerance_that_was_given_is_not_called_rounding(log):
    report = tfnorm.replay(write(log, answered(Numpy(1), ASKED)), Numpy(2), atol=2.0)
    assert report.verdict == "equal" and "within the tolerance that was given" in str(report)


def test_what_the_model_refuses_and_production_answered_differs(log):
    logs = answered(Numpy(1), ASKED)
    logs[0] = predicted({**ASKED[0], "item": ASKED[0]["item"] + 1000}, Numpy(1).score(ASKED[0]))
    report = tfnorm.replay(write(log, logs), Numpy(1))
    assert report.verdict == "different"
    assert report.model.problems == {
        "the model refuses what production answered: an item is unknown": 1
    }


def test_a_model_that_refuses_all_that_was_answered_differs(log):
    logs = [predicted({**i, "item": i["item"] + 1000}, Numpy(1).score(i)) for i in ASKED]
    report = tfnorm.replay(write(log, logs), Numpy(1))
    assert (report.verdict, report.model.calls_different) == ("different", 30)
    assert report.model.causes == []


def test_calls_of_several_versions_are_told_apart(log):
    models = {n: Numpy(n, name=f"exports/ranker/{n}") for n in (1, 2)}
    logs = [
        predicted(i, models[n % 2 + 1].score(i), version=n % 2 + 1) for n, i in enumerate(ASKED)
    ]
    report = tfnorm.replay(write(log, logs), models[2])
    assert report.model.versions == {"1": [15, 15], "2": [15, 0]}
    assert report.model.causes[0].said.startswith("version 1 answered, and version 2 was given")


def test_a_keras_model_is_scored_in_threads(log):
    keras.utils.set_random_seed(0)
    x = keras.Input((4,), name="x")
    model = keras.Model(x, keras.layers.Dense(1, activation="sigmoid")(x))
    scorer = tfnorm.load_scorer(model)
    logs = [predicted({"x": i["x"]}, scorer.score({"x": i["x"]})) for i in ASKED]
    assert tfnorm.replay(write(log, logs), model, threads=4).verdict == "equal"


def test_progress_is_told(log):
    write(log, answered(Numpy(1), requests(0, 250, rows=(1, 1))))
    seen = []
    tfnorm.replay(log, Numpy(1), progress=lambda done, total: seen.append((done, total)))
    assert len(seen) > 2 and seen == sorted(seen) and seen[-1] == (250, 0)
    seen.clear()
    tfnorm.replay(log, Numpy(1), limit=150, progress=lambda done, total: seen.append((done, total)))
    assert {total for _, total in seen} == {150} and seen[-1] == (150, 150)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"limit": 0}, "limit is 0; accepted: a whole number, 1 or more"),
        ({"threads": 0}, "threads is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"atol": -1.0}, "atol is -1.0; accepted: 0 or more"),
        ({"rtol": float("nan")}, "rtol is nan"),
        ({"signature": "a"}, "signature 'a' was given, but a ranker has chosen its own"),
        ({"score": "ctr"}, "score is 'ctr', a column of a table, but"),
        ({"rows_file": "/nowhere/rows"}, "/nowhere/rows can't be written"),
    ],
)
def test_bad_arguments_are_named(options, reason, log):
    write(log, answered(Numpy(1), ASKED[:2]))
    with pytest.raises(InputError) as refused:
        tfnorm.replay(log, Numpy(1), **options)
    assert reason in str(refused.value)


def test_outputs_that_do_not_belong_together_are_named(log):
    logs = [predicted(ASKED[0], {"a": np.float32([0]), "b": np.float32([0])})]
    with pytest.raises(InputError, match="the log has 'a', 'b' and the model gives 'score'"):
        tfnorm.replay(write(log, logs), Numpy(1))
