import keras
import numpy as np
import pytest
import tensorflow as tf
from export.randomized import give_weights
from keras.layers import Conv1D, Conv2D, Conv3D, Dense

from tfnorm.export.folding import linear
from tfnorm.export.folding.affine import Affine
from tfnorm.export.folding.linear import Linear

RNG = np.random.default_rng(0)
# Layer, and the shape of an input; float64, so that what is compared differs by no rounding.
LAYERS = {
    "dense": (lambda: Dense(5, "tanh", dtype="float64"), (4,)),
    "dense of a sequence": (lambda: Dense(5, use_bias=False, dtype="float64"), (3, 4)),
    "causal": (
        lambda: Conv1D(4, 3, padding="causal", dilation_rate=2, dtype="float64"),
        (6, 4),
    ),
    "groups": (lambda: Conv1D(6, 2, groups=2, strides=2, dtype="float64"), (6, 4)),
    "same": (lambda: Conv2D(3, 3, padding="same", activation="elu", dtype="float64"), (5, 5, 4)),
    "volume": (lambda: Conv3D(3, (1, 2, 2), use_bias=False, dtype="float64"), (3, 4, 4, 4)),
}


@pytest.fixture(params=LAYERS)
def layer(request):
    make, shape = LAYERS[request.param]
    made = make()
    made.build((None, *shape))
    give_weights([made], RNG)
    return made


@pytest.fixture
def x(layer):
    rank = layer.kernel.shape.rank if isinstance(layer, Dense) else len(layer.kernel.shape)
    shape = {2: (3, 4), 3: (6, 4), 4: (5, 5, 4), 5: (3, 4, 4, 4)}[rank]
    return RNG.normal(size=(2, *shape))


def before_activation(layer, x):
    activation, layer.activation = layer.activation, keras.activations.linear
    try:
        return layer(x).numpy()
    finally:
        layer.activation = activation


def test_a_layer_that_is_built_anew_gives_what_it_gave(layer, x):
    built = Linear.of(layer).build(x.shape)
    np.testing.assert_allclose(built(x), layer(x), rtol=1e-12)
    assert [weight.name for weight in built.weights if weight.name != "bias"] == ["kernel"]
    assert isinstance(built.bias, tf.Tensor)


def test_what_is_done_to_the_output_is_taken_up(layer, x):
    done = Affine(*RNG.normal(size=(3, layer.kernel.shape[-1])), far=False)
    normalized = done.scale * (before_activation(layer, x) - done.center) + done.offset
    wanted = layer.activation(normalized)
    got = Linear.of(layer).then(done).build(x.shape)(x)
    np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-12)


def test_what_is_done_to_the_input_is_taken_up(layer, x):
    scale, offset, center = RNG.normal(size=(3, x.shape[-1]))
    if linear.pads(layer):
        offset, center = 0 * offset, 0 * center
    wanted = layer(scale * (x - center) + offset)
    taken = Linear.of(layer).after(Affine(scale, offset, center, far=False))
    np.testing.assert_allclose(taken.build(x.shape)(x), wanted, rtol=1e-10, atol=1e-12)
    # What is done to the output too meets the center.
    done = Affine(*RNG.normal(size=(3, layer.kernel.shape[-1])), far=False)
    normalized = done.scale * (
        before_activation(layer, scale * (x - center) + offset) - done.center
    )
    wanted = layer.activation(normalized + done.offset)
    np.testing.assert_allclose(taken.then(done).build(x.shape)(x), wanted, rtol=1e-9, atol=1e-12)


def test_a_product_before_a_dense_layer_is_taken_up():
    layer = Dense(5, "tanh", dtype="float64")
    layer.build((None, 4))
    give_weights([layer], RNG)
    x, kernel = RNG.normal(size=(7, 3)), RNG.normal(size=(3, 4))
    scale, offset, center = RNG.normal(size=(3, 4))
    first = Affine(scale, offset, center, far=False)
    got = Linear.of(layer).after(first).after_product(kernel).build(x.shape)(x)
    wanted = layer(scale * (x @ kernel - center) + offset)
    np.testing.assert_allclose(got, wanted, rtol=1e-10)


def test_the_bias_makes_up_for_what_rounding_does_to_the_kernel_at_the_mean():
    """There alone: an x of exactly the mean gives what it does in float64."""
    layer = Dense(16)
    layer.build((None, 8))
    give_weights([layer], RNG)
    center = np.full(8, 1000.0)
    first = Affine(RNG.normal(size=8), RNG.normal(size=8), center, far=False)
    built = Linear.of(layer).after(first).build((None, 8))
    kernel, bias = built.kernel.numpy().astype(np.float64), np.float64(built.bias)
    wanted = first.offset @ np.float64(layer.kernel) + np.float64(layer.bias)
    rounding = 2.0**-24 * np.abs(bias)
    np.testing.assert_array_less(np.abs(center @ kernel + bias - wanted), rounding + 1e-12)


@pytest.mark.parametrize("padding", ["same", "causal"])
def test_zeros_beyond_the_edge_count_as_padding(padding):
    layer = Conv1D(2, 3, padding=padding)
    assert linear.pads(layer)
    # As it does: what is added to the input is not added beyond its edge.
    x = RNG.normal(size=(1, 6, 2)).astype(np.float32)
    layer(x)
    moved = np.asarray(layer(x + 1) - layer(x))
    assert np.abs(moved - moved[:, 3]).max() > 0.01


def test_where_there_is_nothing_beyond_the_edge_there_is_no_padding():
    assert not linear.pads(Conv1D(2, 3))
    assert not linear.pads(Dense(2))


@pytest.mark.parametrize("make", [make for make, _ in LAYERS.values()])
def test_dense_and_convolutions_are_linear(make):
    assert linear.is_linear(make())


def with_lora():
    layer = Dense(4)
    layer.build((None, 4))
    layer.enable_lora(2)
    return layer


def quantized():
    layer = Dense(4)
    layer.build((None, 4))
    layer.quantize("int8")
    return layer


def with_a_call_of_its_own():
    layer = Dense(4)
    vars(layer)["call"] = lambda x: x
    return layer


class Squared(Dense):
    def call(self, inputs):
        return super().call(inputs) ** 2


@pytest.mark.parametrize(
    "make",
    [
        with_lora,
        quantized,
        with_a_call_of_its_own,
        lambda: Squared(4),
        lambda: keras.layers.EinsumDense("ab,bc->ac", 4),
        lambda: keras.layers.DepthwiseConv1D(3),
        lambda: keras.layers.SeparableConv1D(4, 3),
        lambda: keras.layers.Conv1DTranspose(4, 3),
        lambda: keras.layers.Embedding(4, 3),
    ],
)
def test_what_computes_otherwise_is_not(make):
    assert not linear.is_linear(make())


def test_an_activation_other_than_the_identity_is_one():
    assert linear.has_activation(Dense(2, "relu"))
    assert not linear.has_activation(Dense(2))
    assert not linear.has_activation(Dense(2, "linear"))


def test_the_channels_are_last_unless_the_layer_has_them_first():
    assert linear.channel_axis(Dense(2), 2) == 1
    assert linear.channel_axis(Dense(2), 4) == 3
    assert linear.channel_axis(Conv2D(2, 3), 4) == 3
    assert linear.channel_axis(Conv2D(2, 3, data_format="channels_first"), 4) == 1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", [1e30, 1e39])
@pytest.mark.parametrize("to", ["kernel", "bias"])
def test_a_layer_fits_where_float32_holds_it(scale, to):
    layer = Dense(2)
    layer.build((None, 3))
    ones = Linear(layer, np.ones((3, 2)), np.ones(2), np.zeros(3))
    values, zeros = np.full(2, scale), np.zeros(2)
    if to == "kernel":
        done = Affine(values, zeros, zeros, far=False)
    else:
        done = Affine(np.ones(2), values, zeros, far=False)
    assert ones.then(done).fits("float32") == (scale < 1e38)
    assert ones.then(done).fits("float64")
