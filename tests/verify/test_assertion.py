import re

import keras
import numpy as np
import pytest
from verify.dependent_models import BatchDice, examples, ranker

from tfnorm.errors import InputError
from tfnorm.verify import assert_batch_invariant, batch_invariance

EXAMPLES = examples()


@pytest.mark.slow
def test_a_model_that_depends_on_the_batch_fails_with_the_report():
    model = ranker(BatchDice())
    with pytest.raises(AssertionError) as error:
        assert_batch_invariant(model, EXAMPLES)
    verified = batch_invariance(model, EXAMPLES)
    said, report = (re.sub(r"\S+Z, in [\d.]+ s", "", str(of)) for of in (error.value, verified))
    assert said == report
    assert "FAILED" in str(error.value)


def test_a_clean_model_passes():
    assert_batch_invariant(ranker(keras.layers.ReLU()), EXAMPLES)


def test_bad_examples_are_no_failure_of_the_model():
    with pytest.raises(InputError):
        assert_batch_invariant(ranker(keras.layers.ReLU()), {"x": np.zeros((4, 6), np.float32)})


@pytest.mark.slow
def test_pytest_points_at_the_test_and_not_into_tfnorm():
    with pytest.raises(AssertionError) as error:
        assert_batch_invariant(ranker(BatchDice()), EXAMPLES)
    shown = error.traceback.filter(error)
    assert shown[-1].name == "test_pytest_points_at_the_test_and_not_into_tfnorm"
