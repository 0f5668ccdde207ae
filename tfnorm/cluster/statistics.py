"""Recalibration, and reports on statistics, of files that the workers of a cluster read."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import keras

from tfnorm.cluster.workers import Workers, everywhere, none_taken
from tfnorm.examples.files import found
from tfnorm.export.tracing.batches import batches_of_file
from tfnorm.reports.provenance import Stopwatch, fingerprint
from tfnorm.scorers.keras_model import load_keras_file
from tfnorm.statistics.compare import partial_report
from tfnorm.statistics.moves import Recalibration
from tfnorm.statistics.observation.moving import Statistics
from tfnorm.statistics.observation.observe import Observer
from tfnorm.statistics.observation.partial import Partial
from tfnorm.statistics.recalibrator import NotFiniteError, Recalibrator
from tfnorm.statistics.report.report import StatisticsReport

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many files are done, and how many there are."""


@dataclass(frozen=True)
class Recalibrated:
    """A model with the statistics of files.

    Attributes:
        model: the Keras model.
        done: what was done, as `recalibrate_statistics` has it.
        skipped: the files that were left out -> why.

    Example:

        recalibrated = tfnorm.cluster.recalibrate("din.keras", "day/*.parquet", address="auto")
        recalibrated.model.save("recalibrated.keras")
    """

    model: keras.Model
    done: Recalibration
    skipped: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reported:
    """A model's moving statistics beside those of files.

    Attributes:
        report: as `tfnorm.statistics_report` has it.
        skipped: the files that were left out -> why.
        not_finite: the name of a layer -> the files that give it what is NaN or infinite.

    Example:

        print(tfnorm.cluster.statistics_report("din.keras", "day/*.parquet", address="auto").report)
    """

    report: StatisticsReport
    skipped: dict[str, str] = field(default_factory=dict)
    not_finite: dict[str, list[str]] = field(default_factory=dict)


def recalibrate(
    model: str | Path,
    examples: str | Path,
    *,
    address: str = "local",
    workers: int | None = None,
    skip_damaged: bool = False,
    setup: Callable[[], None] | None = None,
    progress: Progress | None = None,
) -> Recalibrated:
    """Make a model's moving statistics those of files, which the workers of a Ray cluster read.

    It is `tfnorm.recalibrate_statistics` in parts: each worker loads the model once, and sends back what the
    layers are given, (count, mean, M2) a channel; a pass over all files makes the statistics of the layers
    exact whose turn it is. A worker, or a machine, that dies in the middle changes nothing but the time.

    Args:
        model: a `.keras` file, at the same path here and on each machine.
        examples: a file of examples, a folder of files, or a pattern, likewise. A file is the least that a
            worker is given.
        address: "local" starts a cluster here; else of one that runs: "auto", `HOST:PORT` or
            `ray://HOST:PORT`.
        workers: how many processes; None for one for each core of the cluster.
        skip_damaged: leave out a file that can't be read or doesn't fit, where that is an error otherwise.
        setup: called in each worker first, such as to import layers of one's own; None for nothing.
        progress: called after each file; None for nothing.

    Raises:
        InputError: Ray isn't installed, the cluster can't be reached, a worker can't import, read or fit
            what it needs, a file is damaged, or as `recalibrate_statistics` does.

    Example:

        recalibrated = tfnorm.cluster.recalibrate("din.keras", "day/*.parquet", address="auto")
        print(recalibrated.done, recalibrated.skipped)
    """
    if setup is not None:
        setup()
    loaded = load_keras_file(model)
    recalibrator, left_out = Recalibrator(loaded), None
    files = found(everywhere(examples))
    observing = _Observing(everywhere(model), False, len(files) > 1, setup)
    with _workers(observing, address, workers, skip_damaged) as pool:
        while recalibrator.done is None:
            statistics, label = recalibrator.statistics, recalibrator.label
            whole, not_finite = _observed(pool, files, statistics, _stage(progress, label))
            if left_out not in (None, len(pool.skipped)):
                # What the passes before have made has a file in it that is left out now.
                recalibrator.undo()
                recalibrator, left_out = Recalibrator(loaded), None
                continue
            left_out = len(pool.skipped)
            try:
                recalibrator.take(whole)
            except NotFiniteError as error:
                raise error.in_files(not_finite.get(error.layer, []), len(files)) from error
        return Recalibrated(loaded, recalibrator.done, pool.skipped)


def statistics_report(
    model: str | Path,
    examples: str | Path,
    *,
    address: str = "local",
    workers: int | None = None,
    skip_damaged: bool = False,
    setup: Callable[[], None] | None = None,
    progress: Progress | None = None,
) -> Reported:
    """Compare a model's moving statistics with those of files, which the workers of a Ray cluster read.

    It is `tfnorm.statistics_report` in parts.

    Args:
        model: a `.keras` file, at the same path here and on each machine.
        examples: a file of examples, a folder of files, or a pattern, likewise.
        address: where the cluster is, as `recalibrate` takes it.
        workers: how many processes; None for one for each core of the cluster.
        skip_damaged: leave out a file that can't be read or doesn't fit, where that is an error otherwise.
        setup: called in each worker first; None for nothing.
        progress: called after each file; None for nothing.

    Raises:
        InputError: as `recalibrate` does.

    Example:

        reported = tfnorm.cluster.statistics_report("din.keras", "day/*.parquet", address="auto")
        print(reported.report)
    """
    if setup is not None:
        setup()
    watch = Stopwatch()
    loaded = load_keras_file(model)
    files = found(everywhere(examples))
    observing = _Observing(everywhere(model), None, len(files) > 1, setup)
    with _workers(observing, address, workers, skip_damaged) as pool:
        whole, not_finite = _observed(pool, files, None, _stage(progress, "reading"))
        report = partial_report(loaded, whole)
        provenance = watch.provenance({"model": Path(model)})
        return Reported(replace(report, provenance=provenance), pool.skipped, not_finite)


@dataclass(frozen=True)
class _Observing:
    """Loads a model, in a worker, to observe what its layers are given."""

    model: str
    training: bool | None
    of_several: bool
    setup: Callable[[], None] | None

    def __call__(self) -> _Observe:
        if self.setup is not None:
            self.setup()
        return _Observe(load_keras_file(self.model), self)


class _Observe:
    def __init__(self, model: keras.Model, asked: _Observing):
        self.fingerprint = fingerprint(Path(asked.model))
        self._of_several = asked.of_several
        self._observer = Observer(model, training=asked.training)

    def __call__(self, file: str, statistics: Statistics | None) -> tuple[str, Partial] | None:
        """The file, and what the layers are given in it; None where that has no rows."""
        model = self._observer.model
        batches = batches_of_file(model, Path(file), of_several=self._of_several)()
        first = next(batches, None)
        if first is None:
            return None
        rows = itertools.chain([first], batches)
        return file, self._observer.observe(rows, statistics=statistics)


def _workers(
    observing: _Observing, address: str, workers: int | None, skip_damaged: bool
) -> Workers:
    return Workers(
        address,
        observing,
        fingerprint=fingerprint(Path(observing.model)),
        count=workers,
        skip_damaged=skip_damaged,
    )


def _observed(
    pool: Workers,
    files: Sequence[Path],
    statistics: Statistics | None,
    progress: Callable[[int, int], None] | None,
) -> tuple[Partial, dict[str, list[str]]]:
    """What the layers are given in all files, and layer -> the files in which that is not finite."""
    whole: Partial | None = None
    not_finite: dict[str, list[str]] = {}
    for observed in pool.map(files, lambda: (statistics,), progress):
        if observed is None:
            continue
        file, part = observed
        for name in part.not_finite:
            not_finite.setdefault(name, []).append(file)
        if whole is None:
            whole = part
        else:
            whole.merge(part)
    if whole is None:
        raise none_taken(pool.skipped)
    return whole, not_finite


def _stage(progress: Progress | None, name: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(name, done, total)
