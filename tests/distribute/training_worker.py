"""One of the workers that train under TF_CONFIG; test_training.py starts them and looks on."""

import contextlib
import gc
import io
import os
import signal
from dataclasses import replace

import click_rows
from command_line import run
from distribute.replicas import outcome

from tfnorm.training import Recipe, strategy_scope, train

RECIPE = Recipe(epochs=4, batch_size=8, learning_rate=1e-3, warmup=0, decay=False, patience=0)


def main(config, folder):
    os.environ["TF_CONFIG"] = config
    gc.disable()  # It ends before its garbage matters.
    with strategy_scope("multi-worker") as writes:
        log, read = watched(click_rows.splits(folder))
        trained = train(log, RECIPE, checkpoints=folder / "checkpoints")
    return {"writes": writes, "read": read, **outcome(trained)}


def killed(config, folder):
    """Train likewise, and be killed in the middle of the second epoch."""
    os.environ["TF_CONFIG"] = config

    def step(label, done, total):
        if done > 1.5 * total / RECIPE.epochs:
            os.kill(os.getpid(), signal.SIGKILL)

    with strategy_scope("multi-worker"):
        splits = click_rows.splits(folder)
        train(splits, RECIPE, checkpoints=folder / "checkpoints", progress=step)


def by_command(config, arguments):
    """Train by the command line: its exit status, and what it says of errors."""
    os.environ["TF_CONFIG"] = config
    with contextlib.redirect_stderr(io.StringIO()) as told:
        return run(*arguments), told.getvalue()


def watched(splits):
    """The log, and which blocks of its training split are read, but for the first, which tells the dtypes."""
    read = set()

    def block(one):
        return replace(one, read=lambda: read.add(one.where) or one.read())

    first, *others = splits.train.blocks
    log = replace(splits.train, blocks=(first, *map(block, others)))
    return replace(splits, train=log), read
