"""Many clients on both APIs while versions roll; `benchmarks/fuzz.py` rolls more of them."""

import pytest
from server.rolling import roll, scaled_models

from tfnorm.server import BatchingParameters

BATCHING = BatchingParameters(
    max_batch_size=64, batch_timeout_micros=500, allowed_batch_sizes=(8, 64), num_batch_threads=2
)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return scaled_models(tmp_path_factory.mktemp("scaled"))


@pytest.mark.slow
@pytest.mark.parametrize("batching", [None, BATCHING], ids=["as they come", "batched"])
def test_while_versions_roll_and_some_are_broken_no_answer_is_wrong_and_none_is_missing(
    batching, models, connect, tmp_path
):
    answers = roll(models, 7, batching, connect, tmp_path)
    assert answers["rest"]
    assert {1, 2, 4, 5} <= answers.keys()
    assert not {3, 6} & answers.keys()
