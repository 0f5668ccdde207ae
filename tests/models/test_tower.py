"""The network that ends in a score."""

import keras
import numpy as np
import oracles
import pytest
from oracles import assert_close

from tfnorm.errors import InputError
from tfnorm.layers import BatchNormalization, Dice
from tfnorm.models.tower import tower


def made(*units, dtype="float32", **options):
    given = {"activation": "dice", "batch_normalization": True, "dropout": 0.0, **options}
    inputs = keras.Input((3,), dtype=dtype)
    return keras.Model(inputs, tower(inputs, units, **given))


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["normalization", "dense_1", "dice_1", "dense_2", "dice_2", "score"]),
        (
            {"activation": "prelu", "batch_normalization": False, "dropout": 0.5},
            ["dense_1", "prelu_1", "dropout_1", "dense_2", "prelu_2", "dropout_2", "score"],
        ),
    ],
)
def test_layers_have_names_that_say_their_place(options, names):
    layers = made(4, 2, **options).layers[1:]
    assert [layer.name for layer in layers] == names
    assert [layer.units for layer in layers if isinstance(layer, keras.layers.Dense)] == [4, 2, 1]
    rates = [layer.rate for layer in layers if isinstance(layer, keras.layers.Dropout)]
    assert rates == [0.5] * names.count("dropout_1") * 2


def test_without_hidden_units_the_score_is_a_logistic_regression():
    model = made(batch_normalization=False)
    kernel, bias = (w.numpy().astype(np.float64) for w in model.weights)
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    assert_close(model(x), 1 / (1 + np.exp(-(x @ kernel + bias))), 1e-6)


@pytest.mark.parametrize("activation", ["dice", "prelu"])
def test_the_score_is_the_formulas_one_after_the_other(activation):
    model = made(4, activation=activation)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.uniform(0.2, 1.5, weight.shape))
    w = {weight.path: weight.numpy().astype(np.float64) for weight in model.weights}
    x = rng.normal(size=(5, 3)).astype(np.float32)
    statistics = [
        w[f"normalization/{name}"] for name in ("moving_mean", "moving_variance", "gamma", "beta")
    ]
    h = oracles.normalize(x, *statistics, epsilon=model.get_layer("normalization").epsilon)
    h = h @ w["dense_1/kernel"] + w["dense_1/bias"]
    if activation == "dice":
        names = ("moving_mean", "moving_variance", "alpha")
        h = oracles.dice(h, *(w[f"dice_1/{name}"] for name in names), epsilon=1e-9)
    else:
        h = np.where(h > 0, h, w["prelu_1/alpha"] * h)
    expected = 1 / (1 + np.exp(-(h @ w["score/kernel"] + w["score/bias"])))
    assert_close(model(x), expected, 1e-6)


def test_short_trainings_leave_nothing_of_the_initial_statistics():
    layers = made(4).layers
    normalizing = [layer for layer in layers if isinstance(layer, (BatchNormalization, Dice))]
    assert len(normalizing) == 2 and all(layer.momentum_warmup for layer in normalizing)


def test_a_prelu_starts_from_the_slope_of_the_authors():
    alpha = made(4, activation="prelu").get_layer("prelu_1").alpha
    np.testing.assert_array_equal(alpha, np.full(4, 0.1, np.float32))


@pytest.mark.parametrize(
    ("policy", "dtype"),
    [
        ("float32", "float32"),
        ("mixed_bfloat16", "float32"),
        ("float16", "float32"),
        ("float64", "float64"),
    ],
)
def test_the_score_is_float32_or_wider_under_every_policy(policy, dtype):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = made(4)
    finally:
        keras.config.set_dtype_policy(before)
    assert model(np.zeros((2, 3))).dtype == dtype
    assert model.get_layer("dense_1").compute_dtype == policy.removeprefix("mixed_")


@pytest.mark.parametrize("activation", ["relu", "Dice", ""])
def test_an_activation_that_is_not_there_is_refused(activation):
    with pytest.raises(
        InputError, match=f"activation is '{activation}'; accepted: 'dice', 'prelu'"
    ):
        made(4, activation=activation)
