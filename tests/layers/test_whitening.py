"""Whitening against NumPy's covariance and its own linear algebra, in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from oracles import assert_close
from running import MODES

import tfnorm
from tfnorm.errors import InputError
from tfnorm.layers import Whitening

RNG = np.random.default_rng(0)
X = (RNG.normal(size=(500, 4)) @ RNG.normal(size=(4, 4)) + [3.0, -2.0, 0.5, 40.0]).astype(
    np.float32
)


def adapted(data=X, **arguments):
    layer = Whitening(**arguments)
    layer.adapt(data)
    return layer


def inverse_root(covariance):
    """The symmetric square root of the inverse, by Newton's iteration (Higham, 2008, 6.35)."""
    scale = np.trace(covariance)
    y, z, one = covariance / scale, np.eye(len(covariance)), np.eye(len(covariance))
    for _ in range(60):
        t = (3 * one - z @ y) / 2
        y, z = y @ t, t @ z
    return z / np.sqrt(scale)


@pytest.mark.parametrize("method", ["zca", "pca"])
def test_over_the_data_outputs_have_no_mean_unit_variance_and_no_correlation(method):
    y = adapted(method=method, epsilon=0.0)(X).numpy().astype(np.float64)
    assert_close(y.mean(0), np.zeros(4), 1e-5)
    assert_close(np.cov(y.T, bias=True), np.eye(4), 1e-5)


def test_zca_is_the_symmetric_root_of_the_inverse_covariance():
    epsilon = 0.1
    covariance = np.cov(X.T.astype(np.float64), bias=True) + epsilon * np.eye(4)
    expected = (X - X.mean(0, np.float64)) @ inverse_root(covariance)
    assert_close(adapted(epsilon=epsilon)(X), expected, 1e-5)


@pytest.mark.parametrize("components", [1, 3, None])
def test_pca_gives_the_principal_components_by_falling_variance(components):
    """Those of NumPy's singular value decomposition of the data, but for their signs."""
    centred = X - X.mean(0, np.float64)
    u, _, _ = np.linalg.svd(centred, full_matrices=False)
    expected = u[:, :components] * np.sqrt(len(X))
    y = adapted(method="pca", epsilon=0.0, components=components)(X).numpy()
    assert y.shape == expected.shape
    signs = np.sign((y * expected).sum(0))
    assert_close(y * signs, expected, 1e-4)


def test_the_sign_of_a_component_does_not_depend_on_the_batches_of_the_data():
    kernel = adapted(method="pca").kernel.numpy()
    assert np.all(kernel[np.abs(kernel).argmax(0), np.arange(4)] > 0)


@pytest.mark.parametrize("sizes", [[500], [1, 499], [0, 200, 7, 0, 293]])
def test_one_pass_over_batches_of_any_size_finds_what_the_whole_data_has(sizes):
    """Also where the mean is 10,000 standard deviations from zero."""
    far = (1e4 * X[:, :1] / X[:, :1].std() ** 0 + 1e4 * 500 + X).astype(np.float32)
    batches = np.split(far, np.cumsum(sizes)[:-1])
    layer = adapted(iter(batches), epsilon=1e-2)
    whole = adapted(far, epsilon=1e-2)
    assert int(layer.rows) == 500
    np.testing.assert_allclose(layer.mean, far.mean(0, np.float64), rtol=1e-7)
    np.testing.assert_allclose(layer.kernel, whole.kernel, rtol=1e-5)


def test_a_dataset_of_sequences_is_adapted_to_as_are_its_rows():
    data = tf.data.Dataset.from_tensor_slices(X.reshape(50, 10, 4)).batch(8)
    np.testing.assert_allclose(adapted(data).kernel, adapted().kernel, rtol=1e-6)
    assert int(adapted(data, name="two").rows) == 500
    some = Whitening()
    some.adapt(data, steps=2)
    assert int(some.rows) == 160


def test_adapting_again_starts_afresh():
    layer = adapted()
    layer.adapt(X[:100] * 2)
    np.testing.assert_array_equal(layer.kernel, adapted(X[:100] * 2).kernel)


def test_channels_that_depend_on_each_other_are_held_by_epsilon():
    data = np.stack([X[:, 0], 2 * X[:, 0], np.full(500, 7.0, np.float32)], 1)
    y = adapted(data)(data).numpy()
    assert np.isfinite(y).all()
    assert_close(y[:, 2], np.zeros(500), 1e-3)


@pytest.mark.parametrize("method", ["zca", "pca"])
def test_without_an_epsilon_channels_that_depend_on_each_other_are_refused(method):
    """Unless the components that are kept leave them out."""
    for second in (2 * X[:, 0], np.full(500, 7.0, np.float32)):
        data = np.stack([X[:, 0], second, X[:, 1]], 1)
        layer = Whitening(method=method, epsilon=0.0, name="white")
        with pytest.raises(InputError, match=r"white can't be adapted with epsilon=0.0.*above 0"):
            layer.adapt(data)
        assert int(layer.rows) == 0
        y = adapted(data, method="pca", components=2, epsilon=0.0)(data).numpy()
        assert_close(np.cov(y.T, bias=True), np.eye(2), 1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_it_does_the_same_in_every_mode_and_in_training(mode):
    layer = adapted()
    expected = layer(X)
    call = MODES[mode](lambda x: (layer(x), layer(x, training=True)))
    for y in call(tf.constant(X)):
        assert_close(y, expected, 1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_statistics_are_float32_or_wider_under_every_policy(policy):
    layer = adapted(dtype=policy)
    assert {w.dtype for w in layer.weights} == {"float64" if policy == "float64" else "float32"}
    assert layer(X).dtype == layer.compute_dtype


def test_a_model_saves_loads_and_exports_it(tmp_path):
    layer = adapted(method="pca", components=3)
    model = keras.Sequential([keras.Input((4,)), layer, keras.layers.Dense(1)])
    expected = model.predict(X, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert_close(loaded.predict(X, verbose=0), expected, 1e-6)
    assert not loaded.layers[0].trainable_weights
    name = loaded.inputs[0].name
    export = tfnorm.export_saved_model(loaded, tmp_path / "exports", examples={name: X})
    (score,) = tfnorm.load_scorer(export.path).score({name: X}).values()
    assert_close(score, expected, 1e-5)


def test_what_was_never_adapted_is_refused_and_so_is_a_copy_without_weights():
    model = keras.Sequential([keras.Input((4,)), Whitening(name="white")])
    for call in (model, lambda x: model.predict(x, verbose=0), tf.function(model, autograph=False)):
        with pytest.raises(InputError, match=r"white has not been adapted.*adapt\(data\)"):
            call(X)
    model.layers[0].adapt(X)
    model(X)
    with pytest.raises(InputError, match="has not been adapted"):
        Whitening.from_config(model.layers[0].get_config())(X)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (X[:1], "1 rows; accepted: 2 or more"),
        ([], "0 rows"),
        (np.where(X > 40, np.nan, X), "NaN or infinite"),
        ([(X, X)], r"a batch that is a tuple.*dataset\.map"),
        ([X, X[:, :2]], r"has 4 channels.*\(500, 2\)"),
        (X[0], r"rank 2 or more.*\(4,\)"),
    ],
)
def test_data_that_it_can_not_be_adapted_to(data, reason):
    with pytest.raises(InputError, match=reason):
        Whitening().adapt(data)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"method": "chol"}, "method is 'chol'; accepted: 'zca', 'pca'"),
        ({"method": "pca", "components": 0}, "components must be 1 or more.*0"),
        ({"method": "pca", "components": 2.0}, "an integer.*2.0"),
        ({"components": 2}, "method='pca'; received components=2 with method='zca'"),
        ({"epsilon": -1.0}, "epsilon must be 0 or more.*-1.0"),
    ],
)
def test_arguments_out_of_range(arguments, reason):
    with pytest.raises(InputError, match=reason):
        Whitening(**arguments)


def test_more_components_than_channels():
    with pytest.raises(InputError, match="5 components of 4 channels"):
        Whitening(method="pca", components=5).adapt(X)
