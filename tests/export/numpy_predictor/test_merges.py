"""What the layers that merge several inputs compute is what they do in Keras."""

import keras
import numpy as np
import pytest
from export.numpy_predictor.compared import IDS, check, masked, pair, randomized

from tfnorm.export.numpy_predictor import to_numpy

pytestmark = pytest.mark.filterwarnings("ignore:Layer .* does not support masking")


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.Add(),
        keras.layers.Subtract(),
        keras.layers.Multiply(),
        keras.layers.Average(),
        keras.layers.Maximum(),
        keras.layers.Minimum(),
        keras.layers.Concatenate(),
        keras.layers.Concatenate(axis=1),
        keras.layers.Dot(axes=1),
        keras.layers.Dot(axes=-1, normalize=True),
    ],
    ids=lambda layer: layer.name,
)
@pytest.mark.parametrize("shape", [(3,), (4, 4)], ids=str)
def test_a_merge_is_keras_s(layer, shape):
    inputs, rows = pair(shape)
    layer = type(layer).from_config(layer.get_config())
    check(keras.Model(inputs, layer(list(inputs.values()))), rows)


@pytest.mark.parametrize("axes", [1, (2, 1), (1, 3), (-1, -2)], ids=str)
def test_a_dot_product_along_any_axes_is_keras_s(axes):
    inputs, rows = pair((4, 4), (4, 4, 4))
    check(keras.Model(inputs, keras.layers.Dot(axes)(list(inputs.values()))), rows, atol=3e-6)


def test_inputs_of_different_rank_are_merged_as_in_keras():
    inputs, rows = pair((3,), (4, 3))
    check(keras.Model(inputs, keras.layers.Multiply()([inputs["b"], inputs["a"]])), rows)


def test_more_than_two_inputs_are_merged():
    inputs, rows = pair()
    x = [inputs["a"], inputs["b"], keras.layers.Dense(3)(inputs["a"])]
    merges = (keras.layers.Add, keras.layers.Average, keras.layers.Maximum, keras.layers.Multiply)
    check(randomized(keras.Model(inputs, [merge()(x) for merge in merges])), rows)


@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("both", [True, False])
def test_a_concatenated_step_counts_if_any_of_its_parts_does(axis, both):
    def layers(x):
        other = keras.layers.Dropout(0.5)(x) if both else x * 1
        joined = keras.layers.Concatenate(axis=axis)([x, other])
        return keras.layers.GlobalAveragePooling1D()(joined)

    predictor = to_numpy(masked(layers))
    rows = predictor.weights["embedding/embeddings"][IDS]
    valid, other = IDS != 0, np.where(both, IDS != 0, True)
    counts = valid | other if axis == -1 else np.concatenate([valid, other], axis=1)
    joined = np.concatenate([rows, rows], axis=axis) * counts[..., None]
    expected = joined.sum(axis=1) / counts.sum(axis=1, keepdims=True)
    # Keras 3.6 builds this model and can't call it, so it is no oracle.
    np.testing.assert_allclose(predictor(IDS), expected, atol=1e-6)
