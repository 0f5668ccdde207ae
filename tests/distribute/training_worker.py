"""One of the workers that train under TF_CONFIG; test_training.py starts them and looks on."""

import gc
import os
from dataclasses import replace

import click_rows
from distribute.replicas import outcome

from tfnorm.training import Recipe, strategy_scope, train

RECIPE = Recipe(epochs=8, batch_size=8, learning_rate=1e-3, warmup=0, decay=False, patience=0)


def main(config, folder):
    os.environ["TF_CONFIG"] = config
    gc.disable()  # It ends before its garbage matters.
    with strategy_scope("multi-worker") as writes:
        log, read = watched(click_rows.splits(folder))
        trained = train(log, RECIPE, checkpoints=folder / "checkpoints")
    return {"writes": writes, "read": read, **outcome(trained)}


def watched(splits):
    """The log, and which blocks of its training split are read, but for the first, which tells the dtypes."""
    read = set()

    def block(one):
        return replace(one, read=lambda: read.add(one.where) or one.read())

    first, *others = splits.train.blocks
    log = replace(splits.train, blocks=(first, *map(block, others)))
    return replace(splits, train=log), read
