"""What can't work is refused, by an error that names the argument and shows what came."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.layers import BatchNormalization, Dice

LAYERS = pytest.mark.parametrize("Layer", [BatchNormalization, Dice])


def adjustment(shape):
    return 1.0, 0.0


@LAYERS
@pytest.mark.parametrize("momentum", [-0.1, 1.1, 99, float("nan"), "0.9", True])
def test_momentum_outside_0_to_1(Layer, momentum):
    with pytest.raises(ValueError, match=rf"momentum must be in \[0, 1\].*{momentum}"):
        Layer(momentum=momentum)


@LAYERS
@pytest.mark.parametrize("epsilon", [-1e-3, float("nan"), None, "1e-3"])
def test_negative_epsilon(Layer, epsilon):
    with pytest.raises(ValueError, match=rf"epsilon must be 0 or more.*{epsilon}"):
        Layer(epsilon=epsilon)


@LAYERS
def test_momentum_warmup_without_a_momentum(Layer):
    with pytest.raises(ValueError, match=r"momentum_warmup needs a momentum.*momentum=None"):
        Layer(momentum=None, momentum_warmup=True)


@LAYERS
@pytest.mark.parametrize("shape", [(), (3,)])
def test_rank_below_2(Layer, shape):
    with pytest.raises(ValueError, match="rank 2 or more") as error:
        Layer()(tf.zeros(shape))
    assert str(shape) in str(error.value)


@LAYERS
@pytest.mark.parametrize("axis", [2, -3, 7])
def test_axis_out_of_range(Layer, axis):
    with pytest.raises(ValueError, match=rf"axis must be in \[-2, 2\).*axis={axis}") as error:
        Layer(axis=axis)(tf.zeros((4, 3)))
    assert "(4, 3)" in str(error.value)


@LAYERS
@pytest.mark.parametrize("axis", [[1, 2], [], 1.0, "1", None])
def test_an_axis_that_is_no_integer_and_no_list_of_one(Layer, axis):
    with pytest.raises(InputError, match=r"axis must be an integer, or a list of one") as error:
        Layer(axis=axis)
    assert repr(axis) in str(error.value)


@LAYERS
def test_a_channel_dimension_that_is_unknown(Layer):
    with pytest.raises(ValueError, match="the channel dimension must be known") as error:
        Layer(axis=1)(keras.Input((None, 3)))
    assert "(None, None, 3)" in str(error.value)
    assert "axis=1" in str(error.value)


@LAYERS
def test_another_number_of_channels_than_at_first(Layer):
    layer = Layer()
    layer(tf.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"expected axis -1 .* value 3, .* shape \(4, 2\)"):
        layer(tf.zeros((4, 2)))


@LAYERS
@pytest.mark.parametrize("dtype", ["int32", "int64", "bool", "complex64"])
def test_inputs_that_are_not_floating_point(Layer, dtype):
    layer = Layer(name="normal")
    with pytest.raises(ValueError, match=f"floating point.*normal was given {dtype}") as error:
        layer(tf.zeros((4, 3), dtype))
    assert "(4, 3)" in str(error.value)


@LAYERS
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(2,), (5,), (4, 3), (4, 2, 1), (4, 2, 3), (1, 4, 2)])
def test_a_mask_of_another_shape(Layer, training, shape):
    with pytest.raises(InputError, match="mask") as error:
        Layer()(tf.zeros((4, 2, 3)), training=training, mask=np.ones(shape, bool))
    assert "(4, 2)" in str(error.value)
    assert str(shape) in str(error.value)


@LAYERS
@pytest.mark.parametrize("training", [True, False])
def test_a_mask_of_fewer_axes_that_happens_to_fit_the_last_ones(Layer, training):
    """`[B, T]` beside `[B, T, F, C]`, where B, T and F are equal."""
    with pytest.raises(InputError, match=r"\(4, 4, 4\), or one broadcastable.*\(4, 4\)"):
        Layer()(tf.zeros((4, 4, 4, 3)), training=training, mask=np.ones((4, 4), bool))


@LAYERS
@pytest.mark.parametrize("training", [True, False])
def test_inputs_that_are_ragged_or_sparse(Layer, training):
    ragged = tf.RaggedTensor.from_row_lengths(tf.ones((3, 2)), [1, 2])
    for inputs in (ragged, tf.sparse.from_dense(tf.ones((3, 2)))):
        with pytest.raises(InputError, match=rf"dense.*{type(inputs).__name__}.*as the mask"):
            Layer()(inputs, training=training)


@pytest.mark.parametrize("size", [0, -4, 4.0, "4", True])
def test_virtual_batch_size_below_1(size):
    with pytest.raises(ValueError, match=f"virtual_batch_size must be 1 or more.*{size}"):
        BatchNormalization(virtual_batch_size=size)


@pytest.mark.parametrize("axis", [0, -2])
def test_virtual_batch_size_with_the_channels_on_axis_0(axis):
    layer = BatchNormalization(axis=axis, virtual_batch_size=2)
    with pytest.raises(ValueError, match=rf"axis 0.*axis={axis} with virtual_batch_size=2"):
        layer(tf.zeros((4, 3)))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"renorm": True, "virtual_batch_size": 2}, "renorm .* virtual_batch_size"),
        ({"renorm": True, "unbiased_variance": True}, "renorm .*unbiased_variance must be False"),
        (
            {"synchronized": True, "virtual_batch_size": 2},
            "virtual_batch_size .* synchronized=True",
        ),
        ({"adjustment": adjustment}, "adjustment .* needs virtual_batch_size.* adjustment at"),
        ({"renorm_clipping": {"rmax": 2.0}}, "renorm_clipping needs renorm=True.*'rmax': 2.0"),
        ({"renorm": True, "renorm_clipping": {"tmax": 2.0}}, "renorm_clipping takes.*'tmax'"),
        ({"renorm": True, "renorm_clipping": {"dmax": -1.0}}, "dmax of 0 or more.*-1.0"),
        (
            {"renorm": True, "renorm_clipping": {"rmin": 2.0, "rmax": 1.0}},
            "rmin above rmax.*'rmin': 2.0, 'rmax': 1.0",
        ),
        ({"renorm": True, "renorm_momentum": 1.5}, r"renorm_momentum must be in \[0, 1\].*1.5"),
    ],
)
def test_combinations_that_make_no_sense(arguments, reason):
    with pytest.raises(ValueError, match=reason):
        BatchNormalization(**arguments)


def test_alpha_before_there_are_weights():
    with pytest.raises(ValueError, match=r"switch has no weights yet.*load_alpha"):
        Dice(name="switch").load_alpha(np.zeros(3))


@pytest.mark.parametrize("shape", [(), (2,), (1, 3)])
def test_alpha_of_another_shape(shape):
    layer = Dice()
    layer.build((None, 3))
    with pytest.raises(ValueError, match=r"alpha must have the shape \(3,\)") as error:
        layer.load_alpha(np.zeros(shape))
    assert str(shape) in str(error.value)


@LAYERS
def test_inside_of_a_branch_a_strategy_of_one_replica_is_refused_in_a_line_or_right(Layer):
    """The newest TensorFlow can't assign there, the oldest can."""
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        layer = Layer()
        layer.build((None, 3))

    def step(x):
        return tf.cond(tf.reduce_sum(x) > 0, lambda: layer(x, training=True), lambda: x)

    try:
        tf.function(lambda x: strategy.run(step, args=(x,)))(tf.ones((4, 3)))
    except InputError as error:
        assert "with a tf.function around strategy.run" in str(error)
    else:
        np.testing.assert_allclose(layer.moving_mean, np.full(3, 0.01), rtol=1e-6)
