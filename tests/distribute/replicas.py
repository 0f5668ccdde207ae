"""Train by the recipe on two logical CPUs, in a process of its own; test_training.py looks at the outcome."""

import gc

import tensorflow as tf

from tfnorm import datasets
from tfnorm.schema import History, Id, Number, Schema
from tfnorm.training import Recipe, train

REPLICAS = 2
RECIPE = Recipe(epochs=4, batch_size=8, patience=4, embedding_l2=1e-3, positive_weight=2.0)
# Most of the time goes by while a model is traced, so it has few inputs.
SCHEMA = Schema(
    [
        Id("user", size=50, hashed=True),
        Id("item", size=101),
        Number("price", scale="log"),
        History("history", of={"item": "hist_items"}, length=4),
    ],
    target=["item"],
    label="click",
    group="user",
    time="ts",
)


def splits(folder):
    """The log of click_rows in the folders `train`, `validation` and `test`, in Parquet."""
    parts = (datasets.parquet(folder / part, SCHEMA) for part in ("train", "test", "validation"))
    return datasets.Splits("clicks", *parts)


def outcome(trained):
    """What is compared."""
    # Not the number of their updates, which is that of the batches, and workers have batches of their own.
    statistics = [v for v in trained.model.variables if v.name.startswith("moving_")]
    return {
        **{name: list(values) for name, values in trained.history.items()},
        "auc": trained.auc,
        "log_loss": trained.log_loss,
        "weights": [weight.numpy() for weight in trained.model.trainable_weights],
        "statistics": [variable.numpy() for variable in statistics],
    }


def main(folder):
    gc.disable()  # It ends before its garbage matters.
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * REPLICAS,
    )
    strategy = tf.distribute.MirroredStrategy([f"CPU:{n}" for n in range(REPLICAS)])
    with strategy.scope():
        return outcome(train(splits(folder), RECIPE))
