import json
import pickle

import numpy as np
import pytest

from tfnorm import metrics
from tfnorm.replay.partial.quality import Quality


def drawn(seed, scale=1.0):
    rng = np.random.default_rng(seed)
    labels = rng.random(2000) < 0.2
    logits = scale * (rng.normal(size=2000) + labels)
    return labels.astype(np.float64), logits


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_the_exact_auc_is_within_the_stated_error(seed, scale):
    labels, logits = drawn(seed, scale)
    quality = Quality()
    for part in np.array_split(np.arange(2000), 7):
        quality.add(labels[part], logits[part])
    exact = metrics.auc(labels, logits.astype(np.float32))
    assert abs(quality.auc - exact) <= quality.error + 1e-12 < 1e-3
    assert quality.log_loss is None


@pytest.mark.parametrize("seed", range(5))
def test_the_log_loss_is_exact(seed):
    labels, logits = drawn(seed)
    scores = 1 / (1 + np.exp(-logits))
    quality = Quality()
    quality.add(labels, scores)
    assert quality.log_loss == pytest.approx(metrics.log_loss(labels, scores), rel=1e-12)


def test_parts_merge_to_the_whole_and_are_json():
    labels, logits = drawn(0)
    whole, one, other = Quality(), Quality(), Quality()
    whole.add(labels, logits)
    one.add(labels[:700], logits[:700])
    other.add(labels[700:], logits[700:])
    one.merge(Quality.from_dict(json.loads(json.dumps(other.to_dict()))))
    assert (one.auc, one.error, one.rows) == (whole.auc, whole.error, whole.rows)


def test_parts_merge_whose_arrays_another_process_has_made_read_only():
    """Ray hands out what its object store has."""
    parts, (labels, scores) = [], drawn(0)
    for rows in (slice(700), slice(700, None)):
        part, buffers = Quality(), []
        part.add(labels[rows], scores[rows])
        sent = pickle.dumps(part, 5, buffer_callback=buffers.append)
        parts.append(pickle.loads(sent, buffers=[bytes(buffer) for buffer in buffers]))
    one, other = parts
    one.merge(other)
    whole = Quality()
    whole.add(labels, scores)
    assert (one.auc, one.rows) == (whole.auc, whole.rows)


def test_rows_without_a_label_are_left_out_and_nan_has_no_auc():
    quality = Quality()
    quality.add(np.array([1, np.nan, 0]), np.array([0.5, np.nan, 0.25]))
    assert (quality.rows, quality.auc) == (2, 1.0)
    quality.add(np.array([1.0]), np.array([np.nan]))
    assert quality.auc is None and quality.error is None and quality.log_loss is None


def test_labels_that_are_all_the_same_have_no_auc_but_a_log_loss():
    quality = Quality()
    quality.add(np.zeros(3), np.full(3, 0.5))
    assert quality.auc is None
    assert quality.log_loss == pytest.approx(np.log(2))


def test_both_zeros_are_a_tie():
    quality = Quality()
    quality.add(np.array([0.0, 1.0]), np.array([0.0, -0.0]))
    assert quality.auc == 0.5
