import keras
import numpy as np
import pytest

from tfnorm.metrics import auc
from tfnorm.training.ranking_metrics import Ranking, RankingMetrics
from tfnorm.training.stopping import Stopping, standard_error

Y = np.zeros((4, 1))


class Measured(RankingMetrics):
    """Figures that are given, of so many examples, of which half have a click."""

    def __init__(self, values, rows):
        super().__init__(None)
        self._values, self._rows = iter(values), rows

    def measure(self, model):
        return Ranking(next(self._values), 0.0, None, 0.0, 0.5, self._rows, self._rows // 2)


def stopped(values, rows, patience=1):
    """How many epochs were trained, and after how many of them the weights were as they are now."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(1.0), loss=lambda y, x: x)
    # Each step takes 1 from the weight.
    x = np.ones((4, 1))
    (start,) = model.get_weights()
    metrics = Measured(values, rows)
    callbacks = [metrics, Stopping(metrics, patience)]
    history = model.fit(x, Y, epochs=len(values), callbacks=callbacks, verbose=0).history
    (end,) = model.get_weights()
    return len(history["val_auc"]), round(float((start - end).item()))


@pytest.mark.parametrize(
    ("values", "rows", "patience", "expected"),
    [
        # The standard error is 0.013 of 880 examples, and 0.0013 of 88,000.
        ([0.86, 0.855, 0.857], 880, 1, (3, 3)),
        ([0.86, 0.855, 0.857], 88_000, 1, (2, 1)),
        ([0.86, 0.84, 0.87], 880, 1, (2, 1)),
        ([0.86, 0.84, 0.87], 880, 2, (3, 3)),
        ([0.86, 0.84, 0.83, 0.9], 880, 2, (3, 1)),
        # It is the best one that each is compared with: small steps do not lead far down.
        ([0.86, 0.852, 0.844, 0.836], 880, 1, (3, 2)),
    ],
)
def test_it_stops_where_the_auc_has_fallen_by_more_than_chance(values, rows, patience, expected):
    assert stopped(values, rows, patience) == expected


def test_the_standard_error_is_how_far_samples_of_exponential_scores_are_apart():
    generator = np.random.default_rng(0)
    clicks, others = 150, 450
    labels = np.repeat([1, 0], [clicks, others])
    scale = np.where(labels, 4.0, 1.0)
    found = [auc(labels, generator.exponential(scale).astype(np.float32)) for _ in range(2000)]
    assert standard_error(float(np.mean(found)), clicks, others) == pytest.approx(
        np.std(found), rel=0.05
    )
