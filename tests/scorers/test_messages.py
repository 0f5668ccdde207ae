import keras
import pytest
import tensorflow as tf

from tfnorm.scorers.messages import one_line


def test_pages_on_where_a_graph_was_built_are_left_out():
    @tf.function
    def checked(x):
        tf.debugging.assert_less(x, 5, message="ids must be below 5")
        return x

    with pytest.raises(tf.errors.InvalidArgumentError) as raised:
        checked(tf.constant([7]))
    assert "Detected at node" in raised.value.message
    line = one_line(raised.value)
    assert "\n" not in line
    assert "ids must be below 5" in line
    assert "Graph execution error" not in line
    assert "File" not in line


def test_the_op_that_an_eager_call_failed_in_is_left_out():
    with pytest.raises(tf.errors.InvalidArgumentError) as raised:
        tf.reshape(tf.zeros(3), [2])
    assert "[Op:" in str(raised.value)
    assert "[Op:" not in one_line(raised.value)


@pytest.mark.parametrize("kind", [ValueError, TypeError])
def test_what_keras_puts_around_an_error_of_a_layer_is_left_out(kind):
    class Fails(keras.layers.Layer):
        def call(self, inputs, scale=2):
            raise kind("wrong\nshape")

    x = keras.Input((3,))
    model = keras.Sequential([keras.Input((3,)), keras.layers.Identity()])
    with pytest.raises(kind) as raised:
        model.layers[0](Fails()(tf.zeros([1, 3])), x)
    assert "Arguments received" in str(raised.value)
    assert one_line(raised.value) == "wrong shape"


def test_lines_become_one():
    assert (
        one_line(ValueError("a shape\n  of [3]\n\tis not wanted")) == "a shape of [3] is not wanted"
    )


def test_an_error_that_says_nothing_goes_by_its_type():
    assert one_line(ValueError()) == "ValueError"
