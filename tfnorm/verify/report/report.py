"""The report that a verification gives: its result, as text and as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tfnorm.errors import InputError
from tfnorm.parity.ranking import RankingResult
from tfnorm.reports.document import Document, infinite_if_none, plain
from tfnorm.reports.provenance import Provenance
from tfnorm.statistics.results import StatisticsFit
from tfnorm.verify.report.text import to_text
from tfnorm.verify.results import (
    CompositionResult,
    Culprit,
    InvarianceResult,
    Move,
    OutputResult,
    Parity,
    ParityOutput,
    Stake,
)


class InvarianceReport(InvarianceResult, Document):
    """Whether an example's scores depend on the batch in which it arrives, to print and to keep.

    Its attributes are those of `InvarianceResult`; `passed` is the answer. Printed, it is the table
    of the command line.

    Example:

        >>> model = keras.Sequential([keras.Input((3,), name="x"), keras.layers.Dense(1)])
        >>> report = tfnorm.verify_batch_invariance(model, {"x": np.eye(3, dtype=np.float32)})
        >>> print(report)
        Keras model ...
          PASSED  3 examples, ... compositions: no score moves ...
        >>> InvarianceReport.from_dict(report.to_dict()) == report
        True
    """

    def __str__(self) -> str:
        return to_text(self)

    def to_dict(self) -> dict[str, Any]:
        """The report as dicts, lists and plain values; a number that isn't finite is None."""
        form: dict[str, Any] = plain(dataclasses.asdict(self))
        if self.statistics is not None:
            form["statistics"] = self.statistics.to_dict()
        return form

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> InvarianceReport:
        """The report that `to_dict` gave, or `json.load` read."""
        fields = dict(document)
        fields["max_abs_diff"] = infinite_if_none(fields["max_abs_diff"])
        fields["budget"] = infinite_if_none(fields["budget"])
        fields["outputs"] = {
            name: OutputResult(
                **{**output, "max_abs_diff": infinite_if_none(output["max_abs_diff"])}
            )
            for name, output in fields["outputs"].items()
        }
        fields["compositions"] = [_composition(result) for result in fields["compositions"]]
        if fields["stake"] is not None:
            auc = {int(size): value for size, value in fields["stake"]["auc"].items()}
            fields["stake"] = Stake(**{**fields["stake"], "auc": auc})
        if fields.get("parity") is not None:
            fields["parity"] = _parity(fields["parity"])
        if fields["culprit"] is not None:
            fields["culprit"] = Culprit(**fields["culprit"])
        if fields["statistics"] is not None:
            fields["statistics"] = StatisticsFit.from_dict(fields["statistics"])
        if fields.get("provenance") is not None:
            fields["provenance"] = Provenance(**fields["provenance"])
        return cls(**fields)


class Undecided(InputError):
    """Nothing moved, but too little was scored, or the scores show too little, to tell.

    Args:
        reason: why it can't be told, in a line.
        report: what is known; its `passed` is None.

    Example:

        try:
            report = tfnorm.verify_batch_invariance("exports/ranker", budget=0.1)
        except tfnorm.verify.Undecided as undecided:
            print(undecided, undecided.report.left_out)
    """

    def __init__(self, reason: str, report: InvarianceReport):
        super().__init__(reason)
        self.report = report


def _parity(document: Mapping[str, Any]) -> Parity:
    outputs = {}
    for name, output in document["outputs"].items():
        found = {**output, "max_abs_diff": infinite_if_none(output["max_abs_diff"])}
        found["quantiles"] = {
            float(share): infinite_if_none(value) for share, value in output["quantiles"].items()
        }
        ranking = output["ranking"]
        found["ranking"] = None if ranking is None else RankingResult(**ranking)
        outputs[name] = ParityOutput(**found)
    return Parity(**{**document, "outputs": outputs})


def _composition(document: Mapping[str, Any]) -> CompositionResult:
    moves = {
        name: Move(**{**move, "max_abs_diff": infinite_if_none(move["max_abs_diff"])})
        for name, move in document["outputs"].items()
    }
    difference = infinite_if_none(document["max_abs_diff"])
    return CompositionResult(**{**document, "max_abs_diff": difference, "outputs": moves})
