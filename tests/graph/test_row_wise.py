"""The ops of which it is known what they do with rows."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tfnorm._tensorflow import op_definition
from tfnorm.graph.row_wise import ELEMENTWISE, REARRANGING, keeps_to_rows

ROWS = np.random.default_rng(0).uniform(0.1, 0.9, (6, 3)).astype(np.float32)


@pytest.mark.parametrize("listed", [ELEMENTWISE, REARRANGING])
def test_the_ops_listed_are_tensorflows(listed):
    assert len(listed) > 30
    assert [name for name in sorted(listed) if op_definition(name) is None] == []


def _takes_floats(name):
    """Whether an op can be called with one or two float tensors and nothing else."""
    definition = op_definition(name)
    types = [attr for attr in definition.attr if attr.type == "type"]
    arguments = definition.input_arg
    return (
        hasattr(tf.raw_ops, name)
        and len(arguments) in (1, 2)
        and all(arg.type_attr and not arg.number_attr for arg in arguments)
        and len(types) == 1
        and (not types[0].HasField("allowed_values") or 1 in types[0].allowed_values.list.type)
        and all(attr.HasField("default_value") or attr.type == "type" for attr in definition.attr)
    )


def test_an_elementwise_op_gives_a_row_the_same_alone():
    tried = []
    for name in sorted(ELEMENTWISE):
        if not _takes_floats(name) or name in ("BiasAdd", "BiasAddV1"):
            continue
        op = getattr(tf.raw_ops, name)
        arguments = [arg.name for arg in op_definition(name).input_arg]
        whole = op(**dict.fromkeys(arguments, tf.constant(ROWS)))
        alone = op(**dict.fromkeys(arguments, tf.constant(ROWS[2:3])))
        same = np.testing.assert_array_equal
        if whole.dtype.is_floating:
            same = functools.partial(np.testing.assert_allclose, rtol=1e-5)
        same(np.asarray(whole)[2:3], np.asarray(alone), err_msg=name)
        tried.append(name)
    assert len(tried) > 60


def test_kinds_of_ops_are_known_by_their_names():
    assert keeps_to_rows("Conv2D") and keeps_to_rows("Tanh") and keeps_to_rows("TensorListSetItem")
    assert not keeps_to_rows("DynamicPartition") and not keeps_to_rows("Mean")
    assert not keeps_to_rows("NoSuchOp")
