"""Run the layers on three logical CPUs; test_mirrored.py looks at what came out.

In a process of its own: the devices must be made before TensorFlow starts.
"""

import gc

import distribute_cases as cases
import keras
import numpy as np
import tensorflow as tf


def weights(layer):
    return {weight.name: weight.numpy() for weight in layer.weights}


def fit(layers):
    """An epoch, side by side, without gradient descent: the loss of a replica without rows is no number."""
    x = cases.data(9, cases.FIT_ROWS)
    inputs = keras.Input((cases.CHANNELS,))
    model = keras.Model(inputs, keras.layers.Add()([layer(inputs) for layer in layers]))
    model.compile(keras.optimizers.SGD(0.0), "mse")
    model.fit(tf.data.Dataset.from_tensor_slices((x, x)).batch(cases.FIT_BATCH), verbose=0)


def main():
    gc.disable()  # It ends before its garbage matters.
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * cases.REPLICAS,
    )
    devices = [f"CPU:{n}" for n in range(cases.REPLICAS)]
    strategy = tf.distribute.MirroredStrategy(devices)
    results = {}
    fitted = {}
    for case in cases.ARGUMENTS:

        def fresh(case=case):
            with strategy.scope():
                return cases.make(case)

        layer = fresh()
        values = cases.train(strategy, layer, cases.STEPS) | weights(layer)
        results.update({f"{case}/loop/{name}": value for name, value in values.items()})
        fitted[case] = fresh()
        results[f"{case}/collectives"] = cases.count_collectives(strategy, fresh())
        for name, kind, message in cases.refusals(strategy, fresh()):
            results[f"{case}/refusal/{name}"] = np.array([kind, message])
        if "synchronized" in case:
            ratios = (1000, 10_000)
            batches = [cases.far_shards(ratio, cases.REPLICAS) for ratio in ratios]
            variances = cases.moving_variances(strategy, fresh(), batches)
            for ratio, variance in zip(ratios, variances, strict=True):
                results[f"{case}/variance/{ratio}"] = variance
    with strategy.scope():
        fit(fitted.values())
    for case, layer in fitted.items():
        results.update({f"{case}/fit/{name}": value for name, value in weights(layer).items()})
    # Two strategies in one process can't both reduce by collectives: they number their groups alike.
    reduction = tf.distribute.ReductionToOneDevice()
    pair = tf.distribute.MirroredStrategy(devices[:2], cross_device_ops=reduction)
    for by_loop in (False, True):
        results[f"dien/{by_loop}"] = cases.train_dien(pair, by_loop)
    lazily = cases.train_lazily(pair)
    results.update({f"lazily/weight {n}": weight for n, weight in enumerate(lazily)})
    return results
