import tempfile
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from export.randomized import draws, give_weights, models
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from keras.layers import (
    Add,
    Concatenate,
    Conv1D,
    Conv2D,
    Conv3D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    ReLU,
    Reshape,
)

from tfnorm.export import export_saved_model
from tfnorm.export.folding.fold import fold
from tfnorm.export.structure import structure
from tfnorm.layers import BatchNormalization, Dice, Whitening
from tfnorm.session import SavedModel

RNG = np.random.default_rng(0)


def bn(name="bn", **options):
    return BatchNormalization(name=name, **options)


def functional(shape, *layers):
    """Layers in a row."""
    inputs = x = keras.Input(shape)
    for layer in layers:
        x = layer(x)
    return keras.Model(inputs, x)


def scores(model, x):
    outputs = keras.tree.flatten(model(x, training=False))
    return [keras.ops.convert_to_numpy(output) for output in outputs]


def features(model, size=1.0):
    shapes = [[8, *(axis or 5 for axis in tensor.shape[1:])] for tensor in model.inputs]
    made = [tf.constant(size * RNG.normal(size=shape), tf.float32) for shape in shapes]
    return made[0] if len(made) == 1 else made


def folded(model, x=None, means=0.5, **options):
    """Fold `model`, see that it scores the same, and say by name what became of its layers.

    No moving mean is more than so many standard deviations from zero.
    """
    give_weights([model], np.random.default_rng(1))
    statistics = {v.path: v for v in model.weights if "moving" in v.name}
    for path, variance in statistics.items():
        if path.endswith("variance"):
            mean = statistics[path.replace("variance", "mean")]
            mean.assign(np.clip(mean, -1, 1) * means * np.sqrt(variance))
    x = features(model) if x is None else x
    folding = fold(structure(model), {}, **{"checked": False, **options})
    expected = scores(model, x)
    with folding.applied():
        got = scores(model, x)
    for output, wanted in zip(got, expected, strict=True):
        np.testing.assert_allclose(output, wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())
    return (
        {layer.name: into for layer, into in folding.folded.items()},
        {layer.name: reason for layer, reason in folding.not_folded.items()},
    )


@settings(max_examples=25, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(draws, st.sampled_from([1.0, 0.0, 1e-3, 1e4, 1e15]), st.integers(0, 2**31))
def test_a_folded_model_is_as_exact_as_the_model(draw, size, seed):
    model, exact = models(draw)
    x = np.random.default_rng(seed).normal(size=(8, *model.input.shape[1:])) * size
    folding = fold(structure(model), {}, checked=False)
    with folding.applied():
        folded = scores(model, x)
    for got, own, wanted in zip(folded, scores(model, x), scores(exact, x), strict=True):
        rounding = np.abs(own - wanted).max()
        assert np.abs(got - wanted).max() <= 1e-5 * np.abs(wanted).max() + 3 * rounding


@settings(max_examples=5, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(draws)
def test_what_is_exported_scores_as_the_model_does(draw):
    """At 1e4 a sigmoid of what cancels out is rounded by as much as other last digits of x move it."""
    model, exact = models(draw)
    x = RNG.normal(size=(8, *model.input.shape[1:])).astype(np.float32)
    other_digits = 1 + 1e-6 * RNG.choice([-1, 1], x.shape)
    with tempfile.TemporaryDirectory() as directory:
        export_saved_model(model, directory, examples={"x": x})
        with SavedModel(directory) as saved:
            for size in (1, 1e-3, 1e4):
                inputs = np.float32(size) * x
                got = list(saved.run({"x": inputs}).values())
                own = scores(model, inputs)
                right, moved = (scores(exact, given) for given in (inputs, inputs * other_digits))
                assert len(got) == len(own)
                for wanted, true, other in zip(own, right, moved, strict=True):
                    near = 1e-5 * np.abs(wanted).max()
                    if size == 1e4:
                        near += 3 * (np.abs(wanted - true).max() + np.abs(other - true).max())
                    assert any(
                        output.shape == wanted.shape
                        and np.allclose(output, wanted, rtol=1e-5, atol=near)
                        for output in got
                    )


@pytest.mark.parametrize("normalization", [BatchNormalization, keras.layers.BatchNormalization])
@pytest.mark.parametrize(
    ("shape", "layer"),
    [
        ((3,), Dense(4, name="linear")),
        ((5, 3), Dense(4, use_bias=False, name="linear")),
        ((5, 4), Conv1D(6, 3, padding="causal", groups=2, name="linear")),
        ((5, 5, 3), Conv2D(4, 2, strides=2, padding="same", name="linear")),
        ((4, 4, 4, 2), Conv3D(3, 2, use_bias=False, name="linear")),
    ],
)
def test_a_normalization_after_a_linear_layer_is_folded(shape, layer, normalization):
    layer = type(layer).from_config(layer.get_config())
    model = functional(shape, layer, normalization(name="bn"), ReLU())
    assert folded(model) == ({"bn": "linear"}, {})


@pytest.mark.parametrize("normalization", [BatchNormalization, keras.layers.BatchNormalization])
@pytest.mark.parametrize(
    ("shape", "layer"),
    [
        ((3,), Dense(4, activation="relu", name="linear")),
        ((5, 3), Dense(4, use_bias=False, name="linear")),
        ((5, 4), Conv1D(6, 3, dilation_rate=2, groups=2, name="linear")),
        ((5, 5, 3), Conv2D(4, 2, strides=2, activation="tanh", name="linear")),
        ((4, 4, 4, 2), Conv3D(3, 2, use_bias=False, name="linear")),
    ],
)
def test_a_normalization_before_a_linear_layer_is_folded(shape, layer, normalization):
    layer = type(layer).from_config(layer.get_config())
    model = functional(shape, ReLU(), normalization(name="bn"), layer)
    assert folded(model) == ({"bn": "linear"}, {})


def test_a_normalization_before_a_convolution_that_pads_stays():
    model = functional((5, 3), bn(), Conv1D(4, 3, padding="same", name="padded"))
    _, kept = folded(model)
    assert kept["bn"].endswith("its output goes to padded (Conv1D), which pads it with zeros")


def test_a_normalization_without_offset_is_folded_into_a_convolution_that_pads():
    model = functional((5, 3), bn(center=False), Conv1D(4, 3, padding="same", name="padded"))
    give_weights([model], np.random.default_rng(1))
    model.layers[1].moving_mean.assign(np.zeros(3))
    x = features(model)
    folding = fold(structure(model), {}, checked=False)
    with folding.applied():
        got = scores(model, x)
    np.testing.assert_allclose(got, scores(model, x), rtol=1e-5, atol=1e-6)
    assert list(folding.folded.values()) == ["padded"]


def test_a_normalization_after_an_activation_stays_one_multiply_and_add():
    gone, kept = folded(functional((3,), Dense(4, activation="relu", name="dense"), bn(), ReLU()))
    assert not gone
    assert kept["bn"].startswith(
        "one multiply and add: its input comes from the activation of dense (Dense); its output "
        "goes to re_lu"
    )


def test_a_normalization_stays_where_the_value_before_it_is_read_too():
    inputs = keras.Input((3,))
    x = Dense(4)(inputs)
    y = bn()(x)
    for outputs in (Add(name="sum")([x, y]), [x, y]):
        gone, kept = folded(keras.Model(inputs, outputs))
        assert not gone
        assert "its input also goes to" in kept["bn"]


def test_a_normalization_is_folded_into_all_its_readers_or_none():
    inputs = keras.Input((3,))
    x = bn()(inputs)
    first, second = Dense(4, name="first")(x), Dense(4, activation="relu", name="second")(x)
    assert folded(keras.Model(inputs, Add()([first, second]))) == ({"bn": "first, second"}, {})
    gone, _ = folded(keras.Model(inputs, [first, second, x]))
    assert not gone
    gone, _ = folded(keras.Model(inputs, Concatenate()([first, second, x])))
    assert not gone


def test_chains_of_normalizations_are_folded():
    model = functional((3,), Dense(4, name="dense"), bn("a"), bn("b"), ReLU())
    assert folded(model) == ({"a": "dense", "b": "dense"}, {})
    model = functional((3,), ReLU(), bn("a"), bn("b"), Dense(4, name="dense", activation="relu"))
    assert folded(model) == ({"a": "b", "b": "dense"}, {})
    model = functional((3,), ReLU(), bn("a"), bn("b"), ReLU())
    gone, kept = folded(model)
    assert (gone, list(kept)) == ({"a": "b"}, ["b"])


def test_one_layer_takes_up_what_is_before_and_after_it():
    model = functional((3,), bn("a"), Dense(4, name="dense"), bn("b"), ReLU())
    assert folded(model) == ({"a": "dense", "b": "dense"}, {})


def test_what_does_nothing_at_inference_is_no_hindrance():
    model = functional((3,), Dense(4, name="dense"), Dropout(0.5), bn(), ReLU())
    assert folded(model) == ({"bn": "dense"}, {})
    model = functional((3,), ReLU(), bn(), Dropout(0.5), Dense(4, name="dense"))
    assert folded(model) == ({"bn": "dense"}, {})


def test_layers_that_are_always_called_together_are_folded_once():
    a, b = keras.Input((3,)), keras.Input((3,))
    dense, normalization = Dense(4, name="dense"), bn()
    model = keras.Model([a, b], Add()([normalization(dense(a)), normalization(dense(b))]))
    assert folded(model) == ({"bn": "dense"}, {})


@pytest.mark.parametrize("order", ["after", "before"])
def test_a_shared_layer_that_is_called_without_the_other_is_left_alone(order):
    a, b = keras.Input((3,)), keras.Input((3,))
    dense, normalization = Dense(3, name="dense"), bn()
    if order == "after":
        x, y = ReLU()(normalization(dense(a))), ReLU()(dense(b))
    else:
        x, y = dense(normalization(ReLU()(a))), dense(ReLU()(b))
    for outputs in (x + y, y + x):
        gone, kept = folded(keras.Model([a, b], outputs))
        assert not gone
        assert "dense (Dense) is called elsewhere too" in kept["bn"]


def test_a_shared_normalization_that_is_called_without_the_other_is_left_alone():
    a, b = keras.Input((3,)), keras.Input((3,))
    dense, normalization = Dense(3, name="dense"), bn()
    x, y = ReLU()(normalization(dense(a))), ReLU()(normalization(ReLU()(b)))
    for outputs in (x + y, y + x):
        gone, _ = folded(keras.Model([a, b], outputs))
        assert not gone


def test_a_normalization_of_another_axis_than_the_channels_stays():
    for model in (
        functional((5, 3), Dense(4), bn(axis=1), ReLU()),
        functional((5, 3), bn(axis=1), Conv1D(4, 2)),
        functional((5, 3), ReLU(), bn("a", axis=1), bn(axis=2), ReLU()),
    ):
        gone, _ = folded(model)
        assert not gone


def test_nested_models_are_folded_inside_and_left_alone_at_their_edge():
    tower = functional((4,), bn("first"), ReLU(), Dense(4, name="dense"), bn("last"))
    inputs = keras.Input((3,))
    x = bn("after")(tower(bn("before")(Dense(4, activation="relu")(inputs))))
    gone, kept = folded(keras.Model(inputs, [x, tower(Dense(4)(inputs))]))
    assert gone == {"last": "dense"}
    assert set(kept) == {"first", "before", "after"}


def test_a_sequential_model_is_folded():
    model = keras.Sequential([keras.Input((3,)), bn("a"), Dense(4, name="dense"), bn("b"), ReLU()])
    assert folded(model) == ({"a": "dense", "b": "dense"}, {})


def test_a_layer_of_a_nested_model_that_is_called_outside_too_is_left_alone():
    dense = Dense(4, name="dense")
    tower = functional((3,), dense, bn(), ReLU())
    inputs = keras.Input((3,))
    gone, kept = folded(keras.Model(inputs, [tower(inputs), dense(inputs)]))
    assert not gone
    assert "dense (Dense) is called elsewhere too" in kept["bn"]


def test_a_mask_reaches_the_layers_behind_a_folded_normalization():
    ids = keras.Input((None,), dtype="int32")
    x = Embedding(9, 4, mask_zero=True)(ids)
    x = bn("a")(Dense(4, activation="relu", name="first")(x))
    x = Dice(name="dice")(bn("b")(Dense(4, name="second")(x)))
    model = keras.Model(ids, GlobalAveragePooling1D()(x))
    history = tf.constant([[1, 2, 0, 0], [3, 0, 0, 0], [4, 5, 6, 8]])
    gone, kept = folded(model, history)
    assert gone == {"a": "second", "b": "second", "dice": "one multiply and add"}
    assert not kept


def test_dice_is_one_multiply_and_add():
    model = functional((5, 4), Dense(4), Dice(name="a"), Dice(name="b", axis=1))
    x = features(model)
    gone, _ = folded(model, x)
    assert gone == dict.fromkeys("ab", "one multiply and add")

    folding = fold(structure(model), {}, checked=False)
    with folding.applied():
        graph = tf.function(lambda x: model.layers[2](x, training=False))
        nodes = graph.get_concrete_function(tf.TensorSpec((None, 5, 4))).graph.get_operations()
    kinds = [node.type for node in nodes]
    assert sorted(
        kind for kind in kinds if kind in ("Mul", "AddV2", "Sub", "Rsqrt", "Sigmoid")
    ) == [
        "AddV2",
        "AddV2",
        "Mul",
        "Mul",
        "Mul",
        "Sigmoid",
    ]


class Subclassed(keras.Model):
    def __init__(self, direct=False):
        super().__init__()
        self.tower = keras.Sequential([keras.Input((3,)), Dense(4, name="dense"), bn(), ReLU()])
        self.normalization = bn("own")
        self.direct = direct

    def call(self, inputs, training=None):
        y = self.tower(self.normalization(inputs, training=training), training=training)
        return y + self.tower.layers[0](inputs) if self.direct else y


def test_a_subclassed_model_has_multiply_and_add_for_its_own_and_folds_its_towers_if_checked():
    model = Subclassed()
    x = tf.constant(RNG.normal(size=(8, 3)), tf.float32)
    model(x)
    gone, kept = folded(model, x, checked=True)
    assert gone == {"bn": "dense"}
    assert kept["own"].startswith("one multiply and add: Python code of subclassed")
    gone, kept = folded(model, x)
    assert not gone
    assert "there are no examples to check on" in kept["bn"]


def test_a_normalization_that_is_told_to_train_trains():
    class Training(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.normalization = bn(momentum=0.5)

        def call(self, inputs):
            return self.normalization(inputs, training=True)

    layer = Training()
    model = functional((3,), layer)
    x = features(model)
    with fold(structure(model), {}, checked=True).applied():
        model(x)
    np.testing.assert_allclose(
        layer.normalization.moving_mean, np.mean(x, axis=0) / 2, rtol=1e-5, atol=1e-6
    )


def test_a_mean_far_from_zero_is_subtracted_before_its_layer_takes_up_the_rest():
    model = functional((3,), bn("a"), Dense(4, name="dense"), bn("b"), Dice(name="dice"))
    far = ", but for its mean, which is subtracted first"
    assert folded(model, means=3.0) == (
        {"a": f"dense{far}", "b": "dense", "dice": "one subtract, multiply and add"},
        {},
    )


def test_a_mean_that_is_subtracted_first_is_not_looked_through():
    """What comes before stays before it, and a normalization behind takes all of it up."""
    far = ", but for its mean, which is subtracted first"
    model = functional((3,), ReLU(), bn("a"), bn("b"), Dense(4, name="dense"), ReLU())
    assert folded(model, means=3.0) == ({"a": "b", "b": f"dense{far}"}, {})
    inputs = keras.Input((3,))
    x = bn("a")(ReLU()(inputs))
    model = keras.Model(inputs, [Dense(3, name="dense")(x), ReLU()(bn("b")(x))])
    gone, kept = folded(model, means=3.0)
    assert gone == {"a": f"dense, b{far}"}
    assert list(kept) == ["b"]
    tower = functional((3,), ReLU(), Dense(3, activation="relu"), bn("first"), bn("a"), Dense(4))
    gone, _ = folded(tower, means=3.0)
    assert gone["first"] == "a"


def test_a_padded_convolution_takes_up_a_far_mean_only_where_it_is_padded_with_normalized_zeros():
    for center, taken in ((False, ["bn"]), (True, [])):
        layers = bn(center=center), Conv1D(4, 3, padding="same", name="padded")
        gone, _ = folded(functional((5, 3), *layers), means=3.0)
        assert list(gone) == taken


def test_a_dense_layer_does_not_take_up_a_mean_so_far_that_it_may_be_a_constants():
    model = functional((3,), Dense(4, name="dense"), bn(), Dice(name="dice"))
    gone, kept = folded(model, means=17.0)
    assert gone == {"dice": "one subtract, multiply and add"}
    assert kept["bn"].startswith(
        "one subtract, multiply and add: the mean of channel 1 is 17 standard deviations from zero, "
        "which dense (Dense) can't take up"
    )
    constant = functional((3,), Dense(4, name="dense"), bn(epsilon=1.0), ReLU())
    constant.layers[2].moving_variance.assign([0, 1, 1, 1])
    constant.layers[2].moving_mean.assign([1e-3, 0, 0, 0])
    assert not fold(structure(constant), {}, checked=False).folded


def whitening(name="white", **options):
    """One that is adapted to four channels that depend on each other, far from zero."""
    layer = Whitening(name=name, **options)
    layer.adapt(RNG.normal(size=(200, 4)) @ RNG.normal(size=(4, 4)) + 30)
    return layer


@pytest.mark.parametrize("options", [{}, {"method": "pca"}, {"method": "pca", "components": 2}])
def test_the_product_of_a_whitening_is_folded_into_the_dense_layers_behind_it(options):
    inputs = keras.Input((4,))
    x = Dropout(0.5)(whitening(**options)(inputs))
    outputs = Dense(3, "relu", name="first")(x), Dense(5, use_bias=False, name="second")(x)
    model = keras.Model(inputs, outputs)
    x = tf.constant(RNG.normal(size=(8, 4)) + 30, tf.float32)
    expected = scores(model, x)
    folding = fold(structure(model), {}, checked=False)
    with folding.applied():
        got = scores(model, x)
        graph = tf.function(model).get_concrete_function(tf.TensorSpec((None, 4))).graph
    for output, wanted in zip(got, expected, strict=True):
        np.testing.assert_allclose(output, wanted, rtol=1e-5, atol=1e-5)
    (into,) = folding.folded.values()
    assert into == "first, second, but for its mean, which is subtracted first"
    assert [op.type for op in graph.get_operations()].count("MatMul") == 2


def test_a_whitening_and_normalizations_around_a_dense_layer_are_folded_together():
    layers = whitening("white"), bn("a"), Dense(4, name="dense"), bn("b"), ReLU()
    model = functional((6, 4), *layers)
    for layer in (model.get_layer("a"), model.get_layer("b")):
        give_weights([layer], np.random.default_rng(1))
        layer.moving_mean.assign(0.5 * np.sqrt(layer.moving_variance))
    x = tf.constant(RNG.normal(size=(8, 6, 4)) + 30, tf.float32)
    (expected,) = scores(model, x)
    folding = fold(structure(model), {}, checked=False)
    with folding.applied():
        (got,) = scores(model, x)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    assert {layer.name for layer in folding.folded} == {"white", "a", "b"}


def test_a_whitening_that_something_else_reads_too_stays():
    inputs = keras.Input((4,))
    x = whitening()(inputs)
    for outputs, reason in (
        (ReLU()(x), "as it is: its output goes to re_lu"),
        ([Dense(2)(x), x], "as it is: its output goes to the model's outputs"),
        (Conv1D(2, 1)(Reshape((1, 4))(x)), "as it is: its output goes to reshape"),
    ):
        folding = fold(structure(keras.Model(inputs, outputs)), {}, checked=False)
        assert not folding.calls
        (said,) = folding.not_folded.values()
        assert said.startswith(reason)
    sequence = functional((5, 4), whitening(), Conv1D(2, 1))
    (said,) = fold(structure(sequence), {}, checked=False).not_folded.values()
    assert said.startswith("as it is: its output goes to conv1d")


def test_what_is_before_a_whitening_stays_before_it():
    for layers in ([bn(), whitening("second")], [whitening("first"), whitening("second")]):
        model = functional((4,), ReLU(), *layers, Dense(2, name="dense"))
        folding = fold(structure(model), {}, checked=False)
        assert [layer.name for layer in folding.folded] == ["second"]
        assert all("second (Whitening)" in why for why in folding.not_folded.values())


def test_what_is_not_in_float32_is_left_alone():
    model = functional((3,), Dense(4, dtype="mixed_float16"), bn(dtype="mixed_float16"), ReLU())
    folding = fold(structure(model), {}, checked=False)
    assert not folding.calls
    assert list(folding.not_folded.values()) == ["it is in float16"]
    gone, _ = folded(functional((3,), Dense(4, dtype="float16"), bn(), ReLU()))
    assert not gone


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_weights_that_would_overflow_are_left_alone():
    model = functional((1,), Dense(1, use_bias=False), bn(epsilon=0.0), ReLU())
    model.layers[1].kernel.assign([[1e30]])
    model.layers[2].moving_variance.assign([1e-30])
    folding = fold(structure(model), {}, checked=False)
    (reason,) = folding.not_folded.values()
    assert "would overflow" in reason


def test_layers_with_code_of_their_own_are_left_alone():
    class Twice(BatchNormalization):
        def call(self, inputs, training=None, mask=None):
            return 2 * super().call(inputs, training=training, mask=mask)

    class Squared(Dense):
        def call(self, inputs):
            return super().call(inputs) ** 2

    assert folded(functional((3,), Dense(4), Twice(), ReLU())) == ({}, {})
    gone, _ = folded(functional((3,), Squared(4), bn(), ReLU()))
    assert not gone


def test_a_linear_layer_keeps_its_unregistered_activation_and_regularizer():
    class Heavy(keras.regularizers.Regularizer):
        def __call__(self, x):
            return tf.reduce_sum(x)

    dense = Dense(4, activation=lambda x: x**2, kernel_regularizer=Heavy(), name="dense")
    assert folded(functional((3,), ReLU(), bn(), dense)) == ({"bn": "dense"}, {})


def test_a_dense_layer_with_lora_is_left_alone():
    dense = Dense(4, name="dense")
    model = functional((3,), dense, bn(), ReLU())
    dense.enable_lora(2)
    gone, _ = folded(model)
    assert not gone


def test_renormalization_is_folded_as_it_is_at_inference():
    model = functional((3,), Dense(4, name="dense"), bn(renorm=True), ReLU())
    assert folded(model) == ({"bn": "dense"}, {})


def test_the_model_is_as_it_was():
    model = functional((3,), Dense(4, use_bias=False), bn(), Dice(), bn("b"), Dense(1))
    give_weights([model], np.random.default_rng(1))
    x = features(model)
    before = [weight.numpy() for weight in model.weights], model.get_config(), scores(model, x)
    folding = fold(structure(model), {}, checked=False)
    with folding.applied():
        assert not np.array_equal(scores(model, x), before[2])
    np.testing.assert_equal([weight.numpy() for weight in model.weights], before[0])
    assert model.get_config() == before[1]
    np.testing.assert_array_equal(scores(model, x), before[2])
    assert not any("call" in vars(layer) for layer in model.layers)
    model.compile("sgd", "mse")
    model.fit(x, np.zeros(8), verbose=0)
    assert not np.array_equal(model.layers[2].moving_mean.numpy(), before[0][3])


def test_another_thread_sees_the_model_unfolded():
    model = functional((3,), Dense(4), bn(), ReLU())
    give_weights([model], np.random.default_rng(1))
    x = features(model)
    expected, dense = scores(model, x), model.layers[1]
    own, got = scores(dense, x), []
    with fold(structure(model), {}, checked=False).applied():
        assert not np.allclose(scores(dense, x), own)
        thread = threading.Thread(target=lambda: got.extend((scores(dense, x), scores(model, x))))
        thread.start()
        thread.join()
    np.testing.assert_array_equal(got[0], own)
    np.testing.assert_array_equal(got[1], expected)


def test_a_flattened_map_keeps_its_normalization():
    gone, kept = folded(functional((4, 3), bn(), Flatten(), Dense(2)))
    assert not gone
    assert "its output goes to flatten" in kept["bn"]
