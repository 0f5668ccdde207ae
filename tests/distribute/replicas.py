"""Train by the recipe on two logical CPUs, in a process of its own; test_training.py looks at the outcome."""

import gc

import click_rows
import tensorflow as tf

from tfnorm.training import Recipe, train

REPLICAS = 2
RECIPE = Recipe(
    epochs=2,
    batch_size=10,
    patience=2,
    validation_share=0.1,
    embedding_l2=1e-3,
    positive_weight=2.0,
)


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
        return outcome(train(click_rows.splits(folder), RECIPE))
