"""The command line: it parses, calls and prints."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import click
import tensorflow as tf
from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from tfnorm import datasets, pipeline
from tfnorm._version import __version__
from tfnorm.errors import InputError
from tfnorm.examples.load import load_examples
from tfnorm.export import export_saved_model
from tfnorm.export.deployment.batching import BATCH_SIZES
from tfnorm.export.deployment.config import check_serving_config, write_serving_config
from tfnorm.scorers.keras_model import KerasScorer, load_keras_file
from tfnorm.session import DEFAULT_SIGNATURE
from tfnorm.training import MODELS, Recipe, Trained
from tfnorm.training import train as train_by_recipe
from tfnorm.verify import Connection, batch_invariance, inspect_saved_model
from tfnorm.verify.inspection import text as inspection_text
from tfnorm.verify.report.html import to_html
from tfnorm.verify.report.junit import to_junit
from tfnorm.verify.report.plot import check_matplotlib
from tfnorm.verify.report.text import render
from tfnorm.verify.verification import LIMIT

_out = Console(highlight=False)


class _Commands(click.Group):
    """Commands in the order of the work, not of the alphabet."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tfnorm")
def commands() -> None:
    """Ranking models that score the same in training, in a notebook and behind TensorFlow Serving.

    \b
    Example:
      tfnorm demo
    """


_dataset_options = (
    click.option(
        "--dataset",
        type=click.Choice(["synthetic", "amazon"]),
        default="synthetic",
        show_default=True,
        help="The click log.",
    ),
    click.option(
        "--data-dir",
        type=click.Path(path_type=Path),
        help="amazon: the folder with the category's two files.",
    ),
    click.option("--category", help="amazon: the category, such as Beauty."),
    click.option("--download", is_flag=True, help="amazon: fetch the files into --data-dir first."),
    click.option(
        "--epochs",
        type=click.IntRange(1),
        default=2,
        show_default=True,
        help="Passes over the training examples.",
    ),
    click.option(
        "--batch-size",
        type=click.IntRange(1),
        default=256,
        show_default=True,
        help="Examples a training step.",
    ),
    click.option("--seed", type=int, default=0, show_default=True, help="Of all that is random."),
)


def _writable(context: click.Context, option: click.Parameter, file: Path | None) -> Path | None:
    """Refuse a file that can't be written before the work starts, not after it."""
    if file is not None and not os.access(
        file if file.exists() else file.absolute().parent, os.W_OK
    ):
        raise click.BadParameter(f"{file} can't be written")
    return file


def _report_option(name: str, parameter: str, kind: str) -> Callable:
    """The option for another file that gets the report."""
    return click.option(
        name,
        parameter,
        type=click.Path(dir_okay=False, path_type=Path),
        callback=_writable,
        help=f"Write the report to this file too, as {kind}.",
    )


_json_option = _report_option("--json", "json_file", "JSON")


def _with(options: tuple[Callable, ...]) -> Callable:
    """All of these options, in their order."""

    def decorate(command: Callable) -> Callable:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


@commands.command()
@_with(_dataset_options)
@click.option(
    "--directory",
    type=click.Path(path_type=Path),
    default=Path("exports/din"),
    show_default=True,
    help="The folder of versions to export to.",
)
@_json_option
def demo(directory: Path, json_file: Path | None, **options) -> int:
    """Train a DIN, export it, serve it here, and verify the file and both APIs.

    \b
    Example:
      tfnorm demo
      tfnorm demo --dataset amazon --data-dir data/amazon --category Beauty
    """
    log = _load(options)
    with _needs_serving(), _progress() as progress:
        job = pipeline.main_job(log, directory, **options, progress=progress)
    _write(
        json_file,
        {
            "dataset": job.dataset,
            "auc": job.trained.auc,
            "best_auc": job.trained.best_auc,
            "export": None if job.delivered.export is None else str(job.delivered.export.path),
            "passed": job.passed,
            "reports": {name: report.to_dict() for name, report in job.reports.items()},
        },
    )
    _out.print(_job_table(job))
    for report in job.reports.values():
        if not report.passed:
            _out.print("", render(report))
    return 0 if job.passed else 1


_recipe_options = (
    click.option(
        "--model",
        type=click.Choice(MODELS),
        default="din",
        show_default=True,
        help="DIN, DIEN, or DIN without attention.",
    ),
    click.option(
        "--learning-rate",
        type=float,
        default=1e-3,
        show_default=True,
        help="Of Adam, for batches of 256.",
    ),
    click.option(
        "--linear-scaling", is_flag=True, help="Multiply the learning rate by batch size / 256."
    ),
    click.option(
        "--warmup",
        type=float,
        default=0.0,
        show_default=True,
        help="The share of all steps in which the learning rate rises from 0.",
    ),
    click.option(
        "--decay", is_flag=True, help="Let it fall to 0 by a cosine in the steps after that."
    ),
    click.option(
        "--patience",
        type=int,
        help="Stop after so many epochs without a better validation AUC; keep the best weights.",
    ),
    click.option(
        "--validation-share",
        type=float,
        default=0.1,
        show_default=True,
        help="Of the training users, kept from training for --patience.",
    ),
    click.option(
        "--embedding-l2",
        type=float,
        default=0.0,
        show_default=True,
        help="The factor of the sum of the embeddings' squares in the loss.",
    ),
    click.option(
        "--dropout",
        type=float,
        default=0.0,
        show_default=True,
        help="The share of the tower's hidden units that a step leaves out.",
    ),
    click.option(
        "--positive-weight",
        type=float,
        default=1.0,
        show_default=True,
        help="How many examples without a click one with a click counts for.",
    ),
)


@commands.command()
@_with(_dataset_options)
@_with(_recipe_options)
@click.option(
    "--checkpoints",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the state after each epoch in this folder, and go on from what is there.",
)
@click.option(
    "--tensorboard",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write losses and histograms of the layers to this folder, for TensorBoard.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("din.keras"),
    show_default=True,
    callback=_writable,
    help="Where the model goes.",
)
@_json_option
def train(
    checkpoints: Path | None,
    tensorboard: Path | None,
    output: Path,
    json_file: Path | None,
    **options,
) -> int:
    """Train a model on a click log and save it as a .keras file.

    \b
    Example:
      tfnorm train --epochs 3 --output din.keras
      tfnorm train --model dien --epochs 20 --patience 2 --checkpoints checkpoints
      tfnorm train --batch-size 1024 --linear-scaling --warmup 0.1 --decay --json din.json
    """
    if output.suffix != ".keras":
        raise InputError(f"--output is {output}; accepted: a file that ends in .keras")
    recipe = Recipe(**{field.name: options[field.name] for field in fields(Recipe)})
    log = _load(options)
    with _progress() as progress:
        trained = train_by_recipe(
            log, recipe, checkpoints=checkpoints, tensorboard=tensorboard, progress=progress
        )
    trained.model.save(output)
    _write(json_file, {"dataset": log.name, "model": str(output), **trained.to_dict()})
    table = _two_columns("trained", log.name)
    table.add_row("AUC", _auc(trained))
    if trained.gauc is not None:
        table.add_row("GAUC", f"{trained.gauc:.4f}")
    table.add_row("log loss", f"{trained.log_loss:.4f}")
    table.add_row("epochs", str(len(trained.history["loss"])))
    table.add_row("model", str(output))
    _out.print(table)
    return 0


@commands.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--version", type=int, help="The version's number.  [default: the next free one]")
@click.option(
    "--examples",
    type=click.Path(path_type=Path),
    help="An .npz file with an array for each input, kept with the export.",
)
@click.option(
    "--fold/--no-fold",
    default=True,
    show_default=True,
    help="Fold normalization into the layers around it.",
)
@click.option(
    "--allow-untrained-statistics",
    is_flag=True,
    help="Export moving statistics that training has never updated.",
)
@click.option(
    "--batch-invariance",
    type=click.Choice(["tolerance", "bitwise"]),
    default="tolerance",
    show_default=True,
    help="Whether an example scores the same in every batch but for rounding, or to the last bit.",
)
@click.option(
    "--serving-config",
    type=click.Path(path_type=Path),
    help="A new folder for a TensorFlow Serving deployment that fits the export.",
)
@click.option("--name", help="The model's name in that deployment.  [default: DIRECTORY's name]")
def export(
    model: Path,
    directory: Path,
    version: int | None,
    examples: Path | None,
    serving_config: Path | None,
    name: str | None,
    **options,
) -> int:
    """Export the .keras file MODEL to the folder of versions DIRECTORY, for TensorFlow Serving.

    \b
    Example:
      tfnorm export din.keras exports/din --examples examples.npz
      tfnorm export din.keras exports/din --examples examples.npz --serving-config deploy/din
      tfnorm export din.keras exports/din --examples examples.npz --batch-invariance bitwise
    """
    if serving_config is not None:
        check_serving_config(serving_config, directory, name)
    elif name is not None:
        raise InputError("--name is the model's name in a deployment; it needs --serving-config")
    loaded = load_keras_file(model)
    kept = None if examples is None else load_examples(examples, KerasScorer(loaded))
    report = export_saved_model(
        loaded,
        directory,
        version=version,
        examples=kept,
        warmup_batch_sizes=BATCH_SIZES if serving_config and kept else (),
        **options,
    )
    table = _two_columns("exported", str(report.path))
    for kind, specs in (("input", report.inputs), ("output", report.outputs)):
        for tensor, spec in specs.items():
            table.add_row(kind, f"{tensor}: {spec.dtype.name} {spec.shape.as_list()}")
    table.add_row("examples", f"{report.examples:,}")
    for layer, into in report.folded:
        table.add_row("folded", f"{layer} into {into}")
    for layer, reason in report.not_folded:
        table.add_row("not folded", f"{layer}: {reason}")
    if serving_config is not None:
        written = write_serving_config(report.path, serving_config, name=name)
        labels = (f"{label} {number}" for label, number in written.labels.items())
        table.add_row("labels", ", ".join(labels))
        sizes = ", ".join(map(str, written.batching.sizes))
        table.add_row("batches of", sizes or f"none: {written.batching.obstacle}")
        table.add_row("deployment", str(serving_config))
    table.add_row("next", f"tfnorm verify {report.path}")
    _out.print(table)
    return 0


@commands.command()
@click.argument("target")
@click.option(
    "--examples",
    type=click.Path(path_type=Path),
    help="An .npz of arrays, JSON lines, or a TFRecord of tf.Example or PredictionLog.  "
    "[default: those kept with the export]",
)
@click.option("--random", type=int, help="Draw that many examples from the signature instead.")
@click.option(
    "--limit",
    type=int,
    default=LIMIT,
    show_default=True,
    help="Examples to score; of more, as many evenly spread.",
)
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    help="A SavedModel or .keras file here that the scores should be equal to.",
)
@click.option("--signature", help="Of a SavedModel or a server.  [default: serving_default]")
@click.option(
    "--batch-size",
    "batch_sizes",
    type=int,
    multiple=True,
    help="A size to try, 2 or more; may be repeated.  [default: eleven from 2 to all at once]",
)
@click.option(
    "--allowed-batch-size",
    "allowed_batch_sizes",
    type=int,
    multiple=True,
    help="A size that the server pads batches to; may be repeated.",
)
@click.option("--atol", type=float, default=1e-6, show_default=True, help="Absolute tolerance.")
@click.option("--rtol", type=float, default=1e-5, show_default=True, help="Relative tolerance.")
@click.option("--bitwise", is_flag=True, help="Ask for identical bits.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the shuffles.")
@click.option(
    "--timeout", type=float, default=120.0, show_default=True, help="Seconds for an answer."
)
@click.option(
    "--retries",
    type=int,
    default=5,
    show_default=True,
    help="How often to ask again a server that is unavailable.",
)
@click.option(
    "--certificates",
    type=click.Path(path_type=Path),
    help="A PEM file of authorities to trust, for grpcs:// and https://.",
)
@click.option(
    "--header", "headers", multiple=True, help="'NAME: VALUE' to send along; may be repeated."
)
@click.option(
    "--max-message-bytes", type=int, help="The largest gRPC message.  [default: no limit]"
)
@_json_option
@_report_option("--junit", "junit_file", "JUnit XML")
@_report_option("--html", "html_file", "an HTML page")
def verify(
    target: str,
    examples: Path | None,
    batch_sizes: tuple[int, ...],
    json_file: Path | None,
    junit_file: Path | None,
    html_file: Path | None,
    **options,
) -> int:
    """Prove that scores of TARGET do not depend on the batch, or show how far they move.

    TARGET is a .keras file, the directory of a SavedModel or of its versions, grpc://HOST:PORT/NAME or
    http://HOST:PORT/v1/models/NAME. The exit status is 0 if they do not depend on it, 1 if they do, 2
    if it could not tell.

    \b
    Example:
      tfnorm verify exports/din
      tfnorm verify grpc://127.0.0.1:8500/din --against exports/din
    """
    connection = _connection(options)
    if html_file is not None:
        check_matplotlib()
    with _progress() as progress:
        report = batch_invariance(
            target,
            examples,
            batch_sizes=batch_sizes or None,
            connection=connection,
            progress=lambda done, total: progress("verify", done, total),
            **options,
        )
    _write(json_file, report.to_dict())
    for file, as_text in ((junit_file, to_junit), (html_file, to_html)):
        if file is not None:
            file.write_text(as_text(report), encoding="utf-8")
    _out.print(render(report))
    return 0 if report.passed else 1


@commands.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--signature", default=DEFAULT_SIGNATURE, show_default=True)
@_json_option
def inspect(directory: Path, signature: str, json_file: Path | None) -> int:
    """Say what is wrong or risky in the SavedModel in DIRECTORY, without any examples.

    The exit status is 0 if nothing is wrong, 1 if something is, 2 if it could not tell.

    \b
    Example:
      tfnorm inspect exports/din
    """
    inspection = inspect_saved_model(directory, signature=signature)
    _write(json_file, inspection_text.to_dict(inspection))
    _out.print(inspection_text.render(inspection))
    return 0 if inspection.passed else 1


@commands.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="The model's name in requests.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=int, default=8500, show_default=True, help="Of gRPC; 0 for any.")
@click.option("--rest-port", type=int, default=8501, show_default=True, help="Of REST; 0 for any.")
@click.option(
    "--batching-parameters",
    type=click.Path(path_type=Path),
    help="TensorFlow Serving's file of batching parameters, to run requests together.",
)
def serve(directory: Path, batching_parameters: Path | None, **options) -> int:
    """Serve the newest version in DIRECTORY on this machine, until Ctrl-C.

    It speaks TensorFlow Serving's gRPC and REST protocol, for machines without TensorFlow Serving. It
    is a stand-in for development, not for production.

    \b
    Example:
      tfnorm serve exports/din --name din
      tfnorm serve exports/din --name din --batching-parameters deploy/din/batching.config
    """
    with _needs_serving():
        from tfnorm import server
    batching = batching_parameters and server.read_batching_parameters(batching_parameters)
    server.serve(server.Server(directory, batching=batching, **options))
    return 0


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; bad input gets one line and exit status 2."""
    tf.get_logger().setLevel("ERROR")
    try:
        status = commands.main(arguments, prog_name="tfnorm", standalone_mode=False)
    except InputError as error:
        status = _refuse(str(error))
    except click.ClickException as error:
        status = _refuse(error.format_message())
    except click.Abort:
        status = _refuse("stopped", status=130)
    sys.exit(status)


def _refuse(reason: str, status: int = 2) -> int:
    click.echo(f"tfnorm: {' '.join(reason.split())}", err=True)
    return status


def _connection(options: dict) -> Connection:
    """How to reach a server; what says so is taken out of `options`."""
    headers = {}
    for header in options.pop("headers"):
        name, colon, value = header.partition(":")
        if not colon:
            raise InputError(f"--header is {header!r}; accepted: 'NAME: VALUE'")
        headers[name.strip()] = value.strip()
    names = ("timeout", "retries", "certificates", "max_message_bytes")
    return Connection(headers=headers, **{name: options.pop(name) for name in names})


def _load(options: dict) -> datasets.ClickLog:
    """The click log that the options name; they are taken out of `options`."""
    name, directory, category = (options.pop(k) for k in ("dataset", "data_dir", "category"))
    download = options.pop("download")
    if name == "synthetic":
        return datasets.synthetic(seed=options["seed"])
    for option, value in (("--data-dir", directory), ("--category", category)):
        if value is None:
            raise InputError(f"--dataset {name} needs {option}")
    if download:
        datasets.download(directory, category)
    return datasets.amazon(directory, category, seed=options["seed"])


@contextlib.contextmanager
def _needs_serving() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise InputError(
            f"serving needs packages that are not installed ({error}); "
            "install them with: pip install 'tfnorm[serving]'"
        ) from error


@contextlib.contextmanager
def _progress() -> Iterator[pipeline.Progress]:
    """Show how far the stages are, on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda stage, done, total: None
        return
    bars = Progress(
        TextColumn("{task.description:<16}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
    tasks: dict[str, TaskID] = {}

    def progress(stage: str, done: int, total: int) -> None:
        if stage not in tasks:
            tasks[stage] = bars.add_task(stage, total=total)
        bars.update(tasks[stage], completed=done)

    with bars:
        yield progress


def _job_table(job: pipeline.MainJob) -> Table:
    table = _two_columns("DIN on", job.dataset)
    export = job.delivered.export
    table.add_row("AUC", _auc(job.trained))
    table.add_row(
        "export", "none: the file failed verification" if export is None else str(export.path)
    )
    for name, report in job.reports.items():
        verdict = "PASSED" if report.passed else "FAILED"
        table.add_row(
            name,
            f"{verdict}: no score moves by more than {report.max_abs_diff:.1e} over "
            f"{len(report.compositions)} batch compositions of {report.examples} examples"
            if report.passed
            else f"{verdict}: a score moves by up to {report.max_abs_diff:.1e}",
        )
    return table


def _two_columns(*title: str) -> Table:
    table = Table(*title, box=box.SIMPLE_HEAD, pad_edge=False)
    table.columns[1].overflow = "fold"
    return table


def _auc(trained: Trained) -> str:
    best = "" if trained.best_auc is None else f" (the best possible: {trained.best_auc:.4f})"
    return f"{trained.auc:.4f}{best}"


def _write(file: Path | None, report: dict) -> None:
    if file is not None:
        file.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n")
