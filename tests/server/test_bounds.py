import numpy as np
import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.protocol.tensor_proto import STRING_BYTES
from tfnorm.server import bounds


def test_inputs_and_outputs_are_bounded_together():
    arrays = {"a": np.zeros(10, np.float32), "b": np.array([b"abc", b""], object)}
    size = 40 + 2 * STRING_BYTES + 3
    bounds.check_feeds(arrays, size)
    bounds.check_outputs(arrays, size)
    with pytest.raises(InputError, match=f"{size} bytes"):
        bounds.check_feeds(arrays, size - 1)
    with pytest.raises(tf.errors.ResourceExhaustedError, match=f"{size} bytes.*fewer rows"):
        bounds.check_outputs(arrays, size - 1)


def test_outputs_are_told_from_the_rows_and_the_signatures_shapes():
    outputs = {
        "wide": tf.TensorSpec([None, 100], tf.float32),
        "row": tf.TensorSpec([None], tf.int64),
        "open": tf.TensorSpec([None, None], tf.float32),
        "all": tf.TensorSpec([], tf.float32),
        "fixed": tf.TensorSpec([2, 3], tf.float32),
        "unknown": tf.TensorSpec(None, tf.float32),
    }
    feeds = {"x": np.zeros((10, 0)), "y": np.float32(3)}
    size = 10 * (400 + 8 + 4) + 24
    bounds.check_expected(feeds, outputs, size)
    with pytest.raises(tf.errors.ResourceExhaustedError, match="10 rows give outputs of 4,144"):
        bounds.check_expected(feeds, outputs, size - 1)
