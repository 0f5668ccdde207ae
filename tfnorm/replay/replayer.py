"""A log and its models, opened: parts are replayed anywhere, and what they come to is judged once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

import keras
import numpy as np

from tfnorm.errors import InputError
from tfnorm.examples.files import found
from tfnorm.examples.table import LABELS
from tfnorm.replay.judgement.diagnosis import Case, diagnose
from tfnorm.replay.log.call import Call, Log
from tfnorm.replay.log.files import open_logs
from tfnorm.replay.log.labels import labels_in
from tfnorm.replay.log.sampling import count, drawn
from tfnorm.replay.parts import Basis, Part
from tfnorm.replay.report.report import ReplayReport
from tfnorm.replay.results import ModelResult
from tfnorm.replay.rows_file import RowsFile
from tfnorm.replay.summary import model_result
from tfnorm.replay.tally import Tally
from tfnorm.reports.provenance import Stopwatch
from tfnorm.scorers.load import load_scorer
from tfnorm.scorers.scorer import BareScorer, Scorer, completed
from tfnorm.scorers.servers.connection import Connection
from tfnorm.verify.judgement.tolerance import ATOL, RTOL, Tolerance

Target: TypeAlias = keras.Model | str | Path | BareScorer

_SOUGHT = 1000
"""Calls among which one is sought that says which signature it asked."""


class Replayer:
    """Replays parts of a log, wherever they are, and reports on what they come to together.

    `replay` is this with one part. Whoever has an engine that merges, such as Spark, Beam or Ray, has a
    replayer on each worker, made with the `basis` of the first; the parts that they give merge in any order,
    and any of them reports.

    Args:
        log: a file as `replay` takes it, a folder of such files, or a pattern.
        model: what `load_scorer` takes, or a scorer.
        against: another one, that is put beside it; None for none.
        labels: as `replay` takes them; None for "labels", if the log has them.
        score: the column of a table that has the scores; None for the usual.
        request: the column of a table that is the same in the rows of a request; None for the usual.
        limit: how many requests are replayed, drawn from all files; None for all.
        atol: absolute tolerance, as `replay` takes it.
        rtol: relative tolerance, likewise.
        seed: decides what is drawn.
        signature: the name of a signature; None for the one that the log's first request asked.
        connection: how to reach a server; None for the defaults.
        basis: that of another replayer of the same log; None to find it out when it is needed.

    Raises:
        InputError: as `replay` does.

    Attributes:
        files: those of the log.

    Example:

        >>> import json, pathlib
        >>> model = keras.Sequential([keras.Input((1,), name="x"), keras.layers.Dense(1)])
        >>> line = json.dumps({"request": {"instances": [[0.0]]}, "response": {"predictions": [[0.0]]}})
        >>> for name in ("a.jsonl", "b.jsonl"):
        ...     _ = pathlib.Path(name).write_text(line)
        >>> with Replayer("*.jsonl", model) as replayer:
        ...     whole, *parts = [replayer.part([file]) for file in replayer.files]
        ...     for part in parts:
        ...         whole.merge(part)
        ...     report = replayer.report(whole)
        >>> report.verdict, report.model.calls
        ('equal', 2)
    """

    def __init__(
        self,
        log: str | Path,
        model: Target,
        against: Target | None = None,
        *,
        labels: str | Path | None = None,
        score: str | None = None,
        request: str | None = None,
        limit: int | None = None,
        atol: float = ATOL,
        rtol: float = RTOL,
        seed: int = 0,
        signature: str | None = None,
        connection: Connection | None = None,
        basis: Basis | None = None,
    ):
        for name, value in (("atol", atol), ("rtol", rtol)):
            if not 0 <= value < math.inf:
                raise InputError(f"{name} is {value!r}; accepted: 0 or more")
        check_whole("limit", limit, 1)
        check_whole("seed", seed, 0)
        self.files = found(log)
        self._several = len(self.files) > 1
        self._watch = Stopwatch()
        self._log, self._asked_labels = log, labels
        self._score, self._request = score, request
        self._labels = None if labels is None else labels_in(labels)
        self._name = LABELS if labels is None or self._labels is not None else str(labels)
        self._tolerance, self._seed, self._limit = Tolerance(atol, rtol), int(seed), limit
        self._one_signature, self._compares = signature is None, against is not None
        self._basis, self._given = basis, 0
        targets = [model] if against is None else [model, against]
        wanted = signature
        if signature is None and any(map(_has_signatures, targets)):
            wanted = _logged_signature(self.files, score, request)
        self._stack = ExitStack()
        with ExitStack() as stack:
            self._scorers = [_opened(stack, x, signature, wanted, connection) for x in targets]
            self._stack = stack.pop_all()

    @property
    def basis(self) -> Basis:
        """What the log's first calls decide for all; where that is to come, they are scored for it."""
        if self._basis is None:
            log = self._opened(self.files)
            tally = Tally(log, self._scorers, self._labels, self._tolerance, self._seed)
            tally.head(log.entries(), 0, self._one_signature, 1)
            self._basis = tally.basis
        assert self._basis is not None
        return self._basis

    def part(
        self,
        files: Sequence[Path] | None = None,
        *,
        below: Sequence[tuple[float, float]] | None = None,
        rows: RowsFile | None = None,
        threads: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Part:
        """What some files of the log come to.

        Args:
            files: those; None for all of them.
            below: `Part.below` of one that this one is merged with, which needs no more; None where that is
                not known.
            rows: gets the rows that differ; None for nowhere.
            threads: how many threads score requests; None for one for each core.
            progress: called with the requests scored so far and those there are; None for nothing.

        Raises:
            InputError: a file is damaged, or none of its calls can be compared.
        """
        log = self._opened(self.files if files is None else files)
        basis = self._basis if files is None else self.basis
        tally = Tally(
            *(log, self._scorers, self._labels, self._tolerance, self._seed),
            *(rows, progress, basis, below),
        )
        entries, total = log.entries(), 0
        if self._limit is not None:
            self._given = count(log)
            total = min(self._given, self._limit)
            entries = drawn(log, self._given, self._limit, self._seed)
        found = tally.run(entries, total, self._one_signature, threads)
        self._basis = tally.basis
        return found

    def report(self, part: Part) -> ReplayReport:
        """Say whether the answers are the model's, and if not, why.

        Args:
            part: what all files come to.

        Raises:
            InputError: none of the calls can be given to the model, or a server stops answering.
        """
        results = [self._result(place, part) for place in range(len(self._scorers))]
        models = dict(zip(("model", "against"), self._scorers, strict=False))
        labels = self._asked_labels
        return ReplayReport(
            log=str(self._log),
            verdict=results[0].verdict,
            calls_given=self._given or part.drawn,
            calls_drawn=part.drawn,
            passed_over=dict(part.passed_over),
            batches_known=part.batches_known,
            model=results[0],
            against=results[1] if self._compares else None,
            labels=None if labels is None else str(labels),
            atol=float(self._tolerance.atol),
            rtol=float(self._tolerance.rtol),
            limit=self._limit,
            seed=self._seed,
            provenance=self._watch.provenance(models, Path(self._log)),
        )

    def close(self) -> None:
        """Close the models that were opened."""
        self._stack.close()

    def __enter__(self) -> Replayer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _opened(self, files: Sequence[Path]) -> Log:
        return open_logs(
            files,
            self._scorers[0].inputs,
            labels=self._name,
            score=self._score,
            request=self._request,
            several=self._several,
        )

    def _result(self, place: int, part: Part) -> ModelResult:
        """What a model came to, and why where it differs."""
        scorer, partial, basis = self._scorers[place], part.partials[place], self.basis
        if not partial.calls and place == 0:
            # Of the other model it is told beside the first, which could.
            reason = "; ".join(partial.unfit) or str(basis.unpaired[place])
            raise InputError(f"{self._log}: no request can be given to {scorer.name}: {reason}")
        others = [other for other in self._scorers if other is not scorer]
        case = Case(
            scorer,
            others[0] if others else None,
            basis.pairs[place],
            part.samples[place],
            partial,
            part.batches_known,
        )
        return model_result(case, diagnose(case))


def _logged_signature(files: list[Path], score: str | None, request: str | None) -> str | None:
    """The signature that the first call asked; None where none says."""
    try:
        opened = open_logs(files, None, labels=LABELS, score=score, request=request)
        for (number, entry), _ in zip(opened.entries(), range(_SOUGHT), strict=False):
            call = opened.call(number, entry)
            if isinstance(call, Call):
                return call.spec.signature
    except InputError:
        # What is wrong is told when the log is read for the model.
        return None
    return None


def _has_signatures(target: Target) -> bool:
    return isinstance(target, str | Path) and Path(target).suffix != ".keras"


def _opened(
    stack: ExitStack,
    target: Target,
    signature: str | None,
    wanted: str | None,
    connection: Connection | None,
) -> Scorer:
    """A scorer of a model, which is closed with the stack where it is made here."""
    if isinstance(target, BareScorer):
        if signature is not None:
            raise InputError(
                f"signature {signature!r} was given, but {target.name} has chosen its own"
            )
        return completed(target)
    given = wanted if _has_signatures(target) else signature
    scorer = load_scorer(target, signature=given, connection=connection)
    stack.callback(scorer.close)
    return scorer


def check_whole(name: str, value: int | None, least: int) -> None:
    """Raise InputError unless it is None or a whole number, and as large as that."""
    if value is not None and not (isinstance(value, int | np.integer) and value >= least):
        raise InputError(f"{name} is {value!r}; accepted: a whole number, {least} or more")
