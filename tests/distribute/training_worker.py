"""One of the workers that train under TF_CONFIG; test_training.py starts them and looks on."""

import contextlib
import gc
import io
import os
import signal
from dataclasses import replace

from command_line import run
from distribute.replicas import RECIPE, outcome, splits

from tfnorm.training import strategy_scope, train


def main(config, folder):
    os.environ["TF_CONFIG"] = config
    gc.disable()  # It ends before its garbage matters.
    with strategy_scope("multi-worker") as writes:
        log, read = watched(splits(folder))
        trained = train(log, RECIPE, checkpoints=folder / "checkpoints")
    return {"writes": writes, "read": read, **outcome(trained)}


def killed(config, folder):
    """Train likewise, and be killed in the middle of the second epoch."""
    os.environ["TF_CONFIG"] = config

    def step(label, done, total):
        if done > 1.5 * total / RECIPE.epochs:
            os.kill(os.getpid(), signal.SIGKILL)

    with strategy_scope("multi-worker"):
        train(splits(folder), RECIPE, checkpoints=folder / "checkpoints", progress=step)


def by_command(config, arguments):
    """Train by the command line: its exit status, and what it says of errors."""
    os.environ["TF_CONFIG"] = config
    with contextlib.redirect_stderr(io.StringIO()) as told:
        return run(*arguments), told.getvalue()


def watched(whole):
    """The log, and which blocks of its training split are read, but for the first, which tells the dtypes."""
    read = set()

    def block(one):
        return replace(one, read=lambda: read.add(one.where) or one.read())

    first, *others = whole.train.blocks
    log = replace(whole.train, blocks=(first, *map(block, others)))
    return replace(whole, train=log), read
