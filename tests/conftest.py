"""What the tests import is told apart from garbage."""

import gc


def pytest_collection_finish():
    """TensorFlow and Keras are half a million objects, which every full collection would visit."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
