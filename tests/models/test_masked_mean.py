import numpy as np
import tensorflow as tf

from tfnorm.models.masked_mean import MaskedMean


def test_it_is_the_mean_of_what_is_valid_and_zero_where_nothing_is():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 6, 3)).astype(np.float32)
    valid = rng.random((5, 6)) < 0.5
    valid[2] = False
    expected = [x[i][valid[i]].mean(axis=0) if valid[i].any() else np.zeros(3) for i in range(5)]
    y = MaskedMean()(tf.constant(x), tf.constant(valid))
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-7)
