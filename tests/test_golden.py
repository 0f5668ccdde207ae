"""What earlier releases wrote is read, and scores as it did: `scripts/golden.py` adds a release."""

import dataclasses
import json
import runpy
from contextlib import closing
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfnorm
from tfnorm.errors import InputError
from tfnorm.replay import ReplayReport
from tfnorm.verify import InvarianceReport

ROOT = Path(__file__).parents[1]
RELEASES = sorted((ROOT / "tests" / "golden").iterdir())
every_release = pytest.mark.parametrize("folder", RELEASES, ids=lambda folder: folder.name)
MODELS = ("layers", "din", "dien")
EXACT = {"rtol": 1e-5, "atol": 1e-6}


def arrays(path):
    with np.load(path) as file:
        return dict(file)


def examples(folder, model):
    kept = "layers/1/assets.extra/examples.npz" if model == "layers" else "log_examples.npz"
    return arrays(folder / kept)


def has_default(field):
    return (field.default, field.default_factory) != (dataclasses.MISSING, dataclasses.MISSING)


def tensors(folder, model):
    return {name: tf.constant(array) for name, array in examples(folder, model).items()}


@every_release
@pytest.mark.parametrize("name", MODELS)
def test_a_keras_file_loads_and_scores_as_it_did(folder, name):
    model = keras.models.load_model(folder / f"{name}.keras")
    found = model(tensors(folder, name))
    np.testing.assert_allclose(found, arrays(folder / "scores.npz")[name], **EXACT)


@every_release
@pytest.mark.parametrize("name", MODELS)
def test_a_weights_file_loads_into_a_model_of_other_weights(folder, name):
    model = keras.models.load_model(folder / f"{name}.keras")
    model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])
    model.load_weights(folder / f"{name}.weights.h5")
    found = model(tensors(folder, name))
    np.testing.assert_allclose(found, arrays(folder / "scores.npz")[name], **EXACT)


@every_release
def test_an_export_scores_as_it_did_and_still_fits_its_examples(folder):
    with closing(tfnorm.load_scorer(folder / "layers")) as scorer:
        found = scorer.score(examples(folder, "layers"))
    np.testing.assert_allclose(found["score"], arrays(folder / "scores.npz")["layers"], **EXACT)
    assert tfnorm.inspect_saved_model(folder / "layers").passed


@every_release
def test_a_numpy_predictor_scores_as_it_did(folder):
    predict = runpy.run_path(str(folder / "predictor" / "predict.py"))["predict"]
    found = predict(examples(folder, "layers"))
    np.testing.assert_allclose(found, arrays(folder / "scores.npz")["layers"], **EXACT)


@every_release
def test_a_schema_means_what_it_did(folder):
    schema = tfnorm.Schema.load(folder / "schema.json")
    assert json.loads((folder / "schema.json").read_text()).items() <= schema.to_dict().items()
    model = keras.models.load_model(folder / "din.keras")
    assert model.schema == schema


@every_release
@pytest.mark.parametrize(
    ("name", "report", "verdict"),
    [
        ("verify", InvarianceReport, lambda report: report.passed),
        ("verify-failed", InvarianceReport, lambda report: report.culprit.op_type == "Softmax"),
        ("replay", ReplayReport, lambda report: report.verdict == "equal"),
        ("replay-different", ReplayReport, lambda report: report.model.causes[0].certain),
    ],
)
def test_a_report_is_read_and_says_what_it_said(folder, name, report, verdict):
    document = json.loads((folder / f"{name}.json").read_text())
    found = report.from_dict(document)
    assert verdict(found)
    written = json.loads(json.dumps(found.to_dict()))
    assert {name: written[name] for name in document} == document


@every_release
def test_the_reports_have_all_that_reports_may_have(folder):
    """So that none of the classes that they are made of can change without a test that notices."""
    failed = json.loads((folder / "verify-failed.json").read_text())
    assert all(failed[part] for part in ("stake", "parity", "culprit", "statistics", "provenance"))
    assert failed["stake"]["auc"] and failed["parity"]["outputs"]["score"]["ranking"]
    different = json.loads((folder / "replay-different.json").read_text())
    for model in (different["model"], different["against"]):
        assert all(model[part] for part in ("worst", "ranking", "logged", "new", "dependence"))
    assert different["model"]["causes"]


@every_release
@pytest.mark.parametrize(
    ("name", "report"), [("verify-failed", InvarianceReport), ("replay-different", ReplayReport)]
)
def test_a_report_without_what_a_later_release_added_is_read(folder, name, report):
    document = json.loads((folder / f"{name}.json").read_text())
    added = [field.name for field in dataclasses.fields(report) if has_default(field)]
    found = report.from_dict({key: document[key] for key in document if key not in added})
    assert all(
        getattr(found, key) == document[key]
        for key in ("verdict", "passed", "seed")
        if key in document
    )


@pytest.mark.parametrize("report", [InvarianceReport, ReplayReport])
@pytest.mark.parametrize("document", [{}, {"passed": True, "later": 1}, None, {"outputs": 3}])
def test_what_is_no_report_is_refused_in_a_line(report, document):
    with pytest.raises(InputError, match=rf"^the document is no {report.__name__} .*accepted: "):
        report.from_dict(document)


def test_a_report_of_a_later_release_is_refused():
    document = json.loads((RELEASES[-1] / "verify.json").read_text())
    with pytest.raises(InputError, match=r"'certainty'.*this release or an earlier one"):
        InvarianceReport.from_dict({**document, "certainty": 1.0})


@every_release
def test_a_report_of_statistics_has_what_it_had_and_says_what_it_said(folder):
    before = json.loads((folder / "statistics.json").read_text())
    now = tfnorm.verify_statistics(folder / "layers").to_dict()
    assert before.keys() <= now.keys()
    for answer in ("passed", "failed", "by_batch", "unseen", "nothing"):
        assert now[answer] == before[answer]


def test_this_release_has_its_files():
    assert tfnorm.__version__ in {folder.name for folder in RELEASES}
