import numpy as np
import tensorflow as tf

from tfnorm.models.interest_scores import InterestScores

LENGTHS = [4, 1, 0, 3]


def test_it_is_the_softmax_of_the_bilinear_form_over_the_unpadded_interests():
    rng = np.random.default_rng(0)
    query = rng.normal(size=(4, 3)).astype(np.float32)
    interests = rng.normal(size=(4, 4, 5)).astype(np.float32)
    valid = np.arange(4) < np.array(LENGTHS)[:, None]
    layer = InterestScores()
    found = layer(*map(tf.constant, (query, interests, valid))).numpy()
    (kernel,) = (w.astype(np.float64) for w in layer.get_weights())
    for a, q, h, n in zip(found, query, interests, LENGTHS, strict=True):
        logits = np.exp(h[:n] @ kernel @ q)
        np.testing.assert_allclose(a[:n], logits / logits.sum(), rtol=1e-5)
        assert not a[n:].any()


def test_several_targets_of_a_user_get_the_scores_that_each_gets_by_itself():
    rng = np.random.default_rng(3)
    layer = InterestScores()
    query, interests = (rng.normal(size=size).astype("f4") for size in ((2, 3, 4), (2, 5, 6)))
    valid = tf.constant([[True] * 3 + [False] * 2, [False] * 5])
    alone = [layer(query[:, i], interests, valid) for i in range(3)]
    together = layer.of_candidates(tf.constant(query), tf.constant(interests), valid)
    np.testing.assert_allclose(together, np.stack(alone, axis=1), rtol=1e-5, atol=1e-7)
