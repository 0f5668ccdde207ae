"""One of the workers of MultiWorkerMirroredStrategy; test_multi_worker.py starts them and looks on.

TF_CONFIG=... python multi_worker.py RESULTS.npz
"""

import gc
import sys

import distribute_cases as cases
import numpy as np
import tensorflow as tf


def main(path):
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
    np.savez(path, **results)


if __name__ == "__main__":
    main(sys.argv[1])
