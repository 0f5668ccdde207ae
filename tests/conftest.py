"""The longest tests come first, and what the tests import is told apart from garbage."""

import gc


def pytest_collection_modifyitems(items):
    """A notebook that came last would leave one worker with nothing to do."""
    items.sort(key=lambda item: item.path.parent.name != "notebooks")


def pytest_collection_finish():
    """TensorFlow and Keras are half a million objects, which every full collection would visit.

    The garbage that only a full collection finds, the graphs of the tests, stays: it takes a worker
    to 2 GB, and to free it costs more than to make the next.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 1_000_000)
