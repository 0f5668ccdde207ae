import keras
import numpy as np
import pytest
from models_of_tests import LABELS, LENGTHS, make_features

import tfnorm
from tfnorm.errors import InputError
from tfnorm.models import DIEN


def make_model(**options):
    """A DIEN none of whose weights is still at its initial value."""
    model = DIEN(30, 7, embedding_size=2, units=(9, 6), **options)
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
    """The formula, one example and one step at a time, in float64."""
    weights = {
        layer.name: [w.astype(np.float64) for w in layer.get_weights()] for layer in model.layers
    }
    items, categories = weights["items"][0], weights["categories"][0]
    gru_kernel, gru_recurrent, (gru_bias, recurrent_bias) = weights["extractor"]
    (bilinear,) = weights["attention"]
    kernel, recurrent, bias = weights["evolution"]
    scores = []
    for i in range(len(features["item"])):
        q = np.concatenate([items[features["item"][i]], categories[features["category"][i]]])
        pairs = zip(features["history_items"][i], features["history_categories"][i], strict=True)
        keys = [np.concatenate([items[item], categories[cat]]) for item, cat in pairs if item != 0]
        state, interests = np.zeros(4), []
        for k in keys:
            xz, xr, xh = np.split(k @ gru_kernel + gru_bias, 3)
            hz, hr, hh = np.split(state @ gru_recurrent + recurrent_bias, 3)
            z = sigmoid(xz + hz)
            state = z * state + (1 - z) * np.tanh(xh + sigmoid(xr + hr) * hh)
            interests.append(state)
        logits = np.exp([h @ bilinear @ q for h in interests])
        interest = np.zeros(4)
        for h, a in zip(interests, logits / logits.sum(), strict=True):
            xu, xr, xc = np.split(h @ kernel + bias, 3)
            hu, hr, hc = np.split(interest @ recurrent, 3)
            u = a * sigmoid(xu + hu)
            interest = (1 - u) * interest + u * np.tanh(xc + sigmoid(xr + hr) * hc)
        mean = np.mean(keys, axis=0) if keys else np.zeros(4)
        x = np.concatenate([q, interest, mean, q * mean])
        gamma, beta, moving_mean, moving_variance, _ = weights["normalization"]
        x = gamma * (x - moving_mean) / np.sqrt(moving_variance + 1e-3) + beta
        for dense, dice in (("dense_1", "dice_1"), ("dense_2", "dice_2")):
            w, b = weights[dense]
            x = x @ w + b
            alpha, moving_mean, moving_variance, _ = weights[dice]
            p = sigmoid((x - moving_mean) / np.sqrt(moving_variance + 1e-9))
            x = p * x + (1 - p) * alpha * x
        w, b = weights["score"]
        scores.append(sigmoid(x @ w + b))
    return np.array(scores)


def test_its_score_is_the_published_formula(model, features):
    expected = reference(model, features)
    np.testing.assert_allclose(model.predict(features, verbose=0), expected, rtol=1e-4, atol=1e-6)


def test_more_padding_changes_no_score_not_even_of_an_empty_history(model, features):
    padded = {
        name: np.pad(column, [(0, 0), (0, 13)]) if column.ndim == 2 else column
        for name, column in features.items()
    }
    scores = model.predict(features, verbose=0)
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(model.predict(padded, verbose=0), scores, rtol=0, atol=1e-6)


def test_its_inputs_and_output_are_those_of_din(model):
    assert {tensor.name: (tensor.dtype, tensor.shape) for tensor in model.inputs} == {
        "item": ("int32", (None,)),
        "category": ("int32", (None,)),
        "history_items": ("int32", (None, None)),
        "history_categories": ("int32", (None, None)),
    }
    assert model.output_names == ["score"]


def test_training_adds_the_auxiliary_loss_and_evaluation_does_not(features):
    model = make_model(auxiliary_weight=0.5, batch_normalization=False, activation="prelu")
    model.compile(keras.optimizers.SGD(0.0), "binary_crossentropy", run_eagerly=True)
    with_negatives = make_features(negatives=True)
    history = model.fit(with_negatives, LABELS, batch_size=6, verbose=0).history
    plain = model.evaluate(features, LABELS, batch_size=6, verbose=0)

    interests = model.get_layer("extractor").output
    inner = keras.Model(model.input, [interests, model.get_layer("history").output])
    h, k = (np.float64(a) for a in inner(features))
    tables = [model.get_layer(name).embeddings.numpy() for name in ("items", "categories")]
    ids = [with_negatives["negative_items"], with_negatives["negative_categories"]]
    n = np.concatenate([table[i] for table, i in zip(tables, ids, strict=True)], axis=-1)
    losses = [
        -np.log(sigmoid(h[i, t] @ k[i, t + 1])) - np.log(1 - sigmoid(h[i, t] @ n[i, t + 1]))
        for i, length in enumerate(LENGTHS)
        for t in range(length - 1)
    ]
    assert history["loss"][0] == pytest.approx(float(plain) + 0.5 * np.mean(losses), rel=1e-4)


def test_every_weight_learns_except_the_padding_rows():
    model = make_model()
    before = [weight.numpy() for weight in model.weights]
    model.compile(keras.optimizers.SGD(0.1), "binary_crossentropy", run_eagerly=True)
    model.fit(make_features(negatives=True), LABELS, batch_size=6, verbose=0)
    for weight, old in zip(model.weights, before, strict=True):
        assert np.any(weight.numpy() != old), weight.path
    for name in ("items", "categories"):
        table = model.get_layer(name).embeddings
        old = next(o for w, o in zip(model.weights, before, strict=True) if w.path == table.path)
        np.testing.assert_array_equal(table.numpy()[0], old[0])


def test_training_without_negatives_is_refused_unless_nothing_needs_them(features):
    model = make_model()
    model.compile("sgd", "binary_crossentropy", run_eagerly=True)
    with pytest.raises(InputError, match="without negative_items and negative_categories"):
        model.fit(features, LABELS, verbose=0)
    plain = make_model(auxiliary_weight=0.0)
    plain.compile("sgd", "binary_crossentropy", run_eagerly=True)
    assert np.isfinite(plain.fit(features, LABELS, verbose=0).history["loss"]).all()


def test_it_is_saved_and_loaded_and_goes_on_training(features, tmp_path):
    model = make_model(embeddings_regularizer=keras.regularizers.L2(1e-3))
    model.compile("adam", "binary_crossentropy", run_eagerly=True)
    with_negatives = make_features(negatives=True)
    model.fit(with_negatives, LABELS, verbose=0)
    model.save(tmp_path / "dien.keras")
    loaded = keras.models.load_model(tmp_path / "dien.keras")
    assert isinstance(loaded, DIEN)
    assert loaded.get_config() == model.get_config()
    np.testing.assert_array_equal(
        loaded.predict(features, verbose=0), model.predict(features, verbose=0)
    )
    losses = [
        m.fit(with_negatives, LABELS, shuffle=False, verbose=0).history["loss"]
        for m in (model, loaded)
    ]
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_its_export_needs_no_negatives_and_does_not_depend_on_the_batch(features, tmp_path):
    model = make_model()
    # Scores of 1 alike would show no dependence.
    score = model.get_layer("score")
    score.kernel.assign(score.kernel / 100)
    tfnorm.export_saved_model(model, tmp_path, examples=features)
    report = tfnorm.verify_batch_invariance(tmp_path, batch_sizes=[2, 5])
    assert report.passed
    assert any("longer padding" in c.name for c in report.compositions)
    scores = tfnorm.load_scorer(tmp_path).score(features)["score"]
    np.testing.assert_allclose(scores, model.predict(features, verbose=0), rtol=1e-5, atol=1e-6)


def test_an_unknown_activation_is_refused():
    with pytest.raises(InputError, match="activation is 'relu'; accepted: 'dice', 'prelu'"):
        DIEN(30, 7, activation="relu")


@pytest.mark.slow
def test_compiled_training_gives_the_losses_of_eager_training():
    losses = []
    for options in ({"run_eagerly": True}, {"jit_compile": True}):
        model = make_model()
        model.compile(keras.optimizers.SGD(0.01), "binary_crossentropy", **options)
        fitted = model.fit(
            make_features(negatives=True), LABELS, epochs=2, shuffle=False, verbose=0
        )
        losses.append(fitted.history["loss"])
    np.testing.assert_allclose(*losses, rtol=1e-4)


def auxiliary(model, weights):
    """The mean of the losses of the steps, each weighted as its example, in float64."""
    with_negatives = make_features(negatives=True)
    inner = keras.Model(model.input, [model.get_layer(n).output for n in ("extractor", "history")])
    h, k = (np.float64(a) for a in inner({n: with_negatives[n] for n in model.input}))
    tables = [model.get_layer(name).embeddings.numpy() for name in ("items", "categories")]
    ids = [with_negatives["negative_items"], with_negatives["negative_categories"]]
    n = np.concatenate([table[i] for table, i in zip(tables, ids, strict=True)], axis=-1)
    losses = [
        weights[i]
        * (-np.log(sigmoid(h[i, t] @ k[i, t + 1])) - np.log(1 - sigmoid(h[i, t] @ n[i, t + 1])))
        for i, length in enumerate(LENGTHS)
        for t in range(length - 1)
    ]
    return np.mean(losses)


@pytest.mark.slow
def test_the_auxiliary_loss_takes_sample_and_class_weights():
    model = make_model(batch_normalization=False, activation="prelu")
    model.compile(keras.optimizers.SGD(0.0), "binary_crossentropy", run_eagerly=True)
    x, weights = make_features(negatives=True), np.arange(6, dtype=np.float32) / 4
    plain = model.evaluate(make_features(), LABELS, sample_weight=weights, batch_size=6, verbose=0)
    found = model.fit(x, LABELS, sample_weight=weights, batch_size=6, verbose=0).history
    assert found["loss"][0] == pytest.approx(plain + auxiliary(model, weights), rel=1e-4)
    classes = np.where(LABELS > 0, 3.0, 0.5).astype(np.float32)
    plain = model.evaluate(make_features(), LABELS, sample_weight=classes, batch_size=6, verbose=0)
    found = model.fit(x, LABELS, class_weight={0: 0.5, 1: 3.0}, batch_size=6, verbose=0).history
    assert found["loss"][0] == pytest.approx(plain + auxiliary(model, classes), rel=1e-4)


@pytest.mark.slow
def test_the_auxiliary_loss_has_a_metric_in_training_alone():
    model = make_model(auxiliary_weight=0.3)
    model.compile(keras.optimizers.SGD(0.0), "binary_crossentropy", run_eagerly=True)
    history = model.fit(make_features(negatives=True), LABELS, batch_size=3, verbose=0).history
    # The mean over all steps, of both batches.
    assert history["auxiliary_loss"][0] == pytest.approx(auxiliary(model, np.ones(6)), rel=1e-4)
    assert isinstance(model.evaluate(make_features(), LABELS, verbose=0), float)
    assert list(model.evaluate(make_features(), LABELS, verbose=0, return_dict=True)) == ["loss"]
