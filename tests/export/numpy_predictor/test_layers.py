"""What each kind of layer computes is what it does in Keras."""

import keras
import numpy as np
import pytest
from export.numpy_predictor.compared import (
    IDS,
    check,
    check_layer,
    masked,
    normal,
    pair,
    randomized,
)

from tfnorm.errors import InputError
from tfnorm.export.numpy_predictor import to_numpy
from tfnorm.layers import BatchNormalization, Dice, Whitening
from tfnorm.models import AUGRUCell

pytestmark = pytest.mark.filterwarnings("ignore:Layer .* does not support masking")


@pytest.mark.parametrize("go_backwards", [True, False])
@pytest.mark.parametrize("return_sequences", [True, False])
def test_a_recurrent_layer_of_augru_predicts_as_in_keras(go_backwards, return_sequences):
    check_layer(
        keras.layers.RNN(
            AUGRUCell(3), go_backwards=go_backwards, return_sequences=return_sequences
        ),
        None,
        5,
    )


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.Dense(3),
        keras.layers.Dense(3, use_bias=False, activation="relu"),
        keras.layers.Dense(3, activation=keras.layers.LeakyReLU(0.1)),
        keras.layers.Dense(3, activation=Dice()),
        keras.layers.BatchNormalization(),
        keras.layers.BatchNormalization(center=False, epsilon=1e-5),
        keras.layers.BatchNormalization(scale=False),
        BatchNormalization(),
        BatchNormalization(center=False, scale=False),
        BatchNormalization(renorm=True),
        Dice(),
        Dice(epsilon=1e-3),
        keras.layers.LayerNormalization(),
        keras.layers.LayerNormalization(center=False, scale=False),
        keras.layers.UnitNormalization(),
        keras.layers.Normalization(mean=[1.0] * 6, variance=[4.0] * 6),
        keras.layers.Normalization(mean=[1.0] * 6, variance=[4.0] * 6, invert=True),
        keras.layers.Rescaling(0.5, offset=-1.0),
        keras.layers.ReLU(),
        keras.layers.ReLU(max_value=0.5, negative_slope=0.2, threshold=0.1),
        keras.layers.ReLU(negative_slope=0.2),
        keras.layers.LeakyReLU(),
        keras.layers.PReLU(),
        keras.layers.ELU(alpha=0.7),
        keras.layers.Softmax(),
        keras.layers.Flatten(),
        keras.layers.Reshape((3, 2)),
        keras.layers.Reshape((-1, 2)),
        keras.layers.RepeatVector(3),
        keras.layers.Identity(),
        keras.layers.ActivityRegularization(l2=0.1),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_layer_on_rows_predicts_as_in_keras(layer):
    check_layer(layer, 6)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (keras.layers.Dense(3), (None, 6)),
        (keras.layers.EinsumDense("abc,cd->abd", (None, 5), "tanh", "d"), (None, 6)),
        (keras.layers.BatchNormalization(axis=1), (4, 6)),
        (keras.layers.BatchNormalization(axis=2), (4, 6)),
        (BatchNormalization(axis=1), (4, 6)),
        (BatchNormalization(axis=-2), (3, 4, 6)),
        (Dice(axis=1), (4, 6)),
        (keras.layers.LayerNormalization(axis=1), (4, 6)),
        (keras.layers.LayerNormalization(axis=(1, 2)), (4, 6)),
        (keras.layers.LayerNormalization(axis=(1, 3)), (4, 3, 6)),
        (keras.layers.UnitNormalization(axis=(1, 2)), (4, 6)),
        (keras.layers.PReLU(shared_axes=[1]), (4, 6)),
        (keras.layers.Softmax(axis=1), (4, 6)),
        (keras.layers.Softmax(axis=(1, 2)), (4, 6)),
        (keras.layers.Flatten(), (None, 6)),
        (keras.layers.Flatten(data_format="channels_first"), (4, 6)),
        (keras.layers.Flatten(), ()),
        (keras.layers.Reshape((-1, 3)), (None, 6)),
        (keras.layers.Permute((2, 1)), (None, 6)),
        (keras.layers.GlobalAveragePooling1D(), (None, 6)),
        (keras.layers.GlobalAveragePooling1D("channels_first", keepdims=True), (4, 6)),
        (keras.layers.GlobalAveragePooling2D(keepdims=True), (4, 3, 6)),
        (keras.layers.GlobalAveragePooling3D(), (4, 3, 2, 6)),
        (keras.layers.GlobalMaxPooling1D(), (None, 6)),
        (keras.layers.GlobalMaxPooling2D("channels_first"), (4, 3, 6)),
        (keras.layers.GRU(3), (None, 6)),
        (keras.layers.GRU(3, return_sequences=True, go_backwards=True), (4, 6)),
        (keras.layers.GRU(3, reset_after=False, activation="relu"), (None, 6)),
        (
            keras.layers.GRU(3, use_bias=False, activation="linear", recurrent_activation="relu6"),
            (None, 6),
        ),
        (keras.layers.GRU(3, use_bias=False, reset_after=False, unroll=True), (4, 6)),
        (keras.layers.GRU(3, return_state=True), (None, 6)),
        (keras.layers.GRU(3, return_state=True, return_sequences=True), (None, 6)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, keras.Layer) else str(value),
)
def test_a_layer_on_more_axes_predicts_as_in_keras(layer, shape):
    check_layer(layer, *shape)


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.Dropout(0.5),
        keras.layers.AlphaDropout(0.5),
        keras.layers.GaussianDropout(0.5),
        keras.layers.GaussianNoise(1.0),
        keras.layers.SpatialDropout1D(0.5),
    ],
    ids=lambda layer: layer.name,
)
def test_dropout_and_noise_do_nothing_and_a_comment_says_so(layer):
    predictor = check_layer(layer, 4, 6)
    assert "does nothing at inference\n    return x" in predictor.source


def test_moving_statistics_are_used_and_not_the_batch_s():
    model = keras.Sequential([keras.Input((3,)), BatchNormalization(), Dice()])
    model.compile("sgd", "mse")
    x = 3 + normal(64, 3, scale=2)
    model.fit(x, x, epochs=2, verbose=0)
    predictor = check(model, x)
    one_by_one = np.concatenate([predictor(row[None]) for row in x])
    np.testing.assert_allclose(one_by_one, predictor(x), atol=1e-6)


def test_a_normalization_is_as_exact_as_in_training_of_dates_and_constants():
    """Against float64, on two columns of which training keeps two digits, and none but beta."""
    rng = np.random.default_rng(0)
    dates = 20240001 + 100 * rng.integers(1, 13, 500) + rng.integers(1, 29, 500)
    x = np.stack([dates, np.full(500, 1.7e9), rng.normal(size=500)], 1).astype(np.float32)
    mean, variance = x.mean(0, np.float64), x.var(0, dtype=np.float64)
    layer = BatchNormalization(momentum=0.0)
    model = keras.Sequential([keras.Input((3,)), layer])
    layer.gamma.assign([2.0, 3.0, -1.0])
    layer.beta.assign([0.25, 0.5, 0.75])
    expected = (x - mean) / np.sqrt(variance + layer.epsilon) * [2, 3, -1] + [0.25, 0.5, 0.75]
    in_training = np.abs(model(x, training=True).numpy() - expected).max(0)
    np.testing.assert_array_less(
        np.abs(to_numpy(model)(x) - expected).max(0), 2 * in_training + 1e-30
    )


def test_a_whitening_predicts_as_in_keras():
    layer = Whitening(method="pca", components=2)
    layer.adapt(100 + normal(50, 3, scale=2))
    model = keras.Sequential([keras.Input((4, 3)), layer, keras.layers.Dense(2)])
    check(model, 100 + normal(5, 4, 3, scale=2), atol=1e-5)
    fresh = keras.Sequential([keras.Input((3,)), Whitening(name="white")])
    with pytest.raises(InputError, match=r"white.*has not been adapted.*adapt"):
        to_numpy(fresh)


@pytest.mark.parametrize(
    "layers",
    [
        keras.layers.GlobalAveragePooling1D(),
        keras.layers.GlobalAveragePooling1D(keepdims=True),
        keras.layers.GRU(4),
        keras.layers.GRU(4, return_sequences=True),
        keras.layers.GRU(4, go_backwards=True, reset_after=False),
        lambda x: keras.layers.GRU(4)(keras.layers.GRU(4, return_sequences=True)(x)),
        lambda x: keras.layers.GRU(4)(Dice()(BatchNormalization()(keras.layers.Dense(4)(x)))),
        lambda x: keras.layers.GRU(4)(keras.layers.Reshape((-1, 3))(x)),
        lambda x: keras.layers.GRU(4)(keras.layers.Dropout(0.5)(x)),
        lambda x: keras.layers.GlobalAveragePooling1D()(keras.layers.Add()([x, x])),
        lambda x: keras.layers.Multiply()([x, keras.layers.Dense(3)(x)]),
        lambda x: keras.layers.Multiply()([x, x + 1]),
        lambda x: keras.layers.GRU(2)(x + 1, mask=keras.ops.greater(x[..., 0], 0)),
        lambda x: keras.layers.GlobalAveragePooling1D()(x + 1, keras.ops.any(x < 1, axis=-1)),
        lambda x: keras.Sequential([keras.Input((None, 3)), keras.layers.GRU(4)])(x),
        lambda x: keras.layers.Softmax(axis=1)(keras.layers.Dense(1)(x)[..., 0]),
    ],
)
def test_masks_reach_the_layers_that_read_them(layers):
    check(masked(layers), IDS)


def test_masked_softmax_leaves_out_what_is_masked():
    inputs, _ = pair((4,))
    scores = keras.layers.Softmax()(inputs["a"], mask=keras.ops.greater(inputs["b"], 0))
    check(keras.Model(inputs, scores), {"a": normal(3, 4, scale=100), "b": IDS.astype(np.float32)})


def test_masking_masks_steps_of_one_value():
    inputs = keras.Input((4, 3))
    model = keras.Model(inputs, keras.layers.GRU(2)(keras.layers.Masking(mask_value=2.0)(inputs)))
    x = normal(5, 4, 3)
    x[:, 2] = 2
    check(randomized(model), x)


@pytest.mark.parametrize("ids", [[[0, 1, 4, 5]], [[-1, 0, 1, 2]]], ids=str)
def test_an_id_outside_the_table_is_an_error_that_says_what_is_inside(ids):
    predictor = to_numpy(masked(keras.layers.Flatten()))
    with pytest.raises(IndexError, match="accepted: 0 to 4"):
        predictor(np.array(ids))


def test_floating_ids_are_looked_up_as_in_keras():
    check_layer(keras.layers.Embedding(5, 3), 4, scale=0)
