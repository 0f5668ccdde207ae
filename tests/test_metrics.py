import numpy as np
import pytest

from tfnorm.errors import InputError
from tfnorm.metrics import auc


def test_it_is_the_share_of_pairs_in_the_right_order_with_ties_counted_half():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 200).astype(np.float32)
    scores = rng.integers(0, 20, 200) / 20
    difference = scores[labels == 1][:, None] - scores[labels == 0]
    pairs = np.where(difference == 0, 0.5, difference > 0)
    assert auc(labels, scores) == pytest.approx(pairs.mean(), abs=1e-12)


@pytest.mark.parametrize(
    ("labels", "scores", "reason"),
    [
        ([1, 1], [0.1, 0.2], "2 positive and 0 negative labels"),
        ([0, 0], [0.1, 0.2], "0 positive and 2 negative labels"),
        ([0, 1], [0.1, np.nan], "1 of 2 scores are NaN"),
    ],
)
def test_what_has_no_auc_is_refused(labels, scores, reason):
    with pytest.raises(InputError, match=reason):
        auc(np.array(labels), np.array(scores))
