import keras
import numpy as np
import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.layers import BatchNormalization, Dice
from tfnorm.models import DIN

LENGTHS = [4, 1, 0, 3, 2, 4]


def make_features():
    rng = np.random.default_rng(0)
    valid = np.arange(4) < np.array(LENGTHS)[:, None]
    ids = {
        "item": rng.integers(1, 30, 6),
        "category": rng.integers(1, 7, 6),
        "history_items": rng.integers(1, 30, (6, 4)) * valid,
        "history_categories": rng.integers(1, 7, (6, 4)) * valid,
    }
    return {name: column.astype(np.int32) for name, column in ids.items()}


def make_model(**options):
    """A DIN none of whose weights is still at its initial value."""
    model = DIN(30, 7, embedding_size=4, attention_units=(8, 5), units=(9, 6), **options)
    rng = np.random.default_rng(1)
    for weight in model.weights:
        # Moving variances must be positive.
        weight.assign(
            np.abs(rng.normal(size=weight.shape))
            if "variance" in weight.path
            else rng.normal(size=weight.shape)
        )
    return model


@pytest.fixture(scope="module")
def features():
    return make_features()


@pytest.fixture(scope="module")
def model():
    return make_model()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def reference(model, features):
    """The published formula, one example at a time, in float64."""
    weights = {
        layer.name: [w.astype(np.float64) for w in layer.get_weights()] for layer in model.layers
    }
    items, categories = weights["items"][0], weights["categories"][0]
    scores = []
    for i in range(len(features["item"])):
        q = np.concatenate([items[features["item"][i]], categories[features["category"][i]]])
        pairs = zip(features["history_items"][i], features["history_categories"][i], strict=True)
        keys = [np.concatenate([items[item], categories[cat]]) for item, cat in pairs if item != 0]
        attention, mean = np.zeros_like(q), np.zeros_like(q)
        if keys:
            mean = np.mean(keys, axis=0)
        if keys and model.attention:
            w1, b1, w2, b2, w3 = weights["attention"]
            logits = [
                sigmoid(sigmoid(np.concatenate([q, k, q - k, q * k]) @ w1 + b1) @ w2 + b2) @ w3
                for k in keys
            ]
            shares = np.exp(logits) / np.sum(np.exp(logits))
            attention = np.sum(shares * keys, axis=0)
        x = np.concatenate([q, attention, mean, q * mean] if model.attention else [q, mean])
        if model.batch_normalization:
            gamma, beta, moving_mean, moving_variance, _ = weights["normalization"]
            x = gamma * (x - moving_mean) / np.sqrt(moving_variance + 1e-3) + beta
        for i in (1, 2):
            kernel, bias = weights[f"dense_{i}"]
            x = x @ kernel + bias
            alpha, *moving = weights[f"{model.activation}_{i}"]
            p = x > 0
            if moving:
                p = sigmoid((x - moving[0]) / np.sqrt(moving[1] + 1e-9))
            x = p * x + (1 - p) * alpha * x
        kernel, bias = weights["score"]
        scores.append(sigmoid(x @ kernel + bias))
    return np.array(scores)


def test_its_score_is_the_published_formula(model, features):
    expected = reference(model, features)
    assert expected.shape == (6, 1)
    np.testing.assert_allclose(model.predict(features, verbose=0), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"attention": False},
        {"activation": "prelu"},
        {"batch_normalization": False},
        {"attention": False, "activation": "prelu", "batch_normalization": False},
        {"dropout": 0.5},
    ],
)
def test_its_variants_are_their_formulas_and_survive_their_config(features, options):
    model = make_model(**options)
    scores = model(features).numpy()
    np.testing.assert_allclose(scores, reference(model, features), rtol=1e-4, atol=1e-6)
    copy = DIN.from_config(model.get_config())
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy(features), scores)


def test_dropout_and_the_regularizer_of_embeddings_act_in_training_alone(features):
    model = make_model(dropout=0.5, embeddings_regularizer=keras.regularizers.L2(0.1))
    assert not np.array_equal(model(features, training=True), model(features, training=True))
    np.testing.assert_array_equal(model(features), model(features))
    tables = [model.get_layer(name).embeddings.numpy() for name in ("items", "categories")]
    assert float(sum(model.losses)) == pytest.approx(
        0.1 * sum(np.sum(t.astype(np.float64) ** 2) for t in tables), rel=1e-5
    )


def test_an_unknown_activation_is_refused():
    with pytest.raises(InputError, match="activation is 'relu'; accepted: 'dice', 'prelu'"):
        DIN(30, 7, activation="relu")


def test_more_padding_changes_no_score_not_even_of_an_empty_history(model, features):
    padded = {
        name: np.pad(column, [(0, 0), (0, 13)]) if column.ndim == 2 else column
        for name, column in features.items()
    }
    scores = model.predict(features, verbose=0)
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(model.predict(padded, verbose=0), scores, rtol=0, atol=1e-6)


def test_the_defaults_are_those_of_the_paper():
    model = DIN(item_count=50, category_count=9)
    shapes = {
        layer.name: [tuple(w.shape) for w in layer.trainable_weights] for layer in model.layers
    }
    assert shapes["items"] == [(50, 18)]
    assert shapes["categories"] == [(9, 18)]
    assert shapes["attention"] == [(144, 80), (80,), (80, 40), (40,), (40, 1)]
    assert shapes["normalization"] == [(144,), (144,)]
    assert shapes["dense_1"] == [(144, 200), (200,)]
    assert shapes["dense_2"] == [(200, 80), (80,)]
    assert shapes["score"] == [(80, 1), (1,)]
    kinds = [type(layer) for layer in model.layers]
    assert (kinds.count(BatchNormalization), kinds.count(Dice)) == (1, 2)


def test_inputs_and_output_are_named_and_the_history_length_is_free(model):
    inputs = {tensor.name: (tensor.dtype, tensor.shape) for tensor in model.inputs}
    assert inputs == {
        "item": ("int32", (None,)),
        "category": ("int32", (None,)),
        "history_items": ("int32", (None, None)),
        "history_categories": ("int32", (None, None)),
    }
    assert model.output_names == ["score"]
    assert model.output_shape == (None, 1)


def test_it_is_saved_and_loaded_without_custom_objects(model, features, tmp_path):
    model.save(tmp_path / "din.keras")
    loaded = keras.models.load_model(tmp_path / "din.keras")
    assert isinstance(loaded, DIN)
    assert loaded.get_config() == model.get_config()
    np.testing.assert_array_equal(
        loaded.predict(features, verbose=0), model.predict(features, verbose=0)
    )


def test_a_compiled_model_goes_on_training_after_loading(features, tmp_path):
    model = make_model()
    model.compile("adam", "binary_crossentropy", run_eagerly=True)
    labels = np.array([0, 1, 1, 0, 1, 0], np.float32)
    model.fit(features, labels, epochs=2, verbose=0)
    model.save(tmp_path / "din.keras")
    loaded = keras.models.load_model(tmp_path / "din.keras")
    losses = [
        m.fit(features, labels, shuffle=False, verbose=0).history["loss"] for m in (model, loaded)
    ]
    np.testing.assert_allclose(*losses, rtol=1e-5)
    np.testing.assert_allclose(
        loaded.predict(features, verbose=0), model.predict(features, verbose=0), atol=1e-6
    )


def test_it_can_be_cloned_and_made_from_its_config(model, features):
    expected = model.predict(features, verbose=0)
    for copy in (keras.models.clone_model(model), DIN.from_config(model.get_config())):
        copy.set_weights(model.get_weights())
        np.testing.assert_array_equal(copy.predict(features, verbose=0), expected)


def test_an_id_outside_its_table_never_gets_a_score(features):
    plain, compiled = make_model(), make_model()
    compiled.compile(jit_compile=True)
    for column in features:
        unknown = {name: ids.copy() for name, ids in features.items()}
        unknown[column][0] = 30
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"30 is not in \[0, "):
            plain.predict(unknown, verbose=0)
        scores = compiled.predict(unknown, verbose=0)[:, 0]
        assert np.isnan(scores).tolist() == [True] + [False] * 5


def test_every_weight_learns_except_the_padding_rows(features):
    model = make_model()
    before = [weight.numpy() for weight in model.weights]
    model.compile(keras.optimizers.SGD(0.1), "binary_crossentropy", run_eagerly=True)
    model.fit(features, np.array([0, 1, 1, 0, 1, 0], np.float32), batch_size=6, verbose=0)
    for weight, old in zip(model.weights, before, strict=True):
        assert np.any(weight.numpy() != old), weight.path
    for name in ("items", "categories"):
        table = model.get_layer(name).embeddings
        old = next(o for w, o in zip(model.weights, before, strict=True) if w.path == table.path)
        np.testing.assert_array_equal(table.numpy()[0], old[0])
