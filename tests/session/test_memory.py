import numpy as np
import pytest
import tensorflow as tf

from tfnorm.session.memory import in_place, parts


def address(value):
    return value.__array_interface__["data"][0]


def test_a_variable_is_read_where_it_is_even_after_its_rows_were_looked_up():
    variable = tf.Variable(tf.ones([1000, 8]))
    before = address(in_place(variable))
    tf.gather(variable, [1, 2])
    assert address(in_place(variable)) == before
    assert address(variable.numpy()) != before


def test_what_was_read_stays_as_it_was_and_cannot_be_written_to():
    variable = tf.Variable([1.0, 2.0])
    value = in_place(variable)
    variable.assign([3.0, 4.0])
    assert value.tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="read-only"):
        value[0] = 5.0


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "int8", "bool", "complex64"])
def test_every_dtype_of_a_variable_can_be_read(dtype):
    variable = tf.Variable(tf.cast([[0, 1], [1, 1]], dtype))
    value = in_place(variable)
    assert value.dtype == variable.dtype.as_numpy_dtype
    assert (value == variable.numpy()).all()


@pytest.mark.parametrize("shape", [(0, 3), (1,), (3, 0), (70_000, 32), (3, 1 << 20)])
def test_parts_are_all_of_an_array_and_few_bytes_each(shape):
    value = np.zeros(shape, np.float32)
    found = [value[part] for part in parts(value)]
    assert sum(map(len, found)) == len(value)
    assert all(len(part) == 1 or part.nbytes <= 1 << 21 for part in found)
