"""Says at which batch sizes exports give an example other bits than alone; run in a process of its own.

python score_in_batches.py THREADS,... SAVED_MODEL...
"""

import json
import multiprocessing
import sys

import numpy as np
import tensorflow as tf

from tfnorm.session import SavedModel

EXAMPLES = 24
SIZES = (1, 2, 3, 5, 8, 13, 16, 31, 64, 100, 257)


def features(inputs):
    """Random ids, words and numbers, some numbers a thousand times as large."""
    generator = np.random.default_rng(0)
    made = {}
    for name, spec in inputs.items():
        shape = [EXAMPLES, *(size or 5 for size in spec.shape[1:])]
        if spec.dtype == tf.string:
            made[name] = generator.choice(np.array([b"a", b"b", b"c"], object), shape)
        elif spec.dtype.is_integer:
            made[name] = generator.integers(0, 10, shape).astype(spec.dtype.as_numpy_dtype)
        else:
            made[name] = generator.normal(size=shape).astype(spec.dtype.as_numpy_dtype)
            made[name][-2:] *= 1000
    return made


def batches(size):
    """Which example is where: any, and any filled up with copies of the first."""
    rows = np.random.default_rng(size).integers(0, EXAMPLES, size)
    return rows, np.concatenate([rows, np.repeat(rows[:1], size // 2)])


def differing(saved):
    """The sizes at which an example's bits are others than alone."""
    pool = features(saved.signature().inputs)

    def score(rows):
        return saved.run({name: array[rows] for name, array in pool.items()})

    alone = [score(np.array([row])) for row in range(EXAMPLES)]
    wanted = {name: np.concatenate([scores[name] for scores in alone]) for name in alone[0]}
    return [
        size
        for size in SIZES
        if any(
            scores.tobytes() != wanted[name][rows].tobytes()
            for rows in batches(size)
            for name, scores in score(rows).items()
        )
    ]


def differing_with(threads):
    """For each SavedModel. The first session decides for the process, so each number takes one."""
    config = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=threads)
    found = {}
    for path in sys.argv[2:]:
        with SavedModel(path, config=config) as loaded:
            found[path] = differing(loaded)
    return found


if __name__ == "__main__":
    numbers = [int(number) for number in sys.argv[1].split(",")]
    # TensorFlow is imported, and nothing of it has started yet.
    with multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        found = pool.map(differing_with, numbers, chunksize=1)
    print(json.dumps(dict(zip(numbers, found, strict=True))))
