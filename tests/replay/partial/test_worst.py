import json

import numpy as np

from tfnorm.replay.partial.worst import KEPT, Worst, WorstCall


def call(number, difference):
    return WorstCall(number, None, 3, 1, difference, 0, 0.1, 0.1 + difference)


def test_the_worst_are_kept_whatever_the_order_and_the_parts():
    rng = np.random.default_rng(0)
    calls = [call(n, float(d)) for n, d in enumerate(rng.integers(0, 30, 200))]
    expected = sorted(calls, key=lambda c: (-c.difference, c.number))[:KEPT]
    assert Worst(calls).calls() == expected
    assert Worst(reversed(calls)).calls() == expected
    merged = Worst.from_dict(json.loads(json.dumps(Worst(calls[:77]).to_dict())))
    merged.merge(Worst(calls[77:]))
    assert merged.calls() == expected
