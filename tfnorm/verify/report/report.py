"""The report that a verification gives: its result, as text and as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from tfnorm.errors import InputError
from tfnorm.parity.ranking import RankingResult
from tfnorm.reports.document import Document, infinite_if_none, plain, reading
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
        """The report that `to_dict` gave, or `json.load` read, in this release or an earlier one.

        Raises:
            InputError: the document is no such report, or a later release wrote it.
        """
        with reading(cls):
            fields = dict(document)
            for name in ("max_abs_diff", "budget"):
                fields[name] = infinite_if_none(fields[name])
            fields["outputs"] = {name: _output(found) for name, found in fields["outputs"].items()}
            fields["compositions"] = [_composition(result) for result in fields["compositions"]]
            for name, read in _PARTS.items():
                if fields.get(name) is not None:
                    fields[name] = read(fields[name])
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


def _output(document: Mapping[str, Any]) -> OutputResult:
    difference = infinite_if_none(document["max_abs_diff"])
    return OutputResult(**{**document, "max_abs_diff": difference})


def _stake(document: Mapping[str, Any]) -> Stake:
    auc = {int(size): value for size, value in document["auc"].items()}
    return Stake(**{**document, "auc": auc})


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


_PARTS: dict[str, Callable[[Mapping[str, Any]], object]] = {
    "stake": _stake,
    "parity": _parity,
    "culprit": lambda document: Culprit(**document),
    "statistics": StatisticsFit.from_dict,
    "provenance": lambda document: Provenance(**document),
}
"""What a report may have, by its field; a field that came with a later release is not in every document."""
