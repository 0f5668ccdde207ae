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


def test_lines_become_one():
    assert (
        one_line(ValueError("a shape\n  of [3]\n\tis not wanted")) == "a shape of [3] is not wanted"
    )


def test_an_error_that_says_nothing_goes_by_its_type():
    assert one_line(ValueError()) == "ValueError"
