"""A dataset is run through as often as layers depend on each other in a row, however many there are."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
import oracles
import pytest
import tensorflow as tf

import tfnorm
from tfnorm.statistics import recalibrate_statistics

KINDS = [tfnorm.BatchNormalization, tfnorm.Dice, keras.layers.BatchNormalization]


class Counted:
    """Batches that count how often they are run through, and how many are asked for in all."""

    def __init__(self, *batches: object):
        self.batches = batches
        self.passes = 0

    def __iter__(self) -> Iterator[object]:
        self.passes += 1
        yield from self.batches


def passes(model: keras.Model, *batches: object) -> int:
    """How often recalibration runs through the batches, and says that it does."""
    dataset = Counted(*batches)
    done = recalibrate_statistics(model, dataset)
    assert dataset.passes == done.passes
    assert done.moves
    # What is right is seen to be in one pass.
    assert recalibrate_statistics(model, batches).passes == 1
    return dataset.passes


def random_dag(seed: int) -> tuple[keras.Model, list[tuple[keras.layers.Layer, list[int]]], int]:
    """Layers of random inputs: the model, each layer with the numbers of those it adds up, the depth."""
    rng = np.random.default_rng(seed)
    inputs = keras.Input((4,))
    tensors, depths, nodes = [inputs], [0], []
    for number in range(6):
        of = sorted(rng.choice(len(tensors), size=min(len(tensors), 2), replace=False).tolist())
        layer = KINDS[number % 3](name=f"n{number}")
        nodes.append((layer, of))
        depths.append(1 + max(depths[i] for i in of))
        given = tensors[of[0]] if len(of) == 1 else keras.layers.Add()([tensors[i] for i in of])
        tensors.append(layer(given * (1.0 + 0.1 * number)))
    return keras.Model(inputs, tensors[1:]), nodes, max(depths)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_any_model_takes_as_many_passes_as_it_is_deep_and_is_exact(seed, rows, outputs_of):
    """The oracle sets one layer after the other, in NumPy and float64."""
    model, nodes, depth = random_dag(seed)
    assert depth < len(nodes)
    assert passes(model, rows[:300], rows[300:]) == depth
    values = [rows.astype(np.float64)]
    for number, (layer, of) in enumerate(nodes):
        x = sum(values[i] for i in of) * (1.0 + 0.1 * number)
        _, mean, variance = oracles.moments(x)
        np.testing.assert_allclose(
            (layer.moving_mean.numpy() - mean) / np.sqrt(variance), 0, atol=1e-5
        )
        np.testing.assert_allclose(layer.moving_variance.numpy(), variance, rtol=2e-5)
        values.append(outputs_of(layer, x))


@pytest.mark.slow
def test_towers_side_by_side_share_their_passes(rows):
    inputs = keras.Input((4,))
    towers = []
    for _ in range(3):
        x = inputs
        for kind in KINDS[1:]:
            x = kind()(keras.layers.Dense(3)(x))
        towers.append(x)
    model = keras.Model(inputs, tfnorm.Dice()(keras.layers.Concatenate()(towers)))
    assert passes(model, rows) == 3


def test_layers_in_a_row_take_a_pass_each(rows):
    inner = keras.Sequential([keras.Input((4,)), tfnorm.Dice(), keras.layers.BatchNormalization()])
    model = keras.Sequential([keras.Input((4,)), tfnorm.BatchNormalization(), inner])
    assert passes(model, rows) == 3


def test_a_frozen_layer_takes_none(rows):
    frozen = keras.layers.BatchNormalization(trainable=False)
    model = keras.Sequential([keras.Input((4,)), tfnorm.Dice(), frozen, tfnorm.Dice()])
    assert passes(model, rows) == 2


def test_layers_that_two_inputs_share_take_a_pass_each(rows):
    a, b = keras.Input((4,)), keras.Input((4,))
    first, second = keras.layers.BatchNormalization(), tfnorm.Dice()
    model = keras.Model([a, b], [second(first(a)), second(first(b))])
    assert passes(model, ([rows, 3 * rows + 1],)) == 2


class Experts(keras.Model):
    """Subclassed: each expert inside a tf.function, that with autograph takes a branch."""

    def __init__(self):
        super().__init__()
        self.experts = [tfnorm.Dice() for _ in range(4)]
        self.total = keras.layers.BatchNormalization()

    @tf.function
    def expert(self, number, x):
        y = x
        if tf.reduce_sum(x) > -1e9:
            y = self.experts[number](x)
        return y

    def call(self, x):
        return self.total(tf.add_n([self.expert(number, x) for number in range(4)]))


@pytest.mark.slow
def test_a_subclassed_model_is_followed_through_functions_and_branches(rows, outputs_of):
    model = Experts()
    model(rows)
    assert passes(model, rows) == 2
    total = 4 * outputs_of(model.experts[0], rows)
    np.testing.assert_allclose(model.total.moving_mean.numpy(), total.mean(0), rtol=1e-4)


@keras.saving.register_keras_serializable(package="tests")
class NormalizedInputs(keras.layers.Layer):
    """A recurrent cell whose layer sees the inputs alone, or the state too."""

    state_size = 4

    def __init__(self, state_too, **kwargs):
        super().__init__(**kwargs)
        self.state_too = state_too
        self.normalization = tfnorm.BatchNormalization()

    def build(self, shape):
        self.normalization.build(shape)

    def call(self, x, states, training=None):
        x = x + 0.1 * states[0] if self.state_too else x
        total = 0.5 * states[0] + self.normalization(x, training=training)
        return total, [total]


@pytest.mark.slow
def test_a_loop_that_does_not_feed_its_layer_takes_one_pass(rows):
    """A layer that feeds itself has to settle, which takes more."""
    x = rows.reshape(100, 5, 4)
    for state_too in (False, True):
        model = keras.Sequential(
            [keras.Input((None, 4)), keras.layers.RNN(NormalizedInputs(state_too)), tfnorm.Dice()]
        )
        taken = passes(model, x)
        assert taken > 3 if state_too else taken == 2


class Eager(keras.Model):
    """What each layer depends on is known to Python alone."""

    def __init__(self, through_numpy):
        super().__init__()
        self.first, self.second, self.third = (tfnorm.Dice() for _ in range(3))
        self.through_numpy = through_numpy

    def call(self, x):
        y = self.first(x)
        if self.through_numpy:
            y = tf.constant(y.numpy())
        return self.second(y) + self.third(x)


@pytest.mark.parametrize("through_numpy", [True, False])
def test_of_a_model_that_runs_eagerly_each_layer_may_depend_on_those_before_it(
    rows, through_numpy, assert_statistics, outputs_of
):
    model = Eager(through_numpy)
    model(rows)
    model.compile(run_eagerly=True)
    assert passes(model, rows) == 3
    assert_statistics(model.first, rows)
    assert_statistics(model.second, outputs_of(model.first, rows), rtol=1e-4)
    assert_statistics(model.third, rows)


def test_a_layer_that_is_called_from_python_in_the_middle_of_a_run_is_exact(
    rows, assert_statistics, outputs_of
):
    class Hidden(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.dice = tfnorm.Dice()

        def build(self, shape):
            self.dice.build(shape)

        def call(self, x):
            y = tf.py_function(self.dice, [x], tf.float32)
            return tf.ensure_shape(y, x.shape)

    after = keras.layers.BatchNormalization()
    model = keras.Sequential([keras.Input((4,)), Hidden(), after])
    recalibrate_statistics(model, [rows])
    assert_statistics(model.layers[0].dice, rows)
    assert_statistics(after, outputs_of(model.layers[0].dice, rows), rtol=1e-4)


@pytest.mark.slow
def test_a_pass_leaves_alone_what_it_can_not_know_yet(rows):
    """With its initial statistics a deep model overflows float32, which no cast may notice."""
    blocks = [
        layer
        for _ in range(5)
        for layer in (keras.layers.BatchNormalization(), keras.layers.Rescaling(1e9))
    ]
    model = keras.Sequential([keras.Input((4,)), *blocks, keras.layers.BatchNormalization()])
    with np.errstate(over="raise"):
        assert passes(model, rows) == 6
    for layer in model.layers[2::2]:
        np.testing.assert_allclose(layer.moving_variance.numpy(), 1e18, rtol=0.01)
