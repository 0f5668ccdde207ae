"""Every planted defect is found with its op, every clean model passes; the documents say so."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import zoo
from verify.dependent_models import few_examples

from tfnorm.verify import assert_batch_invariant, batch_invariance, find_culprit

DOCUMENT = Path(__file__).parents[2] / "docs" / "verify.md"
SLOW = (
    "a Keras application",
    "float16",
    "loop until the whole batch is done",
    "masked GRU",
    "mean over all steps behind a masked transformer",
    "several hundred inputs",
)

CAUSES = {
    "batch size as a feature": "size",
    "batch size as a threshold": "size",
    "batch size in a branch": "size",
    "rows counted by a sum": "size",
    "place in the batch": "position",
    "GRU that reads the padding": "padding",
    "mean over padded steps": "padding",
    "random noise": "repeat",
    "hidden counter": "repeat",
    "dropout left on": "repeat",
    "state of the last call": "repeat",
    "state that a scatter changes": "repeat",
    "mean over all steps behind a masked transformer": "padding",
    "second attention without a mask": "padding",
}
"""The kind of composition that must find a defect; where none is named, other neighbours."""

PROBLEMS = {
    "top-k of the batch": "not alone",
    "squeezed without an axis": "for one example: the batch dimension is lost",
}
"""Defects whose rows can't be compared, and what is said of them."""


def _marked(names):
    return [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in names]


@pytest.mark.parametrize("name", _marked(zoo.DEFECTS))
def test_a_defect_is_found_with_its_op_and_its_cause(name):
    specimen, directory = zoo.exported(name)
    report = batch_invariance(directory, few_examples(name, specimen))
    assert not report.passed
    culprit = report.culprit
    assert (culprit.op_type, culprit.layer) == (specimen.op_type, specimen.layer)
    assert "PartitionedCall" not in culprit.op
    assert culprit.explanation and culprit.advice
    failed = [result for result in report.compositions if not result.passed]
    if name in PROBLEMS:
        assert PROBLEMS[name] in failed[0].outputs["score"].problem
        return
    causes = {r.kind for r in failed if r.kind != "neighbours" or r.against != "one at a time"}
    assert CAUSES.get(name, "neighbours") in causes
    if CAUSES.get(name) in ("size", "position", "padding"):
        assert not causes & {"neighbours", "repeat"}


@pytest.mark.parametrize("name", _marked(zoo.CLEAN))
def test_a_clean_model_passes_and_no_op_of_it_is_accused(name):
    specimen, directory = zoo.exported(name)
    if name == "a Keras application":
        # All sizes of batches of its images would take longer than all other models.
        assert batch_invariance(
            directory, few_examples(name, specimen, 8), batch_sizes=[2, 16]
        ).passed
    else:
        assert_batch_invariant(directory, few_examples(name, specimen))
    assert find_culprit(directory, specimen.examples) is None


@pytest.mark.parametrize("defect", ["a term of 1e-5", "perceptron"])
def test_a_score_among_large_ones_is_judged_by_its_own_size(defect):
    specimen, directory = zoo.exported(defect)
    examples = {"x": specimen.examples["x"] * np.float32(1e-3)}
    report = batch_invariance(directory, examples, batch_sizes=[2, 16])
    assert report.passed == (defect == "perceptron")


def test_a_model_whose_padding_nobody_shows_is_told_apart():
    specimen, directory = zoo.exported("GRU that reads the padding")
    report = batch_invariance(directory, specimen.examples, batch_sizes=[2, 16])
    assert report.passed
    assert report.left_out == {
        "longer padding of 'x'": "no example ends in zeros: they may mean more"
    }


def _table(after):
    """The rows of the first table after a heading of the document."""
    text = DOCUMENT.read_text(encoding="utf-8").partition(f"## {after}\n")[2].partition("\n## ")[0]
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip(" `") for cell in row.strip("|").split("|")] for row in rows[2:]]


def test_the_documents_table_is_the_zoo():
    planted = [[name, build().op_type] for name, build in zoo.DEFECTS.items()]
    assert [row[:2] for row in _table("Defects that it finds")] == planted
    assert len(planted) >= 20
    assert [row[0] for row in _table("Models that it passes")] == list(zoo.CLEAN)
    assert len(zoo.CLEAN) >= 15


def test_the_document_has_every_field_of_the_report():
    specimen, directory = zoo.exported("mean-centring")
    labels = np.arange(96) % 2
    document = batch_invariance(
        directory, specimen.examples, labels=labels, batch_sizes=[2, 16], against=directory
    ).to_dict()
    keys = {"auc": "SIZE", "quantiles": "SHARE", "versions": "PACKAGE", "fingerprints": "WHAT"}

    def paths(value, path=""):
        last = path.rpartition(".")[2]
        if last == "ranking" or not isinstance(value, dict | list):
            return {path}
        if isinstance(value, list):
            return paths(value[0], f"{path}[]") if value else {f"{path}[]"}
        if last == "outputs":
            return paths(next(iter(value.values())), f"{path}.NAME")
        if path == "left_out":
            return set()
        if last in keys:
            return {f"{path}.{keys[last]}"}
        return set().union(*(paths(v, f"{path}.{k}".strip(".")) for k, v in value.items()))

    documented = {row[0] for row in _table("The JSON report")}
    assert documented == paths(document) | {
        "left_out.COMPOSITION",
        "fed.NAME",
        "untold.NAME",
    }
    assert {
        f.name
        for f in dataclasses.fields(
            type(batch_invariance(directory, specimen.examples, batch_sizes=[2]))
        )
    } == {re.split(r"[.\[]", path)[0] for path in documented}
