"""Replay of logs that the workers of a cluster read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfnorm.cluster.workers import Workers, check_count, everywhere, none_taken
from tfnorm.errors import InputError
from tfnorm.examples.files import is_address
from tfnorm.replay.parts import Basis, Part
from tfnorm.replay.replayer import Replayer
from tfnorm.replay.report.report import ReplayReport
from tfnorm.reports.provenance import fingerprint
from tfnorm.session import find_saved_model


@dataclass(frozen=True)
class Replayed:
    """What a replay on a cluster found.

    Attributes:
        report: as `tfnorm.replay` has it, on the files that could be read.
        skipped: the files that were left out -> why.

    Example:

        replayed = tfnorm.cluster.replay("day/*.tfrecord", "exports/ranker", address="auto")
        print(replayed.report, replayed.skipped)
    """

    report: ReplayReport
    skipped: dict[str, str] = field(default_factory=dict)


def replay(
    log: str | Path,
    model: str | Path,
    against: str | Path | None = None,
    *,
    address: str = "local",
    workers: int | None = None,
    skip_damaged: bool = False,
    setup: Callable[[], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Replayed:
    """Find out whether the answers in a log are a model's, where the workers of a Ray cluster read the log.

    It is `tfnorm.replay` in parts: each worker opens the model once, and sends back counts, sketches and the
    few requests that are looked into. What the log's first 4,096 rows decide, and why answers differ, is
    found out here. A worker, or a machine, that dies in the middle changes nothing but the time.

    Args:
        log: a file, a folder of files, or a pattern, at the same path here and on each machine. A file is the
            least that a worker is given.
        model: a `.keras` file, a SavedModel or the folder of its versions, likewise; or a server.
        against: another one, that is put beside it; None for none.
        address: "local" starts a cluster here; else of one that runs: "auto", `HOST:PORT` or
            `ray://HOST:PORT`.
        workers: how many processes; None for one for each core of the cluster.
        skip_damaged: leave out a file that is damaged, where that is an error otherwise.
        setup: called in each worker first, such as to import layers of one's own; None for nothing.
        progress: called with the files done so far and all of them; None for nothing.
        **options: of `Replayer`, but for `limit` and `basis`.

    Raises:
        InputError: Ray isn't installed, the cluster can't be reached, a worker can't import, read or fit
            what it needs, a file is damaged, or as `tfnorm.replay` does.

    Example:

        replayed = tfnorm.cluster.replay("day/*.tfrecord", "exports/ranker", address="auto")
        print(replayed.report.verdict)
    """
    check_count(workers)
    if setup is not None:
        setup()
    targets = tuple(_place(x) for x in (model, against) if x is not None)
    log = everywhere(log)
    labels = options.get("labels")
    if labels is not None and Path(labels).is_file():
        options["labels"] = everywhere(labels)
    with Replayer(log, *targets, **options) as replayer:
        basis, skipped = _basis(replayer, skip_damaged)
        opening = _Opening(log, targets, options, basis, setup)
        whole: Part | None = None
        with Workers(
            address,
            opening,
            fingerprint=_fingerprint(targets),
            count=workers,
            skip_damaged=skip_damaged,
        ) as pool:
            pool.skipped.update(skipped)

            def below() -> tuple[Any, ...]:
                return (None if whole is None else whole.below,)

            for part in pool.map(replayer.files, below, progress):
                if whole is None:
                    whole = part
                else:
                    whole.merge(part)
            if whole is None:
                raise none_taken(pool.skipped)
            return Replayed(replayer.report(whole), pool.skipped)


@dataclass(frozen=True)
class _Opening:
    """Opens the models, in a worker."""

    log: str
    targets: tuple[str, ...]
    options: Mapping[str, Any]
    basis: Basis
    setup: Callable[[], None] | None

    def __call__(self) -> _Replay:
        if self.setup is not None:
            self.setup()
        return _Replay(Replayer(self.log, *self.targets, basis=self.basis, **self.options), self)


class _Replay:
    def __init__(self, replayer: Replayer, asked: _Opening):
        self.fingerprint = _fingerprint(asked.targets)
        self._replayer = replayer

    def __call__(self, file: str, below: Any) -> Part:
        return self._replayer.part([Path(file)], below=below, threads=1)


def _basis(replayer: Replayer, skip_damaged: bool) -> tuple[Basis, dict[str, str]]:
    """What the log's first calls decide, and the files that could not be read for it."""
    skipped: dict[str, str] = {}
    while replayer.files:
        try:
            return replayer.basis, skipped
        except InputError as error:
            # It begins with the file that it is about.
            damaged = [file for file in replayer.files if str(error).startswith(str(file))]
            if not skip_damaged or not damaged:
                raise
            file = max(damaged, key=lambda path: len(str(path)))
            skipped[str(file)] = str(error)
            replayer.files.remove(file)
    raise none_taken(skipped)


def _place(target: str | Path) -> str:
    """Where a model is on all machines: of versions the newest one now, as later there may be another."""
    place = everywhere(target)
    if is_address(place) or place.endswith(".keras"):
        return place
    return str(find_saved_model(place))


def _fingerprint(targets: tuple[str, ...]) -> str | None:
    """What tells the models from others; None where one is a server."""
    found = [fingerprint(Path(target)) for target in targets]
    return None if None in found else " ".join(map(str, found))
