"""An experiment goes through its pairs until one moves an output."""

import numpy as np
import pytest
import tensorflow as tf

from tfnorm.verify.culprit.batches import Batches
from tfnorm.verify.culprit.experiments.experiment import Accusation, PairExperiment, Subject
from tfnorm.verify.culprit.pairs import Pair
from tfnorm.verify.culprit.rounding import EQUAL_SHAPES
from tfnorm.verify.culprit.rows import Alignment

X = tf.TensorSpec([None, 2], tf.float32, "x")


class FillOthers(PairExperiment):
    """One row beside rows that are filled with the values given; remembers what it was asked."""

    def __init__(self, *fillers):
        self.fillers = fillers
        self.tried = []

    def pairs(self, subject):
        row = subject.batches.take(0, 1)
        for filler in self.fillers:
            self.tried.append(filler)
            others = [{"x": np.full((3, 2), value, np.float32)} for value in filler]
            feeds = tuple(subject.batches.join(row, other) for other in others)
            yield Pair(feeds, row, Alignment(1, (4, 4)), EQUAL_SHAPES)

    def accuse(self, found):
        return Accusation(found.region, found.node, "fills")


@pytest.fixture(scope="module")
def subject(probe_of):
    """x minus the batch's largest value; values of 100 and more are refused."""

    def serve(x):
        with tf.control_dependencies([tf.debugging.assert_less(x, 100.0)]):
            return {"score": x - tf.reduce_max(x)}

    probe = probe_of(serve, X)
    return Subject(probe, Batches(probe.signature, {"x": np.ones((4, 2), np.float32)}), 1, 4)


def test_the_first_pair_that_moves_an_output_accuses(subject):
    experiment = FillOthers((0, -1), (2, 3), (4, 5))
    accusation = experiment.find(subject)
    assert accusation.region.nodes[accusation.node].op == "Max"
    assert experiment.tried == [(0, -1), (2, 3)]


@pytest.mark.parametrize("refused", [(2, 200), (200, 2)])
def test_a_pair_that_the_model_refuses_tells_nothing(subject, refused):
    experiment = FillOthers(refused, (2, 3))
    assert experiment.find(subject) is not None
    assert FillOthers(refused).find(subject) is None


def test_nothing_is_accused_where_no_output_moves(subject):
    assert FillOthers((0, -1), (0, -5)).find(subject) is None
