"""Of which outputs nothing can be told, by the examples scored one at a time."""

import numpy as np
import pytest
from verify.made_scorers import FunctionScorer

from tfnorm.verify.judgement.reference import Reference
from tfnorm.verify.judgement.tolerance import Tolerance
from tfnorm.verify.judgement.untold import untold

SCORES = np.float32([0.25, 0.5, 0.75])
SHUT = [FunctionScorer(None)]


def _untold(**outputs):
    tolerance = Tolerance(precision="float32")
    references = {
        name: Reference([array[i : i + 1] for i in range(len(array))], tolerance)
        for name, array in outputs.items()
    }
    return untold(references, SHUT)


def test_scores_that_differ_tell_all():
    found = _untold(score=SCORES, other=np.stack([SCORES, 0 * SCORES], axis=1))
    assert (found.outputs, found.undecided) == ({}, None)


def test_integers_that_are_the_same_are_listed_beside_a_score_and_decide_alone():
    beside = _untold(score=SCORES, number=np.int64([3, 3, 3]))
    assert beside.outputs.keys() == {"number"} and beside.undecided is None
    assert "all of 3 examples score alike" in _untold(number=np.int64([3, 3, 3])).undecided


@pytest.mark.parametrize(
    ("values", "where"),
    [
        (np.float32([np.nan] * 3), "for all examples"),
        (np.float32([[1, np.nan], [2, np.inf], [3, -np.inf]]), "in [1]"),
        (np.float32([[[1, np.nan] * 3]] * 3), "in [0, 1], [0, 3], [0, 5]"),
        (np.float32([[1, *[np.nan] * 5]] * 3), "in [1], [2], [3] and 2 more"),
    ],
)
def test_places_without_a_number_are_named(values, where):
    found = _untold(score=SCORES, odd=values)
    assert found.outputs["odd"].endswith(where)
    assert "'odd' is NaN or infinite for all of 3 examples" in found.undecided


def test_examples_without_a_number_are_counted():
    found = _untold(score=np.float32([0.5, np.nan, 0.25]))
    assert found.outputs["score"].startswith("NaN or infinite for 1 of 3 examples")
    assert found.undecided is None
