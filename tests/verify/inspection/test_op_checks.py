"""What is wrong or risky about single ops, in graphs that are one function."""

import numpy as np
import pytest
import tensorflow as tf
from hand_made import laid_open

from tfnorm.graph.ops import advice
from tfnorm.verify.inspection.op_checks import check_ops

X = [None, 4]
VERIFY = "Verify with examples"


def checked(call, **inputs):
    return list(check_ops(laid_open(call, **inputs or {"x": X})))


def told(findings):
    return [(finding.severity, finding.op_type) for finding in findings]


def _variable(value, trainable=False):
    return tf.compat.v1.get_variable("v", initializer=value, use_resource=True, trainable=trainable)


def test_an_op_that_crosses_the_batch_is_an_error_with_its_name_layer_and_advice():
    def call(x):
        with tf.name_scope("dense"):
            return x - tf.reduce_mean(x, 0, name="mean")

    (found,) = checked(call)
    assert (found.severity, found.op, found.op_type, found.layer) == (
        "error",
        "dense/mean",
        "Mean",
        "dense",
    )
    assert found.message == "Mean reduces over the batch axis" and found.advice == advice("Mean")


@pytest.mark.parametrize(
    ("call", "op_type"),
    [
        (lambda x: x[1:], "StridedSlice"),
        (lambda x: x + tf.random.stateless_normal(tf.shape(x), [1, 2]), "StatelessRandomNormalV2"),
        (lambda x: x + tf.cast(tf.timestamp() % 1.0, tf.float32), "Timestamp"),
    ],
    ids=["a row too few", "a draw by place", "the time"],
)
def test_what_reaches_across_rows_in_an_unusual_way_is_an_error(call, op_type):
    assert ("error", op_type) in told(checked(call))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: tf.gather(x, tf.range(tf.shape(x)[0])),
        lambda x: tf.gather_nd(
            x, tf.stack([tf.range(tf.shape(x)[0]), tf.argmax(x, 1, tf.int32)], 1)
        ),
        lambda x: tf.pad(x, [[0, 0], [1, 0]])[:, :-1],
        lambda x: tf.reduce_mean(x, axis=tf.range(1, tf.rank(x))),
        lambda x: x * tf.cast(tf.shape(x)[1], tf.float32),
        lambda x: x + tf.random.stateless_normal([4], [1, 2]),
        lambda x: tf.nn.l2_normalize(x, axis=-1),
        lambda x: tf.squeeze(x[:, :1], axis=1),
    ],
    ids=[
        "all rows",
        "one of each row",
        "padded steps",
        "a computed axis",
        "a length",
        "a draw",
        "a norm",
        "a squeezed axis",
    ],
)
def test_what_looks_alike_and_keeps_to_rows_is_not_mentioned(call):
    assert checked(call) == []


def _partitioned(x):
    parts = tf.dynamic_partition(x, tf.cast(x[:, 0] > 0, tf.int32), 2)
    places = tf.dynamic_partition(tf.range(tf.shape(x)[0]), tf.cast(x[:, 0] > 0, tf.int32), 2)
    return tf.ensure_shape(tf.dynamic_stitch(places, [parts[0], 2 * parts[1]]), [None, 4])


def _in_whole_steps(x, before=0):
    more = -tf.shape(x)[0] % 16
    padded = tf.pad(x, [[before * more, more - before * more], [0, 0]])
    return (padded @ tf.ones([4, 4]))[: tf.shape(x)[0]]


def test_rows_that_are_filled_up_from_the_start_are_shifted():
    found = checked(lambda x: _in_whole_steps(x, before=1))
    assert ("error", "Pad") in told(found)


@pytest.mark.parametrize(
    ("call", "op_type", "said"),
    [
        (_in_whole_steps, "Pad", "fills the batch up"),
        (_partitioned, "DynamicPartition", "can't be followed"),
        (lambda x: tf.gather(x, tf.argsort(x[:, 0])), "GatherV2", "numbers that are computed"),
        (lambda x: tf.reshape(tf.reshape(x, [1, -1]), [-1, 4]), "Reshape", "into one row"),
        (lambda x: tf.reshape(x, [1, 4]), "Reshape", "batches of one size alone"),
        (lambda x: tf.squeeze(x[:, :1]), "Squeeze", "loses the batch dimension of one example"),
        (
            lambda x: tf.math.invert_permutation(tf.cast(x[:, 0], tf.int32)),
            "InvertPermutation",
            "can't be",
        ),
        (lambda x: tf.reduce_mean(x, axis=_variable(0)), "Mean", "an axis that is computed"),
    ],
)
def test_what_cannot_be_followed_is_a_warning(call, op_type, said):
    found = checked(call)
    warnings = [f.message for f in found if (f.severity, f.op_type) == ("warning", op_type)]
    assert any(said in message for message in warnings), found
    assert ("error", op_type) not in told(found)


def test_a_reduction_of_integers_may_decide_on_shapes_alone():
    """The longest history of a batch, say."""
    lengths = tf.TensorSpec([None], tf.int32)
    found = checked(lambda n: tf.cumsum(n[:, None] + tf.reduce_max(n), 1), n=lengths)
    for finding in found:
        assert finding.severity != "warning" or "numbers of type int32" in finding.advice
    assert "Max" in {finding.op_type for finding in found}


@pytest.mark.parametrize(
    "places",
    [
        lambda rows: tf.cast(tf.range(rows), tf.float32)[:, None],
        lambda rows: tf.one_hot(tf.range(rows), 4),
        lambda rows: tf.linspace(0.0, 1.0, rows)[:, None],
    ],
)
def test_the_place_in_the_batch_as_a_number_of_the_scores_is_a_warning(places):
    found = checked(lambda x: x + places(tf.shape(x)[0]))
    assert "the place in the batch flows into AddV2" in [one.message for one in found]
    assert "error" not in [one.severity for one in found]


@pytest.mark.parametrize(
    ("call", "op_type"),
    [
        (lambda x: x + tf.cast(tf.shape(x)[0], tf.float32), "AddV2"),
        (lambda x: x > tf.cast(tf.shape(x)[0], tf.float32), "Greater"),
    ],
)
def test_the_batch_size_as_a_number_of_the_scores_is_a_warning(call, op_type):
    (found,) = checked(call)
    assert told([found]) == [("warning", op_type)]
    assert found.message == f"the batch size flows into {op_type}"
    assert checked(lambda x: tf.reshape(x, [tf.shape(x)[0], 2, 2])) == []


@pytest.mark.parametrize("call", [lambda x, nan: tf.where(x > 0, x, nan), lambda x, nan: x + nan])
def test_a_constant_nan_is_no_batch_size_and_no_place(call):
    nan = np.full((1, 4), np.nan, "f4")
    assert checked(lambda x: call(x, tf.constant(nan[0, 0]))) == []
    assert checked(lambda x: call(x, tf.repeat(tf.constant(nan), tf.shape(x)[0], axis=0))) == []


def test_a_branch_that_the_size_of_the_batch_chooses_is_a_warning_and_its_inside_is_looked_at():
    def call(x):
        many = tf.shape(x)[0] > 64
        return tf.cond(many, lambda: x - tf.reduce_mean(x, 0), lambda: x + 0)

    found = checked(call)
    assert ("error", "Mean") in told(found)
    assert [f.op_type for f in found if "chooses a branch by the shape" in f.message] == ["Greater"]


def _branching(choose):
    return lambda x: tf.cond(choose(x), lambda: x + 1, lambda: x)


def _by_size(choose, shape):
    found = checked(_branching(choose), x=shape)
    return [f.op_type for f in found if "chooses a branch by the shape of the batch" in f.message]


@pytest.mark.parametrize("shape", [[None, 4], [None, None]])
@pytest.mark.parametrize(
    "choose",
    [
        lambda x: tf.shape(x)[0] > 64,
        lambda x: tf.size(x) > 64,
        lambda x: tf.equal(tf.shape(x)[0] % 2, 0),
        lambda x: tf.reduce_all(tf.equal(tf.shape(x), [64, 4])),
        lambda x: tf.reduce_max(tf.shape(x)) > 64,
        lambda x: tf.gather(tf.shape(x), 0) > 64,
        lambda x: tf.shape(tf.transpose(x))[1] > 64,
    ],
    ids=[
        "rows",
        "all values",
        "a remainder",
        "a whole shape",
        "the largest",
        "gathered",
        "transposed",
    ],
)
def test_a_branch_is_chosen_by_the_size_whatever_both_sizes_that_are_tried_choose(choose, shape):
    assert len(_by_size(choose, shape)) == 1


@pytest.mark.parametrize("shape", [[None, 4], [None, None]])
@pytest.mark.parametrize(
    "choose",
    [
        lambda x: tf.reduce_any(x > 0),
        lambda x: tf.shape(x)[1] > 2,
        lambda x: tf.gather(tf.shape(x), 1) > 2,
        lambda x: tf.reduce_max(tf.shape(x)[1:]) > 2,
        lambda x: tf.rank(x) > 1,
        lambda x: tf.shape(tf.transpose(x))[0] > 2,
    ],
    ids=["values", "a length", "gathered", "the other axes", "a rank", "transposed"],
)
def test_a_branch_that_values_or_a_length_choose_is_not_chosen_by_the_size(choose, shape):
    assert _by_size(choose, shape) == []


def test_what_an_input_chooses_is_a_warning_that_names_the_input():
    def call(x, is_training):
        return tf.cond(is_training, lambda: tf.nn.dropout(x, 0.5), lambda: x + 0)

    (found,) = checked(call, x=X, is_training=[])
    assert told([found]) == [("warning", "RandomUniform")]
    assert found.message.endswith("and the scores use it, where input 'is_training' says so")


@pytest.mark.parametrize("scored", [True, False])
def test_random_numbers_are_an_error_where_the_scores_use_them(scored):
    def call(x):
        noise = tf.random.normal([4])
        return x + noise if scored else x + 1

    assert told(checked(call)) == ([("error", "RandomStandardNormal")] if scored else [])


@pytest.mark.parametrize(
    ("read", "expected"),
    [(True, "error"), (False, "warning")],
    ids=["read", "counted alone"],
)
def test_an_assignment_is_an_error_where_the_scores_read_what_it_changes(read, expected):
    def call(x):
        v = _variable(np.float32(0))
        with tf.control_dependencies([v.assign_add(1.0, read_value=False)]):
            return x + v if read else x + 1

    (found,) = checked(call)
    assert told([found]) == [(expected, "AssignAddVariableOp")]
    assert ("the scores read what it changes" in found.message) == read


def test_counting_the_rows_of_a_batch_is_an_error():
    def call(x):
        positive = tf.boolean_mask(x[:, 0], x[:, 0] > 0)
        return x / tf.cast(tf.shape(positive)[0], tf.float32)

    found = [f for f in checked(call) if f.severity == "error"]
    assert told(found) == [("error", "Where")]
    assert "counts over the batch axis, and the scores use the number" in found[0].message


@pytest.mark.parametrize("unused", [False, True])
def test_a_function_of_python_s_is_an_error_wherever_it_is(unused):
    def call(x):
        y = tf.ensure_shape(tf.numpy_function(np.tanh, [x], tf.float32), [None, 4])
        return x if unused else y

    def nested(x):
        return tf.cond(tf.constant(True), lambda: call(x), lambda: x)

    for each in (call,) if unused else (call, nested):
        found = [f for f in checked(each) if f.severity == "error"]
        assert {f.op_type for f in found} <= {"PyFunc", "EagerPyFunc"}
        assert len(found) == (0 if unused else 1)
        assert unused or "is no op of TensorFlow Serving" in found[0].message
