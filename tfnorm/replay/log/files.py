"""Which kind of log a file is."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tfnorm.errors import InputError
from tfnorm.examples.formats.json_lines import SUFFIXES, begins_json, opened
from tfnorm.examples.formats.parquet import MAGIC
from tfnorm.examples.table import Inputs
from tfnorm.files.tf_records import START, compression_of
from tfnorm.replay.log.call import Call, Log, Passed
from tfnorm.replay.log.json_log import JsonLog
from tfnorm.replay.log.prediction_log import PredictionLogs
from tfnorm.replay.log.table import CSV, PARQUET, TableLog

JSON = (*SUFFIXES, *(f"{suffix}.gz" for suffix in SUFFIXES))
ACCEPTED = (
    "a TFRecord of TensorFlow Serving's PredictionLog, JSON lines of request and response, or a Parquet or "
    "CSV file with features and scores"
)


def open_log(
    path: Path,
    inputs: Inputs | None,
    *,
    labels: str,
    score: str | None = None,
    request: str | None = None,
) -> Log:
    """The log in a file.

    Args:
        path: the file: told by its suffix, or by how it begins.
        inputs: what the model takes; None where it doesn't say.
        labels: the name that labels go by.
        score: of a table, the column of scores; None for the usual.
        request: of a table, the column that is the same in a request; None for "request".

    Raises:
        InputError: there is no such file, it can't be read, or it is no table where a column is named.
    """
    if not path.is_file():
        found = "is no file" if path.exists() else "does not exist"
        raise InputError(f"{path} {found}; give {ACCEPTED}")
    try:
        with path.open("rb") as file:
            start = file.read(START)
        with opened(path) as unpacked:
            text = unpacked.read(START)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"{path} can't be read: {getattr(error, 'strerror', None) or error}"
        ) from error
    is_parquet = path.name.endswith(PARQUET) or start[:4] == MAGIC
    if is_parquet or path.name.endswith(CSV):
        return TableLog(
            path, inputs, is_parquet=is_parquet, labels=labels, score=score, request=request
        )
    for option, named in (("score", score), ("request", request)):
        if named is not None:
            raise InputError(f"{option} is {named!r}, a column of a table, but {path} is none")
    if path.name.endswith(JSON) or begins_json(text):
        return JsonLog(path, inputs, labels)
    return PredictionLogs(path, compression_of(start), inputs, labels)


def open_logs(
    paths: Sequence[Path],
    inputs: Inputs | None,
    *,
    labels: str,
    score: str | None = None,
    request: str | None = None,
    several: bool | None = None,
) -> Log:
    """The log in a file, or in several one after the other; the other arguments are those of `open_log`.

    Args:
        paths: the files.
        several: whether calls are to say in which file they are; None where there are several.

    Raises:
        InputError: as `open_log` does, for any of them.
    """
    logs = [open_log(p, inputs, labels=labels, score=score, request=request) for p in paths]
    return logs[0] if not several and len(logs) == 1 else _Logs(logs)


class _Logs:
    """The calls of several files."""

    def __init__(self, logs: Sequence[Log]):
        self.name = logs[0].name
        self.batches_known = all(log.batches_known for log in logs)
        self.scores_known = all(log.scores_known for log in logs)
        self._logs = logs

    def entries(self) -> Iterator[tuple[int, tuple[Log, Any]]]:
        for log in self._logs:
            for number, entry in log.entries():
                yield number, (log, entry)

    def call(self, number: int, entry: tuple[Log, Any]) -> Call | Passed:
        log, of_log = entry
        call = log.call(number, of_log)
        return replace(call, file=log.name) if isinstance(call, Call) else call
