"""What inputs without rows, such as `is_training`, switch off."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf
from hand_made import laid_open, signature

from tfnorm.verify.inspection.op_checks import check_ops
from tfnorm.verify.inspection.opened import open_graph

V1 = tf.compat.v1
X = [None, 4]
MOVING = np.float32([0.5, 1.0, 1.5, 2.0])


@contextlib.contextmanager
def _switches():
    """Control flow as TensorFlow 1 has it."""
    V1.disable_control_flow_v2()
    try:
        yield
    finally:
        V1.enable_control_flow_v2()


def _mean(x):
    return tf.reduce_mean(x, axis=0)


def _number(flag):
    return tf.cast(flag, tf.float32)


@tf.function
def _called(x, flag):
    return tf.where(flag, _mean(x), MOVING)


def _of_tf1(x, flag):
    with _switches():
        return x - V1.cond(flag, lambda: _mean(x), lambda: tf.constant(MOVING))


def _outside(x, flag):
    """The mean is taken before it is known whether it is used."""
    mean = _mean(x)
    return x - tf.cond(flag, lambda: mean, lambda: tf.constant(MOVING))


def _outside_of_tf1(x, flag):
    with _switches():
        return _outside(x, flag)


def _in_a_loop(x, flag):
    def turn(i, x):
        return i + 1, x - tf.cond(flag, lambda: _mean(x), lambda: tf.constant(MOVING))

    return tf.while_loop(lambda i, x: i < 3, turn, [0, x])[1]


def _in_a_loop_of_tf1(x, flag):
    with _switches():
        return V1.while_loop(
            lambda i, x: i < 3,
            lambda i, x: (i + 1, x - tf.where(flag, _mean(x), MOVING)),
            [tf.constant(0), x],
        )[1]


CHOICES = {
    "a select": lambda x, flag: x - tf.where(flag, _mean(x), MOVING),
    "a select of rows": lambda x, flag: tf.where(flag, x - _mean(x), x - MOVING),
    "a select of TF 1": lambda x, flag: x - tf.raw_ops.Select(condition=flag, x=_mean(x), y=MOVING),
    "the other way": lambda x, flag: x - tf.where(tf.logical_not(flag), MOVING, _mean(x)),
    "a branch": lambda x, flag: x - tf.cond(flag, lambda: _mean(x), lambda: tf.constant(MOVING)),
    "a branch of TF 1": _of_tf1,
    "a branch that is given the mean": _outside,
    "a branch of TF 1 that is given the mean": _outside_of_tf1,
    "a case": lambda x, flag: (
        x - tf.switch_case(tf.cast(flag, tf.int32), [lambda: tf.constant(MOVING), lambda: _mean(x)])
    ),
    "a factor": lambda x, flag: x - _number(flag) * _mean(x) - (1 - _number(flag)) * MOVING,
    "a factor of rows": lambda x, flag: x - (_mean(x) - MOVING) * _number(flag)[None] - MOVING,
    "and": lambda x, flag: x * _number(tf.logical_and(flag, tf.reduce_max(x) > 1.0)),
    "or": lambda x, flag: x * _number(tf.logical_or(tf.logical_not(flag), tf.reduce_max(x) > 1.0)),
    "combined": lambda x, flag: (
        x - tf.where(tf.logical_and(tf.logical_or(flag, False), True), _mean(x), MOVING)
    ),
    "a comparison": lambda x, flag: x - tf.where(_number(flag) > 0.5, _mean(x), MOVING),
    "one of a stack": lambda x, flag: (
        x - tf.gather(tf.stack([MOVING, _mean(x)]), tf.cast(flag, tf.int32))
    ),
    "one of a stack by a slice": lambda x, flag: (
        x - tf.stack([MOVING, _mean(x)])[tf.cast(flag, tf.int32)]
    ),
    "one of a stack along another axis": lambda x, flag: (
        x - tf.gather(tf.stack([MOVING, _mean(x)], 1), tf.cast(flag, tf.int32), axis=1)
    ),
    "repeated for each row": lambda x, flag: tf.where(
        tf.fill([tf.shape(x)[0], 1], flag), x - _mean(x), x
    ),
    "broadcast": lambda x, flag: tf.where(tf.broadcast_to(flag, tf.shape(x)), x - _mean(x), x),
    "a function": lambda x, flag: x - _called(x, flag),
    "noise": lambda x, flag: x + _number(flag) * tf.random.normal(tf.shape(x)),
    "a loop": _in_a_loop,
    "a loop of TF 1": _in_a_loop_of_tf1,
}


def told(call, **inputs):
    findings = check_ops(laid_open(call, x=X, **inputs))
    return [(one.severity, one.op_type, "where input" in one.message) for one in findings]


@pytest.mark.parametrize("call", CHOICES.values(), ids=CHOICES)
def test_what_a_flag_switches_off_is_a_warning_or_nothing_where_it_is_no_input(call):
    op = "RandomStandardNormal" if call is CHOICES["noise"] else None
    op = op or ("Max" if call in (CHOICES["and"], CHOICES["or"]) else "Mean")
    assert told(call, flag=False) == []
    assert ("error", op, False) in told(call, flag=True)
    found = told(call, flag=[])
    assert ("warning", op, True) in found
    assert "error" not in [severity for severity, _, _ in found]


@pytest.mark.parametrize(
    "constant",
    [
        lambda: tf.constant(False),
        lambda: tf.identity(tf.identity(tf.constant(False))),
        lambda: tf.cast(tf.constant(0), tf.bool),
        lambda: V1.placeholder_with_default(tf.constant(False), []),
        lambda: tf.constant(3) < tf.constant(2),
        lambda: tf.fill([4], False),
        lambda: tf.not_equal(tf.zeros_like(tf.constant([1.0])), 0.0),
    ],
)
def test_constants_that_nothing_feeds_are_folded(constant):
    assert told(lambda x: x - tf.where(constant(), _mean(x), MOVING)) == []


def test_what_is_wrong_for_every_value_of_an_input_stays_an_error():
    def either(x, flag):
        return x - tf.where(flag, tf.reduce_mean(x, axis=0), tf.reduce_max(x, axis=0) + MOVING)

    assert {severity for severity, *_ in told(either, flag=[])} == {"error"}

    def besides(x, flag):
        return x - tf.where(flag, tf.reduce_mean(x, axis=0), MOVING) + tf.reduce_max(x, axis=0)

    assert sorted(told(besides, flag=[])) == [("error", "Max", False), ("warning", "Mean", True)]


def test_the_lesser_evil_is_the_error():
    def more(x, flag):
        worse = tf.reduce_max(x, axis=0) + tf.reduce_min(x, axis=0)
        return x - tf.where(flag, worse, tf.reduce_mean(x, axis=0))

    assert sorted(told(more, flag=[])) == [
        ("error", "Mean", False),
        ("warning", "Max", True),
        ("warning", "Min", True),
    ]


def test_one_of_several_inputs_that_switches_is_named():
    def call(x, flag, other):
        return x * _number(other) - tf.where(flag, _mean(x), MOVING)

    (found,) = check_ops(laid_open(call, x=X, flag=[], other=[]))
    assert found.severity == "warning"
    assert found.message == "Mean reduces over the batch axis, where input 'flag' says so"


def test_flags_that_switch_together_are_a_warning_however_many_there_are():
    flags = {f"flag{i}": [] for i in range(8)}

    def call(x, **given):
        every = tf.reduce_all(tf.stack(list(given.values())[:2]))
        return x - tf.where(every, _mean(x), MOVING)

    (found,) = check_ops(laid_open(call, x=X, **flags))
    assert found.severity == "warning"
    assert "'flag0' and 'flag1'" in found.message and found.message.endswith("say so")


@pytest.mark.parametrize(
    ("dtype", "choose"),
    [
        (tf.int32, lambda step: step < 1000),
        (tf.int64, lambda mode: tf.equal(mode, 7)),
        (tf.string, lambda mode: tf.equal(mode, "train")),
        (tf.float32, lambda keep: keep < 1.0),
        (tf.float32, lambda step: step < 1000.0),
    ],
)
def test_numbers_and_words_choose_too(dtype, choose):
    def call(x, given):
        return x - tf.cond(choose(given), lambda: _mean(x), lambda: tf.constant(MOVING))

    assert told(call, given=tf.TensorSpec([], dtype)) == [("warning", "Mean", True)]


def test_a_quantity_that_may_be_0_switches_nothing_off():
    strength = tf.TensorSpec([], tf.float32)
    assert told(lambda x, given: x - given * _mean(x), given=strength) == [("error", "Mean", False)]


def test_a_flag_of_each_row_chooses_no_op():
    rows = tf.TensorSpec([None], tf.bool)
    found = told(lambda x, given: x - tf.where(given[:, None], _mean(x), MOVING), given=rows)
    assert found == [("error", "Mean", False)]


@pytest.mark.parametrize("shape", [None, [1]])
def test_a_flag_whose_shape_does_not_say_so_has_no_rows_either(shape):
    def call(x, given):
        with _switches():
            one = tf.reshape(given, []) if shape else given
            return x - V1.cond(one, lambda: _mean(x), lambda: tf.constant(MOVING))

    found = told(call, given=tf.TensorSpec(shape, tf.bool))
    assert ("warning", "Mean", True) in found
    assert "error" not in [severity for severity, *_ in found]


def _dropout_of_tf1(x, keep):
    draw = tf.random.uniform(tf.shape(x))
    return x / keep * tf.floor(keep + draw)


DROPOUTS = {
    "rate": (lambda x, rate: tf.nn.dropout(x, rate=rate), 0.0),
    "keep": (_dropout_of_tf1, 1.0),
    "drawn between bounds": (
        lambda x, rate: x * _number(tf.random.uniform(tf.shape(x), 0.0, 1.0) * 1.0 >= rate),
        0.0,
    ),
    "less": (lambda x, keep: x * _number(tf.random.uniform(tf.shape(x)) < keep), 1.0),
}


@pytest.mark.parametrize(("call", "off"), DROPOUTS.values(), ids=DROPOUTS)
def test_dropout_that_drops_nothing_draws_nothing(call, off):
    assert told(lambda x: call(x, tf.constant(off))) == []
    assert told(lambda x: call(x, V1.placeholder_with_default(off, []))) == []
    assert ("error", "RandomUniform", False) in told(lambda x: call(x, tf.constant(0.5)))
    for shape in ([], None):
        found = told(call, **{call.__code__.co_varnames[1]: tf.TensorSpec(shape, tf.float32)})
        assert ("warning", "RandomUniform", True) in found, shape
        assert "error" not in [severity for severity, *_ in found]


def test_what_a_loop_changes_is_no_constant():
    def call(x):
        def turn(first, x):
            return False, x - tf.where(first, MOVING, _mean(x))

        return tf.while_loop(lambda first, x: tf.size(x) > 0, turn, [True, x])[1]

    assert ("error", "Mean", False) in told(call)


@pytest.mark.parametrize("assigned", [False, True])
def test_a_variable_that_no_call_changes_is_a_constant(assigned):
    def call(x):
        training = V1.get_variable("training", initializer=False, use_resource=True)
        mean = tf.where(training, _mean(x), MOVING)
        if assigned:
            with tf.control_dependencies([training.assign(True)]):
                mean = tf.identity(mean)
        return x - mean

    values = {"training": np.array(False)}
    found = list(check_ops(open_graph(signature(call, x=X), "serve", values.get)))
    assert ("Mean" in [one.op_type for one in found]) == assigned
