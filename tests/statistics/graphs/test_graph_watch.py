"""What a SavedModel's normalizations are given, beside a Keras model that is watched and beside NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hand_made import saved

from tfnorm.layers import BatchNormalization, Dice
from tfnorm.scorers.keras_model import KerasScorer
from tfnorm.session import SavedModel
from tfnorm.statistics.fit import judged, statistics_fit
from tfnorm.statistics.graphs.graph_watch import GraphWatch

ROWS, WIDTH = 64, 9
MEAN = np.linspace(1, 5, WIDTH).astype(np.float32)
VARIANCE = np.geomspace(0.2, 6, WIDTH).astype(np.float32)
X = tf.TensorSpec([None, WIDTH], tf.float32, "x")
RNG = np.random.default_rng(0)


def rows(*shape, count=ROWS):
    return {"x": (np.random.default_rng(1).normal(size=(count, *shape)) * 2 + 3).astype(np.float32)}


def watched(directory, examples, signature="serving_default"):
    with SavedModel(directory) as model:
        watch = GraphWatch(model, signature, examples)
        return watch, judged(watch, examples)


def tower(kind):
    inputs = keras.Input((WIDTH,), name="x")
    hidden = Dice(name="dice")(kind(name="hidden")(keras.layers.Dense(10)(inputs)))
    return keras.Model(inputs, keras.layers.Dense(1)(kind(name="last")(hidden)))


def pictures(axis):
    inputs = keras.Input((4, 4, WIDTH) if axis == -1 else (4, WIDTH, 4), name="x")
    x = BatchNormalization(axis=axis, name="ours")(inputs)
    x = keras.layers.BatchNormalization(axis=axis, name="theirs")(x)
    x = keras.layers.BatchNormalization(name="second")(keras.layers.Conv2D(8, 3)(x))
    return keras.Model(inputs, keras.layers.Dense(1)(keras.layers.GlobalAveragePooling2D()(x)))


def shared():
    inputs = keras.Input((WIDTH,), name="x")
    layer = keras.layers.BatchNormalization(name="shared")
    return keras.Model(
        inputs, keras.layers.Dense(1)(layer(keras.layers.Dense(WIDTH)(layer(inputs))))
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: tower(keras.layers.BatchNormalization), (WIDTH,)),
        (lambda: tower(BatchNormalization), (WIDTH,)),
        (lambda: pictures(-1), (4, 4, WIDTH)),
        (lambda: pictures(2), (4, WIDTH, 4)),
        (shared, (WIDTH,)),
    ],
    ids=["keras", "tfnorm", "pictures", "middle axis", "shared"],
)
def test_a_saved_model_is_judged_as_the_keras_model_is(make, shape, tmp_path):
    model, examples = make(), rows(*shape)
    for variable in model.weights:
        if "variance" not in variable.name:
            variable.assign(RNG.normal(0.3, 0.3, variable.shape))
    model.export(str(tmp_path), verbose=False)
    watch, found = watched(tmp_path, examples)
    expected = statistics_fit(model, KerasScorer(model).keras_model()[1], examples)
    assert (found.verdict, watch.by_batch, watch.unseen) == (expected.verdict, [], [])
    assert [layer.name for layer in found.layers] == [layer.name for layer in expected.layers]
    for figure in ("initial_share", "effect", "noise"):
        assert getattr(found, figure) == pytest.approx(getattr(expected, figure), rel=1e-3)
    for one, other in zip(found.layers, expected.layers, strict=True):
        np.testing.assert_allclose(one.mean_difference, other.mean_difference, atol=1e-4)
        np.testing.assert_allclose(one.std_ratio, other.std_ratio, rtol=1e-4)


def _sum_first(x, mean, variance):
    return (x - mean) * tf.math.rsqrt(variance + 1e-3) * 2.0 + 1.0


def _quotient(x, mean, variance):
    return (x - mean) / tf.sqrt(variance + 1e-3)


def _one_over_root(x, mean, variance):
    return 3.0 * (x - mean) * (1.0 / tf.sqrt(variance + 1e-3))


def _power(x, mean, variance):
    return tf.pow(1e-3 + variance, -0.5) * (x - mean)


def _negated(x, mean, variance):
    return (x + -mean) * tf.math.rsqrt(variance + 1e-3)


def _library(x, mean, variance):
    return tf.nn.batch_normalization(x, mean, variance, tf.ones(WIDTH), 2 * tf.ones(WIDTH), 1e-3)


def _without_offset(x, mean, variance):
    return tf.nn.batch_normalization(x, mean, variance, None, None, 1e-3)


def _reshaped(x, mean, variance):
    shape = [1, WIDTH, 1]
    x = x[..., None] - tf.reshape(mean, shape)
    return (x * tf.math.rsqrt(tf.reshape(variance, shape) + 1e-3))[..., 0]


def _rounded(x, mean, variance):
    scale = tf.cast(tf.math.rsqrt(variance + 1e-3), tf.float64)
    return tf.cast(tf.cast(x - mean, tf.float64) * scale, tf.float32)


def _in_functions(x, mean, variance):
    inner = tf.function(lambda x, mean: x - mean)
    outer = tf.function(lambda x, variance: inner(x, mean) * tf.math.rsqrt(variance + 1e-3))
    return outer(x, variance)


def _in_a_branch(x, mean, variance):
    def own():
        return tf.nn.batch_normalization(x, *tf.nn.moments(x, [0]), None, None, 1e-3)

    training = tf.raw_ops.PlaceholderWithDefault(input=False, shape=[])
    return tf.cond(training, own, lambda: _library(x, mean, variance))


def _selected(x, mean, variance):
    training = tf.raw_ops.PlaceholderWithDefault(input=False, shape=[])
    own_mean, own_variance = tf.nn.moments(x, [0])
    by_batch = tf.where(training, own_mean, mean), tf.where(training, own_variance, variance)
    return _library(x, *by_batch)


FORMS = [
    _sum_first,
    _quotient,
    _one_over_root,
    _power,
    _negated,
    _library,
    _without_offset,
    _reshaped,
    _rounded,
    _in_functions,
    _in_a_branch,
    _selected,
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__.strip("_"))
def test_a_normalization_is_found_however_it_is_written(form, tmp_path):
    mean = tf.Variable(MEAN, name="bn/moving_mean")
    variance = tf.Variable(VARIANCE, name="bn/moving_variance")
    weights = tf.constant(RNG.normal(size=WIDTH), tf.float32)

    def serve(x):
        return {"score": tf.linalg.matvec(form(x, mean, variance), weights)}

    examples = rows(WIDTH)
    directory = saved(tmp_path, serve, X, mean=mean, variance=variance)
    watch, found = watched(directory, examples)
    assert (watch.by_batch, watch.unseen) == ([], [])
    (layer,) = found.layers
    x = examples["x"].astype(np.float64)
    std = np.sqrt(x.var(0) + 1e-3)
    assert layer.name == "bn"
    np.testing.assert_allclose(layer.mean_difference, (MEAN - x.mean(0)) / std, rtol=1e-5)
    np.testing.assert_allclose(layer.std_ratio, np.sqrt(VARIANCE + 1e-3) / std, rtol=1e-5)
    # Of y = w z with the data's own statistics, the values in use are a w z + b off.
    z = (x - x.mean(0)) / std
    scale = {"sum_first": 2, "one_over_root": 3, "library": 2}
    scale = scale.get(form.__name__.strip("_"), 2 if form in (_in_a_branch, _selected) else 1)
    own = scale * z @ weights.numpy()
    used = scale * (x - MEAN) / np.sqrt(VARIANCE + 1e-3) @ weights.numpy()
    expected = np.sqrt(np.mean((used - own) ** 2)) / own.std()
    assert found.effect == pytest.approx(expected, rel=1e-3)


def test_statistics_that_were_frozen_to_constants_go_by_their_names(tmp_path):
    def serve(x):
        with tf.name_scope("bn"):
            mean = tf.constant(MEAN, name="moving_mean")
            variance = tf.constant(VARIANCE, name="moving_variance")
        return {"score": tf.reduce_sum(_library(x, mean, variance), 1)}

    _, found = watched(saved(tmp_path, serve, X), rows(WIDTH))
    (layer,) = found.layers
    assert layer.name == "bn" and layer.residue.of_means is not None


def test_more_normalizations_take_no_more_runs_of_the_session(tmp_path, monkeypatch):
    """Each run goes through the whole graph, so a model of many would take a run for each of many parts."""
    run, runs = tf.compat.v1.Session.run, []

    def counted(*arguments, **options):
        runs.append(arguments)
        return run(*arguments, **options)

    monkeypatch.setattr(tf.compat.v1.Session, "run", counted)

    def of_towers(means, variances):
        def serve(x):
            parts = [_quotient(x, m, v) for m, v in zip(means, variances, strict=True)]
            return {"score": tf.reduce_sum(tf.add_n(parts), 1)}

        return serve

    taken = []
    for layers in (1, 4):
        means = [tf.Variable(MEAN, name=f"bn{n}/moving_mean") for n in range(layers)]
        variances = [tf.Variable(VARIANCE, name=f"bn{n}/moving_variance") for n in range(layers)]
        call = of_towers(means, variances)
        directory = saved(tmp_path / str(layers), call, X, means=means, variances=variances)
        runs.clear()
        with SavedModel(directory) as model:
            watch = GraphWatch(model, "serving_default", rows(WIDTH))
        assert len(watch.called) == layers
        taken.append(len(runs))
    assert taken[0] == taken[1]


def _by_row(x):
    mean, variance = tf.nn.moments(x, [-1], keepdims=True)
    return tf.nn.batch_normalization(x, mean, variance, tf.ones(WIDTH), tf.ones(WIDTH), 1e-3)


def test_what_has_no_fixed_mean_and_variance_is_none(tmp_path):
    table = tf.Variable(MEAN, name="table")

    def serve(x):
        per_row = _by_row(x)
        attention = tf.nn.softmax(per_row / tf.sqrt(float(WIDTH)))
        unit = tf.math.l2_normalize(x + table, axis=-1)
        scaled = x * tf.math.rsqrt(tf.reduce_mean(tf.square(table)) + 1e-3)
        return {"score": tf.reduce_sum(attention * unit + scaled, -1)}

    watch, found = watched(saved(tmp_path, serve, X, table=table), rows(WIDTH))
    assert (watch.called, watch.by_batch, found.verdict) == ([], [], "undecided")


def _moments(x):
    mean, variance = tf.nn.moments(x, [0])
    return (x - mean) * tf.math.rsqrt(variance + 1e-3)


def _authors_dice(x):
    mean = tf.reduce_mean(x, axis=[0])
    std = tf.sqrt(tf.reduce_mean(tf.square(x - mean) + 1e-8, axis=[0]))
    p = tf.sigmoid((x - mean) / (std + 1e-8))
    return x * (0.1 * (1 - p) + p)


def _fused(x):
    ones, zeros = tf.ones(WIDTH), tf.zeros(WIDTH)
    op = tf.compat.v1.nn.fused_batch_norm
    return op(x[:, None, None], ones, zeros, is_training=True)[0][:, 0, 0]


def _selected_moments(x):
    training = tf.raw_ops.PlaceholderWithDefault(input=True, shape=[])
    mean, variance = tf.nn.moments(x, [0])
    mean = tf.where(training, mean, tf.constant(MEAN))
    return _without_offset(x, mean, tf.where(training, variance, tf.constant(VARIANCE)))


@pytest.mark.parametrize("spoil", [_moments, _authors_dice, _fused, _selected_moments])
def test_what_normalizes_by_the_batch_is_named(spoil, tmp_path):
    def serve(x):
        with tf.name_scope("mine"):
            x = spoil(x)
        return {"score": tf.reduce_sum(_by_row(x), -1)}

    watch, _ = watched(saved(tmp_path, serve, X), rows(WIDTH))
    assert (watch.by_batch, watch.called) == (["mine"], [])


def test_what_normalizes_inside_of_a_loop_is_named_as_not_seen(tmp_path):
    mean = tf.Variable(MEAN, name="bn/moving_mean")
    variance = tf.Variable(VARIANCE, name="bn/moving_variance")

    def serve(x):
        def turn(i, y):
            with tf.name_scope("cell"):
                return i + 1, _library(y, mean, variance)

        return {"score": tf.while_loop(lambda i, y: i < 2, turn, [0, x])[1][:, 0]}

    directory = saved(tmp_path, serve, X, mean=mean, variance=variance)
    watch, found = watched(directory, rows(WIDTH))
    assert len(watch.unseen) == 1 and "cell" in watch.unseen[0]
    assert (watch.called, found.verdict) == ([], "undecided")


def test_a_branch_that_the_number_of_rows_decides_is_left_as_it_is(tmp_path):
    mean = tf.Variable(MEAN, name="bn/moving_mean")
    variance = tf.Variable(VARIANCE, name="bn/moving_variance")

    def serve(x):
        few = tf.shape(x)[0] < 10
        y = tf.cond(few, lambda: x, lambda: _library(x, mean, variance))
        return {"score": _library(y, mean + 1, variance)[:, 0]}

    directory = saved(tmp_path, serve, X, mean=mean, variance=variance)
    watch, found = watched(directory, rows(WIDTH))
    assert (len(watch.unseen), len(found.layers)) == (1, 1)


def test_an_adapted_layer_says_nothing_of_what_training_left(tmp_path):
    adapted = keras.layers.Normalization(name="adapted")
    adapted.adapt(rows(WIDTH)["x"] + 1)
    inputs = keras.Input((WIDTH,), name="x")
    hidden = keras.layers.BatchNormalization(name="bn")(keras.layers.Dense(9)(adapted(inputs)))
    model = keras.Model(inputs, keras.layers.Dense(1)(hidden))
    model.export(str(tmp_path), verbose=False)
    _, found = watched(tmp_path, rows(WIDTH))
    first, second = found.layers
    assert (first.name, second.name) == ("adapted", "bn")
    assert first.residue.of_means is None and first.residue.of_variances is None
    np.testing.assert_allclose(first.mean_difference, 1 / rows(WIDTH)["x"].std(0), rtol=1e-4)


def test_a_select_that_spreads_the_smaller_of_its_tensors_is_left_as_it_is(tmp_path):
    mean = tf.Variable(MEAN, name="bn/moving_mean")
    variance = tf.Variable(VARIANCE, name="bn/moving_variance")

    def serve(x):
        chosen = tf.where(tf.raw_ops.PlaceholderWithDefault(input=True, shape=[]), mean[:1], mean)
        return {"score": tf.reduce_sum(_library(x, chosen, variance), 1)}

    directory = saved(tmp_path, serve, X, mean=mean, variance=variance)
    _, found = watched(directory, rows(WIDTH))
    (layer,) = found.layers
    x = rows(WIDTH)["x"]
    expected = (MEAN[0] - x.mean(0)) / np.sqrt(x.var(0) + 1e-3)
    np.testing.assert_allclose(layer.mean_difference, expected, rtol=1e-4)
