"""Models written in every way: what their layers are given is seen in all of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import oracles
import pytest
import tensorflow as tf

import tfnorm
from tfnorm.errors import InputError
from tfnorm.statistics import recalibrate_statistics, statistics_report

LAYERS = [tfnorm.BatchNormalization, tfnorm.Dice, keras.layers.BatchNormalization]


@pytest.fixture
def sequences(rows) -> np.ndarray:
    return rows.reshape(100, 5, 4)


@pytest.mark.parametrize("kind", LAYERS)
def test_nested_models(rows, randomized, assert_statistics, outputs_of, kind):
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), kind(name="norm")])
    inputs = keras.Input((4,))
    outer = kind(name="norm")
    tower = keras.Sequential([inner], name="tower")
    model = randomized(keras.Model(inputs, outer(tower(inputs))))
    assert recalibrate_statistics(model, [rows]) == [f"tower/{inner.name}/norm", "norm"]
    x = outputs_of(inner.layers[0], rows)
    assert_statistics(inner.layers[1], x)
    assert_statistics(outer, outputs_of(inner.layers[1], x), rtol=1e-4)


class Tower(keras.Model):
    """A subclassed model with its layers in a list and a dict, and keyword inputs."""

    def __init__(self):
        super().__init__()
        self.blocks = [tfnorm.Dice(), {"second": keras.layers.BatchNormalization()}]

    def call(self, features):
        return self.blocks[1]["second"](self.blocks[0](features["a"] + features["b"]))


def test_a_subclassed_model_with_named_inputs(rows, assert_statistics, outputs_of):
    model = Tower()
    features = {"a": rows, "b": 2 * rows}
    model(features)
    recalibrate_statistics(model, tf.data.Dataset.from_tensor_slices(features).batch(64))
    assert_statistics(model.blocks[0], 3 * rows)
    assert_statistics(model.blocks[1]["second"], outputs_of(model.blocks[0], 3 * rows), rtol=1e-4)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_tf_function_inside_the_model_is_seen_through_and_left_alone(
    rows, assert_statistics, jit_compile
):
    class Compiled(keras.Model):
        def __init__(self):
            super().__init__()
            self.dice = tfnorm.Dice()
            self.run = tf.function(self.dice, jit_compile=jit_compile)

        def call(self, x, training=False):
            return self.run(x, training=training)

    model = Compiled()
    model(rows[:3])
    before = model.run.experimental_get_tracing_count()
    recalibrate_statistics(model, [rows])
    assert_statistics(model.dice, rows)
    assert model.run.experimental_get_tracing_count() == before
    # Nothing that looks at the inputs stays behind in what the model will be traced to.
    assert len(model.run.get_concrete_function(tf.constant(rows)).variables) == 3


def test_a_model_that_runs_eagerly(rows, assert_statistics):
    class Eager(keras.Model):
        def __init__(self):
            super().__init__()
            self.dice = tfnorm.Dice()

        def call(self, x):
            return self.dice(x) if x.numpy().max() > 0 else x

    model = Eager()
    model(rows)
    model.compile(run_eagerly=True)
    recalibrate_statistics(model, [rows, -np.abs(rows)])
    assert_statistics(model.dice, rows)


def test_a_shared_layer_has_the_values_of_all_its_calls(rows, assert_statistics, outputs_of):
    """Two inputs through the same two layers."""
    a, b = keras.Input((4,)), keras.Input((4,))
    first, second = keras.layers.BatchNormalization(), tfnorm.Dice()
    model = keras.Model([a, b], [second(first(a)), second(first(b))])
    other = 3 * rows + 1
    recalibrate_statistics(model, [([rows[:300], other[:300]],), ([rows[300:], other[300:]],)])
    x = np.concatenate([rows, other])
    assert_statistics(first, x)
    assert_statistics(second, outputs_of(first, x), rtol=1e-4)


def test_a_layer_that_feeds_itself_gets_the_statistics_that_it_reproduces(rows):
    """x -> layer -> layer: the statistics are a fixed point of all values that it is given."""
    inputs = keras.Input((4,))
    layer = tfnorm.BatchNormalization()
    model = keras.Model(inputs, layer(layer(inputs)))
    recalibrate_statistics(model, [rows])
    mean, variance = layer.moving_mean.numpy(), layer.moving_variance.numpy()
    again = oracles.normalize(rows, mean, variance, epsilon=layer.epsilon)
    _, expected_mean, expected_variance = oracles.moments(np.concatenate([rows, again]))
    np.testing.assert_allclose(mean, expected_mean, atol=1e-5)
    np.testing.assert_allclose(variance, expected_variance, rtol=1e-5)


@keras.saving.register_keras_serializable(package="tests")
class NormalizedSum(keras.layers.Layer):
    """A recurrent cell: the sum of its normalized inputs."""

    state_size = 4

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.normalization = tfnorm.BatchNormalization()

    def build(self, shape):
        self.normalization.build(shape)

    def call(self, x, states, training=None):
        total = states[0] + self.normalization(x, training=training)
        return total, [total]


def test_inside_the_loop_of_a_bidirectional_recurrent_layer(sequences, assert_statistics):
    after = keras.layers.BatchNormalization()
    both = keras.layers.Bidirectional(keras.layers.RNN(NormalizedSum()), merge_mode="sum")
    model = keras.Sequential([keras.Input((None, 4)), both, after])
    recalibrate_statistics(model, [sequences[:50], sequences[50:]])
    for layer in (both.forward_layer, both.backward_layer):
        assert_statistics(layer.cell.normalization, sequences)
    normalization = both.forward_layer.cell.normalization
    _, mean, variance = oracles.moments(sequences)
    steps = oracles.normalize(sequences, mean, variance, epsilon=normalization.epsilon)
    assert_statistics(after, 2 * steps.sum(1), rtol=1e-4)


@pytest.mark.parametrize("unroll", [False, True])
@pytest.mark.parametrize("run_eagerly", [False, True])
def test_every_turn_of_a_loop_counts_once(sequences, assert_statistics, unroll, run_eagerly):
    """Keras calls the bodies of loops once more to learn their shapes."""
    few = sequences[:20]

    class Mapping(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.dice = tfnorm.Dice()

        def build(self, shape):
            self.dice.build(shape[1:])

        def call(self, x):
            return keras.ops.map(self.dice, x)

    rnn, mapping = keras.layers.RNN(NormalizedSum(), unroll=unroll), Mapping()
    inputs = keras.Input((5, 4))
    model = keras.Model(inputs, [rnn(inputs), mapping(inputs)])
    model.compile(run_eagerly=run_eagerly)
    recalibrate_statistics(model, [few])
    assert_statistics(rnn.cell.normalization, few)
    assert_statistics(mapping.dice, few)


def test_a_layer_in_a_branch_has_the_batches_that_take_it(rows, assert_statistics):
    class Branching(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.dice = tfnorm.Dice()

        def build(self, shape):
            self.dice.build(shape)

        def call(self, x):
            return tf.cond(tf.reduce_max(x) > 0, lambda: self.dice(x), lambda: x)

    model = keras.Sequential([keras.Input((4,)), Branching()])
    recalibrate_statistics(model, [rows, -np.abs(rows)])
    assert_statistics(model.layers[0].dice, rows)


def test_a_layer_inside_a_vectorized_map_is_refused(sequences):
    class Mapping(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.dice = tfnorm.Dice()

        def build(self, shape):
            self.dice.build(shape[1:])

        def call(self, x):
            return tf.vectorized_map(self.dice, x)

    model = keras.Sequential([keras.Input((5, 4)), Mapping()])
    with pytest.raises(InputError, match=r"called inside tf\.vectorized_map"):
        recalibrate_statistics(model, [sequences])


def test_a_model_of_a_mirrored_strategy_inside_its_scope_and_outside(rows, assert_statistics):
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        model = keras.Sequential([keras.Input((4,)), tfnorm.Dice(synchronized=True)])
        recalibrate_statistics(model, [rows])
    assert_statistics(model.layers[0], rows)
    recalibrate_statistics(model, [rows[:200] + 1])
    assert_statistics(model.layers[0], rows[:200] + 1)


def test_a_layer_that_always_trains_keeps_its_moving_statistics_in_a_report(rows):
    inputs = keras.Input((4,))
    layer = keras.layers.BatchNormalization()
    model = keras.Model(inputs, layer(inputs, training=True))
    report = statistics_report(model, [rows])
    assert report.layers[0].state == "by batch"
    assert layer.moving_mean.numpy().tolist() == [0.0] * 4


TRUE = {
    "integer": 1,
    "numpy": np.bool_(True),
    "array": np.array(1),
    "tensor": tf.constant(True),
    "integer_tensor": tf.constant(1),
}


class Told(keras.Model):
    """Calls its layer with `training` as it is given, or as a tensor that is made at each call."""

    def __init__(self, layer, training, as_tensor):
        super().__init__()
        self.layer, self.training, self.as_tensor = layer, training, as_tensor

    def call(self, x):
        training = tf.constant(self.training) if self.as_tensor else self.training
        return self.layer(x, training=training)


def right(layer: keras.layers.Layer, rows: np.ndarray) -> keras.layers.Layer:
    """The layer, built, with the statistics of the rows."""
    if not layer.built:
        layer.build(rows.shape)
    layer.moving_mean.assign(rows.mean(0))
    layer.moving_variance.assign(rows.var(0))
    return layer


@pytest.mark.parametrize("kind", LAYERS)
def test_what_is_as_true_as_true_is_by_batch(rows, kind):
    """The scores of each such layer depend on the batch, unless it is frozen."""
    inputs = keras.Input((4,))
    layers = {name: right(kind(name=name), rows) for name in TRUE}
    layers["frozen"] = right(kind(name="frozen", trainable=False), rows)
    model = keras.Model(
        inputs, [layer(inputs, training=TRUE.get(name, 1)) for name, layer in layers.items()]
    )
    apart = [np.abs(x[:5] - y).max() for x, y in zip(model(rows), model(rows[:5]), strict=True)]
    assert [moved > 0.1 for moved in apart] == [True] * len(TRUE) + [False]
    for layer in layers.values():
        right(layer, rows)
    states = {layer.name: layer.state for layer in statistics_report(model, [rows]).layers}
    assert states == dict.fromkeys(TRUE, "by batch") | {"frozen": "ok"}


def test_a_subclassed_model_that_is_as_true_as_true_is_by_batch(rows):
    for training in TRUE.values():
        model = Told(right(tfnorm.Dice(), rows), training, False)
        model(rows)
        right(model.layer, rows)
        assert statistics_report(model, [rows]).layers[0].state == "by batch"


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("run_eagerly", [False, True])
@pytest.mark.parametrize(("training", "state"), [(True, "by batch"), (False, "ok")])
def test_a_tensor_that_is_constant_in_the_graph_is_what_it_holds(
    rows, kind, run_eagerly, training, state
):
    model = Told(right(kind(), rows), training, True)
    model(rows)
    right(model.layer, rows)
    model.compile(run_eagerly=run_eagerly)
    assert statistics_report(model, [rows]).layers[0].state == state


@pytest.mark.parametrize("kind", LAYERS)
def test_a_tensor_that_is_known_only_when_it_runs_is_one_clear_error(rows, kind):
    class Decided(keras.Model):
        def __init__(self):
            super().__init__()
            self.layer = kind(name="norm")

        def call(self, x):
            return self.layer(x, training=tf.reduce_sum(x) > 0)

    model = Decided()
    model(rows)
    with pytest.raises(InputError, match="training must be known where norm is traced") as raised:
        statistics_report(model, [rows])
    assert "\n" not in str(raised.value)


@pytest.mark.slow
def test_a_branch_that_trains_counts_where_it_is_taken(rows):
    class Branching(keras.Model):
        def __init__(self):
            super().__init__()
            self.dice = right(tfnorm.Dice(), rows)

        def call(self, x):
            return tf.cond(
                tf.shape(x)[0] < 100,
                lambda: self.dice(x, training=True),
                lambda: self.dice(x, training=False),
            )

    model = Branching()
    model(rows)
    assert statistics_report(model, [rows]).layers[0].state == "ok"
    assert statistics_report(model, [rows, rows[:50]]).layers[0].state == "by batch"
    assert statistics_report(model, [rows]).layers[0].state == "ok"


def test_a_class_of_ones_own_that_trains_out_of_sight_is_by_batch(rows):
    class Trains(keras.layers.BatchNormalization):
        def call(self, x):
            return super().call(x, training=True)

    layer = right(Trains(), rows)
    inputs = keras.Input((4,))
    report = statistics_report(keras.Model(inputs, layer(inputs)), [rows])
    assert report.layers[0].state == "by batch"
    np.testing.assert_array_equal(layer.moving_mean.numpy(), rows.mean(0))


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_that_a_traced_function_hides_is_refused(rows, kind):
    class Hidden(keras.Model):
        def __init__(self):
            super().__init__()
            self.norm = right(kind(name="norm"), rows)
            self.run = tf.function(self.norm).get_concrete_function(tf.TensorSpec([None, 4]))

        def call(self, x):
            return self.run(x)

    model = Hidden()
    model(rows)
    with pytest.raises(InputError, match="statistics of layer 'norm' are used where its inputs"):
        statistics_report(model, [rows])


def test_no_other_thread_and_no_setting_sees_that_functions_are_inlined(rows):
    """While a pass runs, another thread's functions run as graphs."""
    graph = tf.function(lambda: tf.constant(tf.executing_eagerly()), autograph=False)
    seen: list[tuple[bool, bool, bool]] = []

    class Looking(keras.Model):
        def __init__(self):
            super().__init__()
            self.dice = tfnorm.Dice()

        def call(self, x):
            with ThreadPoolExecutor() as pool:
                elsewhere = bool(pool.submit(graph).result())
            eager = tf.config.functions_run_eagerly()
            seen.append((elsewhere, eager, bool(tf.get_static_value(graph()))))
            return self.dice(x)

    model = Looking()
    model(rows)
    model.compile(run_eagerly=True)
    assert set(seen) == {(False, False, False)}
    seen.clear()
    statistics_report(model, [rows])
    assert set(seen) == {(False, False, True)}
    assert not bool(graph())


def test_keras_s_own_layer_alone_has_its_call_replaced(rows):
    class Looking(keras.layers.Layer):
        def call(self, x):
            replaced.append(["call" in vars(layer) for layer in layers])
            return x

    replaced = []
    layers = [kind() for kind in LAYERS]
    model = keras.Sequential([keras.Input((4,)), *layers, Looking()])
    replaced.clear()
    statistics_report(model, [rows])
    assert replaced[0] == [False, False, True]
    assert not any("call" in vars(layer) for layer in layers)


def test_din(assert_statistics):
    """The attention's padding has no part; three layers, one after another."""
    model = tfnorm.models.DIN(item_count=30, category_count=5, units=(8, 4))
    rng = np.random.default_rng(0)
    history = rng.integers(0, 30, (200, 6)) * (rng.random((200, 6)) > 0.3)
    features = {
        "item": rng.integers(1, 30, 200),
        "category": rng.integers(1, 5, 200),
        "history_items": history,
        "history_categories": history % 5,
    }
    recalibrate_statistics(model, features)
    for name in ("normalization", "dice_1", "dice_2"):
        layer = model.get_layer(name)
        inputs = keras.Model(model.inputs, layer.input).predict(features, verbose=0)
        assert_statistics(layer, inputs, rtol=1e-4)
