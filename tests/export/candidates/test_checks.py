"""Bad ids among candidates, in signatures that keep them apart and in others."""

import numpy as np
import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.export.candidates.checks import check_bad_candidates
from tfnorm.session import SavedModel

ROWS = {"item": np.array([1, 2, 3], "i4"), "user": np.array([4, 5, 6], "i4")}
NAN = float("nan")


def of(score):
    """A SavedModel with that signature."""

    class Model(tf.Module):
        @tf.function(
            input_signature=[
                tf.TensorSpec([None, None], tf.int32, "item"),
                tf.TensorSpec([None], tf.int32, "user"),
            ],
            autograph=False,
        )
        def candidates(self, item, user):
            return {"score": score(item, user[:, None])}

    return Model()


def apart(item, user):
    return tf.where((item > 8) | (user > 8), NAN, tf.cast(item + user, tf.float32))


def by_request(item, user):
    return tf.where(tf.reduce_any((item > 8) | (user > 8)), NAN, tf.cast(item + user, tf.float32))


def of_items_alone(item, user):
    return tf.where(item > 8, NAN, tf.cast(item + user, tf.float32))


@pytest.mark.parametrize(
    ("score", "nan", "message"),
    [
        (apart, True, None),
        (by_request, True, "an id of 'item' .* moves 'score' of other candidates"),
        (of_items_alone, True, "an id of 'user' .* leaves 'score' a number"),
        (of_items_alone, False, None),
    ],
)
def test_a_bad_id_costs_its_candidate_or_those_of_its_user(tmp_path, score, nan, message):
    model = of(score)
    tf.saved_model.save(model, str(tmp_path), {"candidates": model.candidates})
    with SavedModel(tmp_path) as saved:
        bad = {"item": 9, "user": 9}
        if message is None:
            check_bad_candidates(saved, ROWS, ["item"], bad, nan=nan)
            return
        with pytest.raises(InputError, match=message):
            check_bad_candidates(saved, ROWS, ["item"], bad, nan=nan)
