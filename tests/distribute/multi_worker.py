"""One of the workers of MultiWorkerMirroredStrategy; test_multi_worker.py starts them and looks on."""

import gc
import json
import os

import distribute_cases as cases
import tensorflow as tf


def main(cluster, index):
    os.environ["TF_CONFIG"] = json.dumps(
        {"cluster": cluster, "task": {"type": "worker", "index": index}}
    )
    gc.disable()  # It ends before its garbage matters.
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    results = {}
    for case in cases.ARGUMENTS:
        with strategy.scope():
            layer = cases.make(case)
        results.update(
            {f"{case}/{k}": v for k, v in cases.train(strategy, layer, cases.WORKER_STEPS).items()}
        )
        results.update({f"{case}/{weight.name}": weight.numpy() for weight in layer.weights})
        with strategy.scope():
            layer = cases.make(case)
        results[f"{case}/collectives"] = cases.count_collectives(strategy, layer)
    return results
