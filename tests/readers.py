"""Readers of a log that meet as workers do, each in a thread."""

import threading
from concurrent.futures import ThreadPoolExecutor

from tfnorm.datasets.logs.order.lanes import Readers


def together(count, function):
    """What each of several readers gives, who meet as workers do."""
    meeting, told = threading.Barrier(count, timeout=300), [None] * count

    def one(index):
        def gather(value):
            told[index] = value
            meeting.wait()
            found = list(told)
            meeting.wait()
            return found

        return function(Readers(index, count, gather))

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))
