"""The examples that the tests of the models are given."""

import numpy as np

LENGTHS = [4, 1, 0, 3, 2, 4]
LABELS = np.array([0, 1, 1, 0, 1, 0], np.float32)


def make_features(*, negatives=False):
    rng = np.random.default_rng(0)
    valid = np.arange(4) < np.array(LENGTHS)[:, None]
    ids = {
        "item": rng.integers(1, 30, 6),
        "category": rng.integers(1, 7, 6),
        "history_items": rng.integers(1, 30, (6, 4)) * valid,
        "history_categories": rng.integers(1, 7, (6, 4)) * valid,
    }
    if negatives:
        ids["negative_items"] = rng.integers(1, 30, (6, 4)) * valid
        ids["negative_categories"] = rng.integers(1, 7, (6, 4)) * valid
    return {name: column.astype(np.int32) for name, column in ids.items()}
