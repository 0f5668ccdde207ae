"""One replay: read, score, add up, and say why."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

import keras
import numpy as np

from tfnorm.errors import InputError
from tfnorm.examples.table import LABELS
from tfnorm.replay.log.call import Call
from tfnorm.replay.log.files import open_log
from tfnorm.replay.log.labels import labels_in
from tfnorm.replay.log.sampling import count, drawn
from tfnorm.replay.report.report import ReplayReport
from tfnorm.replay.rows_file import RowsFile
from tfnorm.replay.tally import Tally
from tfnorm.reports.provenance import Stopwatch
from tfnorm.scorers.load import load_scorer
from tfnorm.scorers.scorer import BareScorer, Scorer, completed
from tfnorm.scorers.servers.connection import Connection
from tfnorm.verify.judgement.tolerance import ATOL, RTOL, Tolerance

Target: TypeAlias = keras.Model | str | Path | BareScorer

_SOUGHT = 1000
"""Calls among which one is sought that says which signature it asked."""


def replay(
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
    rows_file: str | Path | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ReplayReport:
    """Find out whether the answers in a log are a model's, and if not, why.

    Each request is scored in the batch as it was logged. A row is equal where each of its values is within

        |new - logged| <= max(atol max(1, scale) + rtol |logged|, 256 epsilons of max(|logged|, scale))

    of the model's, `scale` being the median magnitude of that value over the log's first 4,096 rows (4
    epsilons of a model that computes in 16 bits); and not 95% of all values may be off the same way, each by
    4 epsilons or more. Where rows differ, some requests are scored in other ways, to see which gives what
    was logged.

    Args:
        log: a TFRecord of TensorFlow Serving's PredictionLog; JSON lines of request and response; or a
            Parquet or CSV file with a column for each input and one of scores. It is streamed.
        model: what `load_scorer` takes, or a scorer.
        against: another one, that is put beside it; None for none.
        labels: a file of labels with the columns `request`, `row` and `label`, or the name that labels have
            in the log; None for "labels", if the log has them.
        score: the column of a table that has the scores; None for one that is called as an output of
            the model, or usually.
        request: the column of a table that is the same in the rows of a request; None for "request", if
            there is one.
        limit: how many requests are replayed, whole; of more, that many drawn at random; None for all.
        atol: absolute tolerance, 1e-6 by default; a wider one widens all bounds alike.
        rtol: relative tolerance, 1e-5 by default; likewise.
        seed: decides which requests are drawn where there is a limit, and which are looked into.
        signature: the name of a signature of a SavedModel or a server; None for the one that the log's
            first request asked, whose other requests are then passed over.
        connection: how to reach a server; None for the defaults.
        rows_file: where the rows that differ are written, as JSON lines; None for nowhere.
        threads: in which requests are scored; None for one a core.
        progress: called with the requests scored so far and those there are; 0 where that isn't known.
            None for nothing.

    Returns:
        The report; `verdict` is the answer, on `model`.

    Raises:
        InputError: it could not tell: the log or a model can't be used, no call can be compared, or a server
            stops answering.

    Example:

        >>> import json, pathlib
        >>> model = keras.Sequential([keras.Input((1,), name="x"), keras.layers.Dense(1)])
        >>> line = {"request": {"instances": [[0.0]]}, "response": {"predictions": [[0.0]]}}
        >>> _ = pathlib.Path("log.jsonl").write_text(json.dumps(line))
        >>> tfnorm.replay("log.jsonl", model).verdict
        'equal'
    """
    _check(limit, atol, rtol, seed, threads)
    watch = Stopwatch()
    joined = None if labels is None else labels_in(labels)
    name = LABELS if labels is None or joined is not None else str(labels)
    targets = [model] if against is None else [model, against]
    wanted = signature
    if signature is None and any(map(_has_signatures, targets)):
        wanted = _logged_signature(Path(log), score, request)
    with ExitStack() as stack:
        scorers = [_opened(stack, target, signature, wanted, connection) for target in targets]
        opened = open_log(Path(log), scorers[0].inputs, labels=name, score=score, request=request)
        rows = None if rows_file is None else stack.enter_context(RowsFile(Path(rows_file)))
        given = count(opened) if limit is not None else 0
        tally = Tally(opened, scorers, joined, Tolerance(atol, rtol), seed, rows, progress)
        entries = opened.entries() if limit is None else drawn(opened, given, limit, seed)
        tally.run(entries, min(given, limit or 0), signature is None, threads)
        results = tally.results()
        models = dict(zip(("model", "against"), scorers, strict=False))
        provenance = watch.provenance(models, Path(log))
    return ReplayReport(
        log=str(log),
        verdict=results[0].verdict,
        calls_given=given or tally.drawn,
        calls_drawn=tally.drawn,
        passed_over=dict(tally.passed_over),
        batches_known=opened.batches_known,
        model=results[0],
        against=results[1] if against is not None else None,
        labels=None if labels is None else str(labels),
        atol=float(atol),
        rtol=float(rtol),
        limit=limit,
        seed=int(seed),
        provenance=provenance,
    )


def _logged_signature(log: Path, score: str | None, request: str | None) -> str | None:
    """The signature that the first call asked; None where none says."""
    try:
        opened = open_log(log, None, labels=LABELS, score=score, request=request)
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
    has_none = isinstance(target, keras.Model) or Path(str(target)).suffix == ".keras"
    scorer = load_scorer(target, signature=signature if has_none else wanted, connection=connection)
    stack.callback(scorer.close)
    return scorer


def _check(limit: int | None, atol: float, rtol: float, seed: int, threads: int | None) -> None:
    for name, value in (("atol", atol), ("rtol", rtol)):
        if not 0 <= value < math.inf:
            raise InputError(f"{name} is {value!r}; accepted: 0 or more")
    for name, whole, least in (("limit", limit, 1), ("seed", seed, 0), ("threads", threads, 1)):
        if whole is not None and not (isinstance(whole, int | np.integer) and whole >= least):
            raise InputError(f"{name} is {whole!r}; accepted: a whole number, {least} or more")
