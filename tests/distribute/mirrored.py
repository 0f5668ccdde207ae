"""Run the layers on four logical CPUs and save what came out; test_mirrored.py looks at it.

A program of its own: the devices must be made before TensorFlow starts.

    python mirrored.py RESULTS.npz
"""

import gc
import sys

import distribute_cases as cases
import keras
import numpy as np
import tensorflow as tf


def fit(layer):
    """An epoch without gradient descent: the loss of a replica without rows is no number."""
    x = cases.data(9, cases.FIT_ROWS)
    model = keras.Sequential([keras.Input((cases.CHANNELS,)), layer])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    model.fit(tf.data.Dataset.from_tensor_slices((x, x)).batch(cases.FIT_BATCH), verbose=0)


def main(path):
    gc.disable()  # It ends before its garbage matters.
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * cases.REPLICAS,
    )
    strategy = tf.distribute.MirroredStrategy([f"CPU:{n}" for n in range(cases.REPLICAS)])
    results = {}
    for case in cases.ARGUMENTS:

        def fresh(case=case):
            with strategy.scope():
                return cases.make(case)

        def keep(run, layer, values, case=case):
            weights = {weight.name: weight.numpy() for weight in layer.weights}
            results.update({f"{case}/{run}/{k}": v for k, v in (weights | values).items()})

        layer = fresh()
        keep("loop", layer, cases.train(strategy, layer, cases.STEPS))
        layer = fresh()
        with strategy.scope():
            fit(layer)
        keep("fit", layer, {})
        results[f"{case}/collectives"] = cases.count_collectives(strategy, fresh())
        for name, kind, message in cases.refusals(strategy, fresh()):
            results[f"{case}/refusal/{name}"] = np.array([kind, message])
        if "synchronized" in case:
            ratios = (1000, 10_000)
            batches = [cases.far_shards(ratio, cases.REPLICAS) for ratio in ratios]
            variances = cases.moving_variances(strategy, fresh(), batches)
            for ratio, variance in zip(ratios, variances, strict=True):
                results[f"{case}/variance/{ratio}"] = variance
    results["dien/losses"], weights = cases.train_dien(strategy)
    results.update({f"dien/weight {n}": weight for n, weight in enumerate(weights)})
    np.savez(path, **results)


if __name__ == "__main__":
    main(sys.argv[1])
