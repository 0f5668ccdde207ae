"""One of the workers that train under TF_CONFIG; test_training.py starts them and looks on."""

import gc
import os

import click_rows
from distribute.replicas import outcome

from tfnorm.training import Recipe, strategy_scope, train

RECIPE = Recipe(epochs=8, batch_size=8, learning_rate=1e-3, warmup=0, decay=False, patience=0)


def main(config, folder):
    os.environ["TF_CONFIG"] = config
    gc.disable()  # It ends before its garbage matters.
    with strategy_scope("multi-worker") as writes:
        log = click_rows.splits(folder)
        trained = train(log, RECIPE, checkpoints=folder / "checkpoints")
    return {"writes": writes, **outcome(trained)}
