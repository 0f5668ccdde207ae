"""`recalibrate_statistics` against NumPy float64 over the whole dataset; what stops it changes nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import keras
import numpy as np
import oracles
import pytest
import tensorflow as tf

import tfnorm
from tfnorm.errors import InputError
from tfnorm.statistics import recalibrate_statistics

KINDS = [
    tfnorm.BatchNormalization,
    keras.layers.BatchNormalization,
    tfnorm.Dice,
    tfnorm.BatchNormalization,
    keras.layers.BatchNormalization,
]


@pytest.fixture
def batches(rows) -> tf.data.Dataset:
    """Seven batches of 64, and one of 52."""
    return tf.data.Dataset.from_tensor_slices((rows, rows[:, 0])).batch(64)


@pytest.fixture
def deep_model(randomized) -> keras.Model:
    blocks = [layer for kind in KINDS for layer in (keras.layers.Dense(6), kind())]
    return randomized(keras.Sequential([keras.Input((4,)), *blocks]))


@pytest.fixture
def assert_deep_statistics(assert_statistics, outputs_of) -> Callable:
    """Pushes the population through by hand, layer after layer."""

    def check(model: keras.Model, x: np.ndarray) -> None:
        x = x.astype(np.float64)
        for layer in model.layers:
            if hasattr(layer, "moving_mean"):
                assert_statistics(layer, x, rtol=1e-4)
            x = outputs_of(layer, x)

    return check


def alone(layer: keras.layers.Layer, shape: tuple = (4,)) -> keras.Model:
    return keras.Sequential([keras.Input(shape), layer])


def test_every_layer_of_a_deep_model_gets_the_statistics_of_its_inputs(
    deep_model, rows, batches, assert_deep_statistics
):
    names = recalibrate_statistics(deep_model, batches)
    assert names == [layer.name for layer in deep_model.layers[1::2]]
    assert_deep_statistics(deep_model, rows)


def test_a_recalibrated_model_normalizes_its_training_population_exactly(deep_model, rows):
    """Training on one shifted batch after another leaves the moving averages behind."""
    deep_model.compile("sgd", "mse")
    shifted = rows + np.linspace(0, 50, len(rows), dtype=np.float32)[:, None]
    labels = np.zeros((len(rows), 6), np.float32)
    deep_model.fit(shifted, labels, batch_size=64, shuffle=False, verbose=0)

    layers = deep_model.layers[1::2]
    inputs_of_layers = keras.Model(deep_model.inputs, [layer.input for layer in layers])

    def off() -> list[float]:
        """How far (x - mu) / sqrt(var) are from mean 0 and variance 1 in each layer."""
        worst = []
        for layer, x in zip(layers, inputs_of_layers.predict_on_batch(shifted), strict=True):
            mean, variance = layer.moving_mean.numpy(), layer.moving_variance.numpy()
            x_hat = oracles.normalize(x, mean, variance, epsilon=0)
            _, mean, variance = oracles.moments(x_hat)
            worst.append(max(np.abs(mean).max(), np.abs(variance - 1).max()))
        return worst

    assert min(off()) > 0.1
    recalibrate_statistics(deep_model, [shifted[:200], shifted[200:]])
    assert max(off()) < 1e-4


@pytest.mark.parametrize("kind", [tfnorm.Dice, keras.layers.BatchNormalization])
def test_a_short_last_batch_weighs_by_its_rows(kind):
    model = alone(kind(), (1,))
    recalibrate_statistics(model, [np.array([[1.0], [2.0], [3.0]]), np.array([[10.0]])])
    assert model.layers[0].moving_mean.numpy().tolist() == [4.0]
    assert model.layers[0].moving_variance.numpy().tolist() == [12.5]


def test_millions_of_rows_far_from_zero_keep_their_digits():
    """Mean / standard deviation is 10,000; E[x^2] - E[x]^2 in float32 has no digit left."""
    rng = np.random.default_rng(0)
    x = (1e4 + rng.normal(size=(2_000_000, 2))).astype(np.float32)
    model = alone(tfnorm.BatchNormalization(), (2,))
    recalibrate_statistics(model, [x[i : i + 300_001] for i in range(0, len(x), 300_001)])
    layer = model.layers[0]
    mean, variance = oracles.moments(x)[1:]
    np.testing.assert_array_equal(layer.moving_mean.numpy(), mean.astype(np.float32))
    np.testing.assert_allclose(layer.moving_variance.numpy(), variance, rtol=1e-6)


def test_unbiased_variance_divides_by_one_less(rows, batches):
    model = alone(tfnorm.Dice(unbiased_variance=True))
    recalibrate_statistics(model, batches)
    expected = rows.astype(np.float64).var(0, ddof=1)
    np.testing.assert_allclose(model.layers[0].moving_variance.numpy(), expected, rtol=1e-6)


def test_one_value_has_variance_0_when_unbiased_too():
    model = alone(tfnorm.Dice(unbiased_variance=True), (1,))
    recalibrate_statistics(model, [np.array([[3.0]])])
    assert model.layers[0].moving_mean.numpy().tolist() == [3.0]
    assert model.layers[0].moving_variance.numpy().tolist() == [0.0]


def test_renorm_statistics_are_those_of_the_same_population(rows, batches, assert_statistics):
    model = alone(tfnorm.BatchNormalization(renorm=True))
    recalibrate_statistics(model, batches)
    layer = model.layers[0]
    assert_statistics(layer, rows)
    mean, variance = oracles.moments(rows)[1:]
    stddev = np.sqrt(variance + layer.epsilon)
    np.testing.assert_allclose(layer.moving_stddev.numpy(), stddev, rtol=1e-6)
    np.testing.assert_allclose(layer.renorm_stddev.numpy(), stddev, rtol=1e-6)
    np.testing.assert_allclose(layer.renorm_mean.numpy(), mean, rtol=1e-5)


def test_a_cumulative_average_goes_on_from_as_many_batches_as_it_comes_from(batches):
    model = alone(tfnorm.Dice(momentum=None))
    recalibrate_statistics(model, batches)
    layer = model.layers[0]
    mean = layer.moving_mean.numpy()
    assert layer.updates.numpy().tolist() == [8.0] * 4
    layer(np.zeros((5, 4), np.float32), training=True)
    np.testing.assert_allclose(layer.moving_mean.numpy(), mean * 8 / 9, rtol=1e-6)


def test_masked_positions_do_not_count(randomized, assert_statistics, outputs_of):
    ids = np.array([[1, 2, 0], [3, 0, 0], [2, 2, 1]])
    inputs = keras.Input((None,))
    embedding = keras.layers.Embedding(4, 3, mask_zero=True)
    normalization, dice = keras.layers.BatchNormalization(), tfnorm.Dice()
    model = randomized(keras.Model(inputs, dice(normalization(embedding(inputs)))))
    recalibrate_statistics(model, [ids[:2], ids[2:]])
    values = embedding.embeddings.numpy()[ids[ids != 0]]
    assert_statistics(normalization, values)
    assert_statistics(dice, outputs_of(normalization, values))


def test_a_channel_without_a_value_keeps_its_statistics():
    inputs, mask = keras.Input((2, 1)), keras.Input((2,), dtype="bool")
    layer = tfnorm.BatchNormalization(axis=1)
    model = keras.Model([inputs, mask], layer(inputs, mask=mask))
    layer.moving_mean.assign([7.0, 7.0])
    x = np.array([[[1.0], [2.0]], [[3.0], [6.0]]])
    recalibrate_statistics(model, [([x, np.array([[True, False]] * 2)],)])
    assert layer.moving_mean.numpy().tolist() == [2.0, 7.0]
    assert layer.moving_variance.numpy().tolist() == [1.0, 1.0]


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_statistics_are_those_of_what_the_layer_is_given_in_its_policy(
    rows, policy, assert_statistics
):
    model = alone(tfnorm.BatchNormalization(dtype=policy))
    recalibrate_statistics(model, [rows])
    given = tf.cast(rows, model.layers[0].compute_dtype)
    assert_statistics(model.layers[0], tf.cast(given, tf.float64).numpy())


def test_channels_first(rows, assert_statistics):
    model = alone(keras.layers.BatchNormalization(axis=1), (2, 2))
    x = rows.reshape(-1, 2, 2)
    recalibrate_statistics(model, [x])
    assert_statistics(model.layers[0], x)


def test_dropout_is_off(rows, assert_statistics):
    layer = tfnorm.Dice()
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.5), layer])
    recalibrate_statistics(model, [rows])
    assert_statistics(layer, rows)


def test_a_frozen_layer_keeps_its_statistics_and_those_after_it_see_them(
    rows, batches, assert_statistics
):
    frozen, after = keras.layers.BatchNormalization(trainable=False), tfnorm.Dice()
    model = keras.Sequential([keras.Input((4,)), frozen, after])
    assert recalibrate_statistics(model, batches) == [after.name]
    assert frozen.moving_mean.numpy().tolist() == [0.0] * 4
    assert_statistics(after, rows / np.sqrt(1 + frozen.epsilon))


def test_only_the_statistics_change(deep_model, batches):
    before = deep_model.get_weights()
    statistics = {id(v) for layer in deep_model.layers[1::2] for v in layer.non_trainable_variables}
    recalibrate_statistics(deep_model, batches)
    for variable, value in zip(deep_model.weights, before, strict=True):
        assert np.array_equal(variable.numpy(), value) == (id(variable) not in statistics)


def test_batches_in_another_order_in_each_pass_change_nothing(
    deep_model, rows, assert_deep_statistics
):
    recalibrate_statistics(
        deep_model, tf.data.Dataset.from_tensor_slices(rows).shuffle(500, seed=0).batch(100)
    )
    assert_deep_statistics(deep_model, rows)


@pytest.fixture
def ranker() -> keras.Model:
    blocks = [keras.layers.Dense(3), tfnorm.Dice(), keras.layers.BatchNormalization()]
    return keras.Sequential([keras.Input((4,)), *blocks], name="ranker")


@contextlib.contextmanager
def unchanged(model: keras.Model) -> Iterator[None]:
    before = model.get_weights()
    yield
    for value, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, kept)
    assert not any("call" in vars(layer) for layer in model.layers)


@pytest.mark.parametrize("pass_number", [1, 2])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_whatever_stops_it_leaves_the_model_as_it_was(ranker, rows, error, pass_number):
    class Stopped:
        passes = 0

        def __iter__(self):
            self.passes += 1
            yield rows
            if self.passes == pass_number:
                raise error

    with unchanged(ranker), pytest.raises(error):
        recalibrate_statistics(ranker, Stopped())


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (lambda rows: [], "the dataset has no batches"),
        (lambda rows: [rows[:0]], "the batches are empty"),
        (lambda rows: [rows, rows[:, :3]], r"'ranker' can't run on a batch of float32 \[500, 3\]"),
        (lambda rows: [rows[0]], r"a batch of float32 \[4\]: .*shape"),
        (lambda rows: [rows.astype(str)], r"a batch of str\d+ \[500, 4\]: Cast string to float"),
        (lambda rows: [rows, object()], "can't run on a batch of object"),
        (lambda rows: [np.where(rows > 5, np.nan, rows)], "not finite in 3 of its 3 channels"),
        (lambda rows: [[rows] * 4], "a batch is a list of 4; accepted: x"),
        (lambda rows: 5, "dataset is a int; accepted: a tf.data.Dataset"),
    ],
)
def test_a_dataset_that_can_not_be_used_is_one_clear_error(ranker, rows, dataset, message):
    with unchanged(ranker), pytest.raises(InputError, match=message) as raised:
        recalibrate_statistics(ranker, dataset(rows))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)]),
            "no layer with moving statistics: no tfnorm.BatchNormalization, tfnorm.Dice or",
        ),
        (
            lambda: keras.Sequential([keras.Input((4,)), tfnorm.Dice(trainable=False)]),
            r"are frozen \(trainable=False\); set trainable=True on those",
        ),
        (lambda: keras.Sequential([tfnorm.Dice()], name="new"), "'new' has no weights yet"),
        (tfnorm.Dice, "model is a Dice; accepted: a built keras.Model"),
    ],
)
def test_a_model_that_can_not_be_used_is_one_clear_error(rows, make, message):
    with pytest.raises(InputError, match=message):
        recalibrate_statistics(make(), [rows])


def test_a_layer_that_feeds_itself_and_does_not_settle_is_refused(rows):
    """Each call halves the values or doubles them, by how the last pass found them."""
    inputs = keras.Input((4,))
    layer = tfnorm.BatchNormalization(epsilon=0.0, center=False, scale=False)
    model = keras.Model(inputs, layer(layer(inputs) * 3.0) * 1.0)
    with unchanged(model), pytest.raises(InputError, match="don't settle in 101 passes"):
        recalibrate_statistics(model, [rows * 0.01])
