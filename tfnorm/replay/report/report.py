"""The report that a replay gives: its result, as text and as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tfnorm.parity.ranking import RankingResult
from tfnorm.replay.partial.worst import WorstCall
from tfnorm.replay.report.text import to_text
from tfnorm.replay.results import (
    EQUAL,
    Cause,
    Dependence,
    ModelResult,
    QualityResult,
    ReplayResult,
)
from tfnorm.reports.document import Document, infinite_if_none, plain, reading
from tfnorm.reports.provenance import Provenance


class ReplayReport(ReplayResult, Document):
    """Whether the answers in a log are a model's, to print and to keep.

    Its attributes are those of `ReplayResult`; `verdict` is the answer. Printed, it is the table of the
    command line.

    Example:

        >>> import json, pathlib
        >>> model = keras.Sequential([keras.Input((1,), name="x"), keras.layers.Dense(1)])
        >>> line = {"request": {"instances": [[0.0]]}, "response": {"predictions": [[0.0]]}}
        >>> _ = pathlib.Path("log.jsonl").write_text(json.dumps(line))
        >>> report = tfnorm.replay("log.jsonl", model)
        >>> print(report)
        log.jsonl  1 request, 1 row  Keras model ...
        >>> ReplayReport.from_dict(report.to_dict()) == report
        True
    """

    @property
    def passed(self) -> bool:
        """Whether what was logged is equal to the model's."""
        return self.verdict == EQUAL

    def __str__(self) -> str:
        return to_text(self)

    def to_dict(self) -> dict[str, Any]:
        """The report as dicts, lists and plain values; a number that isn't finite is None."""
        form: dict[str, Any] = plain({"passed": self.passed, **dataclasses.asdict(self)})
        return form

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> ReplayReport:
        """The report that `to_dict` gave, or `json.load` read, in this release or an earlier one.

        Raises:
            InputError: the document is no such report, or a later release wrote it.
        """
        with reading(cls):
            fields = {name: value for name, value in document.items() if name != "passed"}
            for name in ("model", "against"):
                if fields[name] is not None:
                    fields[name] = _model(fields[name])
            fields["provenance"] = Provenance(**fields["provenance"])
            return cls(**fields)


def _model(document: Mapping[str, Any]) -> ModelResult:
    fields = dict(document)
    fields["max_abs_diff"] = infinite_if_none(fields["max_abs_diff"])
    fields["quantiles"] = {float(q): infinite_if_none(x) for q, x in fields["quantiles"].items()}
    fields["worst"] = [
        WorstCall(**{**worst, "difference": infinite_if_none(worst["difference"])})
        for worst in fields["worst"]
    ]
    fields["causes"] = [Cause(**cause) for cause in fields["causes"]]
    dependence = fields["dependence"]
    fields["dependence"] = Dependence(
        **{**dependence, "move": infinite_if_none(dependence["move"])}
    )
    for name, kind in (
        ("ranking", RankingResult),
        ("logged", QualityResult),
        ("new", QualityResult),
    ):
        if fields[name] is not None:
            fields[name] = kind(**fields[name])
    return ModelResult(**fields)
