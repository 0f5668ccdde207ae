"""The main job in a row: train, export, serve, and prove that scores do not depend on the batch."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfnorm.datasets import ClickLog, Splits, as_splits
from tfnorm.examples.files import found
from tfnorm.examples.load import load_examples
from tfnorm.export import ExportReport, export_saved_model
from tfnorm.export.bitwise.rewrite import BITWISE
from tfnorm.export.publish import check_place, publish
from tfnorm.export.tracing.batches import batches_of_file
from tfnorm.scorers.keras_model import KerasScorer, load_keras_file
from tfnorm.scorers.saved_model import SavedModelScorer
from tfnorm.session import DEFAULT_SIGNATURE
from tfnorm.session.memory import large_in_place
from tfnorm.statistics.moves import Recalibration
from tfnorm.statistics.observation.observe import Observer
from tfnorm.statistics.recalibrate import recalibrate_statistics
from tfnorm.statistics.recalibrator import NotFiniteError
from tfnorm.training import Progress, Recipe, Trained, train
from tfnorm.verify import InvarianceReport, verify_batch_invariance

__all__ = [
    "KEPT_EXAMPLES",
    "Delivered",
    "MainJob",
    "deliver",
    "main_job",
    "recalibrate_by_file",
]

KEPT_EXAMPLES = 512
"""How many examples of the test split an export keeps."""


@dataclass(frozen=True)
class Delivered:
    """An export and the proof that came with it.

    Attributes:
        verdict: the verification of the file.
        export: what was published; None where the verification failed, and nothing was.

    Example:

        delivered = tfnorm.deliver("din.keras", "exports/din", "examples.npz")
        print("refused" if delivered.export is None else delivered.export.path)
    """

    verdict: InvarianceReport
    export: ExportReport | None


@dataclass(frozen=True)
class MainJob:
    """What the main job returns: the model, the export and all verifications.

    Attributes:
        dataset: the name of the click log.
        trained: the model and its AUC.
        delivered: the export and the verification of the file.
        servers: target -> the verification of what a server on this machine answered.

    Example:

        job = main_job(tfnorm.datasets.synthetic(), "exports/din")
        print(job.passed, job.trained.auc)
    """

    dataset: str
    trained: Trained
    delivered: Delivered
    servers: dict[str, InvarianceReport]

    @property
    def reports(self) -> dict[str, InvarianceReport]:
        """Every verification: the file's and the servers'."""
        return {"file": self.delivered.verdict, **self.servers}

    @property
    def passed(self) -> bool:
        """Whether no score depends on the batch, in the file and behind the servers."""
        return all(report.passed for report in self.reports.values())


def recalibrate_by_file(model: keras.Model, examples: Path) -> Recalibration:
    """Recalibrate a model by files of examples, which may be larger than the memory.

    Args:
        model: a built model.
        examples: Parquet, TFRecord of `tf.Example`, JSON lines, CSV, or an `.npz` of arrays; a folder of
            such files, or a pattern.

    Returns:
        As `recalibrate_statistics`.

    Raises:
        InputError: a file can't be read or doesn't fit the model, or as `recalibrate_statistics` does.

    Example:

        print(recalibrate_by_file(model, Path("training.parquet")))
    """
    files = found(examples)
    streams = [batches_of_file(model, file, of_several=len(files) > 1) for file in files]
    try:
        return recalibrate_statistics(model, lambda: chain.from_iterable(x() for x in streams))
    except NotFiniteError as error:
        observer, layer = Observer(model), error.layer

        def is_so_in(batches: Iterator[tuple[Any]]) -> bool:
            first = list(islice(batches, 1))
            return bool(first) and layer in observer.observe(chain(first, batches)).not_finite

        places = [file for file, x in zip(files, streams, strict=True) if is_so_in(x())]
        raise error.in_files(places, len(files)) from error


def deliver(
    model: keras.Model | str | Path,
    directory: str | os.PathLike[str],
    examples: Mapping[str, np.ndarray] | str | Path,
    *,
    version: int | None = None,
    allow_misfit_statistics: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> Delivered:
    """Export a model, verify what was exported, and publish it only if it passes.

    A server that watches `directory` never sees a version that failed.

    Args:
        model: a built Keras model, or a `.keras` file.
        directory: the folder of versions.
        examples: input name -> array, or a file as `verify_batch_invariance` takes it; they are kept with
            the export and verify it.
        version: the number of the version, a positive int; None for the next free one.
        allow_misfit_statistics: export moving statistics that are not those of the examples.
        progress: called as the verification goes on; None to call nothing.
        **options: further arguments of `export_saved_model`. With `batch_invariance="bitwise"` the
            verification asks for identical bits.

    Raises:
        Undecided: the verification could not tell; nothing is published.
        InputError: the model, the place, the version, the examples or an option can't be used, or the
            model's moving statistics do not fit the examples.

    Example:

        delivered = deliver("din.keras", "exports/din", "examples.npz", signatures=["tf_example"])
        print(delivered.verdict)
    """
    place = check_place(directory, version)
    if not isinstance(model, keras.Model):
        model = load_keras_file(model)
    if not isinstance(examples, Mapping):
        examples = load_examples(examples, KerasScorer(model))
    with tempfile.TemporaryDirectory() as staging:
        staged = export_saved_model(
            model,
            staging,
            examples=examples,
            allow_misfit_statistics=allow_misfit_statistics,
            **options,
        )
        held = large_in_place(weight.value for weight in model.weights)
        with closing(SavedModelScorer(staged.path, DEFAULT_SIGNATURE, held)) as scorer:
            verdict = verify_batch_invariance(
                scorer,
                bitwise=options.get("batch_invariance") == BITWISE,
                allow_misfit_statistics=allow_misfit_statistics,
                progress=_stage(progress, "verify the file"),
            )
        if not verdict.passed:
            return Delivered(replace(verdict, target="the export"), None)
        path = publish(
            place,
            version,
            lambda work: shutil.copytree(staged.path, work, dirs_exist_ok=True),
        )
    export = replace(staged, path=path, version=int(path.name))
    return Delivered(replace(verdict, target=str(path)), export)


def main_job(
    log: ClickLog | Splits,
    directory: str | os.PathLike[str],
    recipe: Recipe | None = None,
    *,
    progress: Progress | None = None,
) -> MainJob:
    """Train on a click log, export, serve on this machine, and verify the file and both APIs.

    Args:
        log: what to train and test on.
        directory: the folder of versions.
        recipe: how to train; None for the defaults.
        progress: called as the work goes on; None to call nothing.

    Raises:
        InputError: `directory` can't be written to.

    Example:

        job = main_job(tfnorm.datasets.synthetic(), "exports/din", tfnorm.training.Recipe(epochs=1))
        print(job.passed)
    """
    from tfnorm.server import Server

    place = check_place(directory, None)
    splits = as_splits(log)
    trained = train(splits, recipe, progress=progress)
    examples = splits.test.examples(KEPT_EXAMPLES).features
    delivered = deliver(trained.model, directory, examples, progress=progress)
    servers = {}
    if delivered.export is not None:
        with Server(place, "din", port=0, rest_port=0) as server:
            for api, url in (("gRPC", server.grpc_url), ("REST", server.rest_url)):
                servers[api] = verify_batch_invariance(
                    url, examples, progress=_stage(progress, f"verify {api}")
                )
    return MainJob(log.name, trained, delivered, servers)


def _stage(progress: Progress | None, name: str) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    return lambda done, total: progress(name, done, total)
