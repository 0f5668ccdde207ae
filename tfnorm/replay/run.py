"""One replay: read, score, add up, and say why."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from tfnorm.replay.replayer import Replayer, Target, check_whole
from tfnorm.replay.report.report import ReplayReport
from tfnorm.replay.rows_file import RowsFile
from tfnorm.scorers.servers.connection import Connection
from tfnorm.verify.judgement.tolerance import ATOL, RTOL


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

    Each request is scored in the batch as it was logged. A row is equal if each of its values is within

        |new - logged| <= max(atol max(1, scale) + rtol |logged|, 256 epsilons of max(|logged|, scale))

    of the model's. `scale` is the median magnitude of that value over the log's first 4,096 rows, and for a
    model that computes in 16 bits it is 4 epsilons in the place of 256. It is also a difference if 95% of
    all values are off the same way, each by 4 epsilons or more. Where rows differ, some requests are scored
    in other ways, to see which of them gives what was logged.

    Args:
        log: a TFRecord of TensorFlow Serving's PredictionLog; JSON lines of request and response; or a
            Parquet or CSV file with a column for each input and one of scores; or a folder of such files, or
            a pattern. It is streamed.
        model: what `load_scorer` takes, or a scorer.
        against: another model, which is put beside it; None for none.
        labels: a file of labels with the columns `request`, `row` and `label`, or the name that labels have
            in the log; None for "labels", if the log has them.
        score: the column of a table that has the scores; None for the column that has the name of an output
            of the model, or `score`.
        request: the column of a table that has the same value in all rows of a request; None for "request",
            if there is one.
        limit: how many requests are replayed at most; of more, that many are drawn at random; None for all.
        atol: absolute tolerance, 1e-6 by default; a wider one widens all bounds alike.
        rtol: relative tolerance, 1e-5 by default; likewise.
        seed: decides which requests are drawn where there is a limit, and which are scored in other ways.
        signature: the name of a signature of a SavedModel or a server; None for the one that the log's
            first request asked, whose other requests are then passed over.
        connection: how to reach a server; None for the defaults.
        rows_file: where the rows that differ are written, as JSON lines; None for nowhere.
        threads: how many threads score requests; None for one for each core.
        progress: called with the number of requests scored so far and of those there are, 0 where that
            isn't known; None to call nothing.

    Returns:
        The report; its `verdict` is the answer for `model`.

    Raises:
        InputError: it could not tell: the log or a model can't be used, no request can be compared, or a
            server stops answering.

    Example:

        >>> import json, pathlib
        >>> model = keras.Sequential([keras.Input((1,), name="x"), keras.layers.Dense(1)])
        >>> line = {"request": {"instances": [[0.0]]}, "response": {"predictions": [[0.0]]}}
        >>> _ = pathlib.Path("log.jsonl").write_text(json.dumps(line))
        >>> tfnorm.replay("log.jsonl", model).verdict
        'equal'
    """
    check_whole("threads", threads, 1)
    with Replayer(
        log,
        model,
        against,
        labels=labels,
        score=score,
        request=request,
        limit=limit,
        atol=atol,
        rtol=rtol,
        seed=seed,
        signature=signature,
        connection=connection,
    ) as replayer:
        rows = nullcontext() if rows_file is None else RowsFile(Path(rows_file))
        with rows as opened:
            part = replayer.part(rows=opened, threads=threads, progress=progress)
        return replayer.report(part)
