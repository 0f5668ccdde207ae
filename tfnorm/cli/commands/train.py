"""`tfnorm train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tfnorm.cli.click_log import click_log_options, load_click_log
from tfnorm.cli.command import Command
from tfnorm.cli.files import json_option, save_model, writable, write_json
from tfnorm.cli.options import options_of, take
from tfnorm.errors import InputError
from tfnorm.training.recipe import STRATEGIES, Recipe, StrategyName


@click.command(cls=Command)
@click_log_options
@options_of(Recipe)
@click.option(
    "--checkpoints",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the state after each epoch in this folder, and go on from a state that is already there.",
)
@click.option(
    "--strategy",
    type=click.Choice(STRATEGIES),
    show_default="one device",
    help="Train on all devices of this machine, or on the workers that TF_CONFIG names.",
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
    callback=writable,
    help="The .keras file to write the model to.",
)
@click.option(
    "--recalibrate/--no-recalibrate",
    default=True,
    help="Make the moving statistics those of the training log before the model is scored.",
)
@click.option(
    "--examples",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=writable,
    help="Write the first 512 examples of the test split to this .npz file, for tfnorm export.",
)
@json_option
def train(
    strategy: StrategyName | None,
    checkpoints: Path | None,
    tensorboard: Path | None,
    output: Path,
    recalibrate: bool,
    examples: Path | None,
    json_file: Path | None,
    **options: Any,
) -> int:
    """Train a model on a click log and save it as a .keras file.

    The log is your own, by a schema, or a published one. With --checkpoints, a
    training that was killed at any moment goes on when the same command runs again; the checkpoint is
    removed when the model is saved.

    \b
    Example:
      tfnorm train --schema schema.json --train 'train/*.parquet' --test 'test/*.parquet'
      tfnorm train --epochs 3 --output din.keras
      tfnorm train --model dien --epochs 20 --patience 2 --checkpoints checkpoints
      tfnorm train --batch-size 1024 --linear-scaling --warmup 0.1 --json din.json

    With --strategy multi-worker the same command runs on each worker, and the first one writes. If one stops,
    all are started again, and go on from --checkpoints, a folder that all see.

    The first needs a log of your own, such as train/*.parquet and test/*.parquet, and the schema.json that
    tfnorm schema drafts of it. The others train on a log that is made up.
    """
    from tfnorm import training
    from tfnorm.cli.output import add_recalibration, auc, show, stages, two_columns
    from tfnorm.export.inputs import kept
    from tfnorm.pipeline import KEPT_EXAMPLES
    from tfnorm.training.workers import outside

    if output.suffix != ".keras":
        raise InputError(f"--output is {output}; accepted: a file that ends in .keras")
    if examples is not None and examples.suffix != ".npz":
        raise InputError(f"--examples is {examples}; accepted: a file that ends in .npz")
    recipe = take(Recipe, options)
    with training.strategy_scope(strategy) as writes:
        log = load_click_log(options, recipe.seed)
        with stages() as progress:
            trained = training.train(
                log,
                recipe,
                checkpoints=checkpoints,
                tensorboard=tensorboard,
                recalibrate=recalibrate,
                progress=progress,
            )
        if not writes:
            return 0
        # What is saved makes variables, which in the scope each worker would have to make.
        outside(lambda: save_model(trained.model, output))
        if examples is not None:
            features = log.test.examples(KEPT_EXAMPLES).features
            kept.write(examples, kept.fitted(features, log.schema.inputs))
        write_json(json_file, {"dataset": log.name, "model": str(output), **trained.to_dict()})
        if checkpoints is not None:
            training.Resume(checkpoints, None).done()
    table = two_columns("trained", log.name)
    table.add_row("AUC", auc(trained))
    if trained.gauc is not None:
        table.add_row("GAUC", f"{trained.gauc:.4f}")
    table.add_row("log loss", f"{trained.log_loss:.4f}")
    table.add_row("epochs", str(len(trained.history["loss"])))
    if trained.recalibrated is not None:
        add_recalibration(table, trained.recalibrated)
    table.add_row("model", str(output))
    if examples is not None:
        table.add_row("examples", str(examples))
    table.add_row("next", f"tfnorm export {output} DIRECTORY --examples {examples or 'FILE'}")
    show(table)
    return 0
