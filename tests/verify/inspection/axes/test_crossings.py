"""Which ops let the rows of a batch see each other, told from their axes."""

import pytest
import tensorflow as tf
from hand_made import axes_of

from tfnorm.verify.inspection.axes.crossings import crossing

X = tf.TensorSpec([None, 4, 3], tf.float32, "x")
FLAT = tf.TensorSpec([None, 4], tf.float32, "x")
IDS = tf.TensorSpec([None], tf.int64, "ids")
OVER, RANKS = "reduces over the batch axis", "ranks over the batch axis"
SOFTMAX, SCANS = "normalizes over the batch axis", "scans along the batch axis"
COUNTS, MOVES = "counts over the batch axis", "moves rows along the batch axis"
FIXED, SUMS = "takes fixed rows of the batch", "sums over the batch axis"
MATRIX, IMAGE = (
    "solves for all rows together, as one matrix",
    "takes the mean of all rows, as of one image",
)
UNKNOWN = "does with the rows what can't be followed"
SEGMENT = "brings rows together by segment"
EACH_OTHER, SLIDES = "multiplies rows with each other", "slides along the batch axis"


def _crossings(call, spec):
    """Op type -> what it does across the batch axis."""
    inlined, axes = axes_of(call, spec)
    found = {node.op: crossing(node, axes) for node in inlined.nodes.values()}
    return {op: seen.what for op, seen in found.items() if seen}


def _conv(x):
    return tf.nn.conv1d(x, tf.ones([2, 3, 5]), 1, "SAME")


def _einsum(equation):
    return lambda x: tf.einsum(equation, x, x)


@pytest.mark.parametrize(
    ("call", "spec", "expected"),
    [
        (lambda x: tf.reduce_mean(x, 0), X, {"Mean": OVER}),
        (lambda x: tf.reduce_mean(x, -3), X, {"Mean": OVER}),
        (lambda x: tf.reduce_mean(x, [1, -3]), X, {"Mean": OVER}),
        (lambda x: tf.reduce_mean(x, -1), X, {}),
        (lambda x: tf.reduce_mean(x, [-1, -2]), X, {}),
        (lambda x: tf.reduce_max(x), X, {"Max": OVER}),
        (lambda x: tf.argmax(x, axis=0), X, {"ArgMax": OVER}),
        (lambda x: tf.argmax(x, axis=-1), X, {}),
        (lambda x: tf.reduce_sum(tf.transpose(x, [1, 0, 2]), -2), X, {"Sum": OVER}),
        (lambda x: tf.reduce_sum(tf.transpose(x, [1, 0, 2]), -3), X, {}),
        (lambda x: tf.nn.softmax(tf.transpose(x)), FLAT, {"Softmax": SOFTMAX}),
        (lambda x: tf.nn.softmax(x), FLAT, {}),
        (lambda x: tf.nn.log_softmax(tf.transpose(x)), FLAT, {"LogSoftmax": SOFTMAX}),
        (lambda x: tf.cumsum(x, axis=-2), FLAT, {"Cumsum": SCANS}),
        (lambda x: tf.cumsum(x, axis=-1), FLAT, {}),
        (lambda x: tf.math.cumprod(x, axis=0), FLAT, {"Cumprod": SCANS}),
        (lambda x: tf.math.top_k(tf.transpose(x), 2).values, FLAT, {"TopKV2": RANKS}),
        (lambda x: tf.math.top_k(x, 2).values, FLAT, {}),
        (lambda i: tf.unique(i).y, IDS, {"Unique": COUNTS}),
        (lambda i: tf.raw_ops.Bincount(arr=tf.cast(i, tf.int32), size=9, weights=[]), IDS,
         {"Bincount": COUNTS}),
        (lambda x: tf.reverse(x, [-3]), X, {"ReverseV2": MOVES}),
        (lambda x: tf.reverse(x, [-2]), X, {}),
        (lambda x: tf.roll(x, 1, -3), X, {"Roll": MOVES}),
        (lambda x: tf.roll(x, 1, 1), X, {}),
        (lambda x: tf.random.shuffle(x), X, {"RandomShuffle": MOVES}),
        (lambda x: x[::-1], X, {"StridedSlice": MOVES}),
        (lambda x: x[:, ::-1], X, {}),
        (lambda x: x - x[0], X, {"StridedSlice": FIXED}),
        (lambda x: x[:, 0], X, {}),
        (lambda x: tf.slice(x, [0, 0, 0], [2, 4, 3]), X, {"Slice": FIXED}),
        (lambda x: tf.gather(x, [0, 1]), X, {"GatherV2": FIXED}),
        (lambda x: tf.gather(x, [0, 1], axis=1), X, {}),
        (lambda x: tf.gather(x, [0, 1], axis=-3), X, {"GatherV2": FIXED}),
        (lambda x: tf.matmul(x, x, transpose_b=True), FLAT, {"MatMul": EACH_OTHER}),
        (lambda x: tf.matmul(x, x, transpose_a=True), FLAT, {"MatMul": SUMS}),
        (lambda x: tf.matmul(x, tf.ones([4, 2])), FLAT, {}),
        (lambda x: tf.matmul(x, x, transpose_b=True), X, {}),
        (lambda x: tf.matmul(x, tf.ones([4, 2]), adjoint_a=True), X, {}),
        (lambda x: tf.matmul(tf.transpose(x, [1, 2, 0]), tf.ones([4, 2, 3]), False, False, True, True), X,
         {}),
        (_einsum("bf,cf->bc"), FLAT, {"Einsum": EACH_OTHER}),
        (_einsum("bf,bg->fg"), FLAT, {"Einsum": SUMS}),
        (_einsum("bf,bf->b"), FLAT, {}),
        (_conv, X, {}),
        (lambda x: _conv(tf.transpose(x, [1, 0, 2])), X, {"Conv2D": SLIDES}),
        (lambda x: tf.linalg.svd(x)[1], FLAT, {"Svd": MATRIX}),
        (lambda x: tf.linalg.qr(x)[0], FLAT, {"Qr": MATRIX}),
        (lambda x: tf.linalg.svd(x)[1], X, {}),
        (lambda x: tf.linalg.qr(x)[0], X, {}),
        (lambda x: tf.linalg.triangular_solve(tf.eye(4), tf.transpose(x)), FLAT, {}),
        (lambda x: tf.image.adjust_contrast(x, 2.0), X, {"AdjustContrastv2": IMAGE}),
        (lambda x: tf.image.adjust_contrast(x[:, None], 2.0), X, {}),
        (lambda x: tf.raw_ops.ResizeBilinear(images=x[None], size=[2, 2]), X, {"ResizeBilinear": SLIDES}),
        (lambda x: tf.math.segment_sum(x, tf.cast(x[:, 0], tf.int32)), FLAT, {"SegmentSum": SEGMENT}),
        (lambda x: tf.math.unsorted_segment_max(x, tf.range(tf.shape(x)[0]) // 2, 9), FLAT,
         {"UnsortedSegmentMax": SEGMENT}),
        (lambda x: tf.math.unsorted_segment_sum(tf.reshape(x, [-1]), tf.repeat(tf.range(tf.shape(x)[0]), 4),
                                                tf.shape(x)[0]), FLAT, {"UnsortedSegmentSum": UNKNOWN}),
        (lambda x: tf.math.unsorted_segment_sum(tf.reshape(x, [-1]), tf.range(tf.size(x)) // 8,
                                                tf.shape(x)[0]), FLAT, {"UnsortedSegmentSum": SEGMENT}),
    ],
)  # fmt: skip
def test_an_op_is_told_by_its_axes(call, spec, expected):
    assert _crossings(call, spec) == expected


@pytest.mark.parametrize("training", [True, False])
def test_normalization_is_told_by_its_mode(training):
    def call(x):
        given = {} if training else {"mean": tf.zeros([3]), "variance": tf.ones([3])}
        return tf.compat.v1.nn.fused_batch_norm(
            x[:, None], tf.ones([3]), tf.zeros([3]), is_training=training, **given
        )[0]

    expected = {"FusedBatchNormV3": "normalizes with the batch's statistics"} if training else {}
    assert _crossings(call, X) == expected


def _fourier(x):
    return tf.math.real(tf.signal.fft(tf.cast(x, tf.complex64)))


RANGE = "takes its range from all rows of the batch"
SEVERAL = "gives rows that are made of several rows of the batch"


@pytest.mark.parametrize(
    ("call", "spec", "expected"),
    [
        (lambda x: _fourier(tf.transpose(x)), FLAT, {"FFT": "transforms along the batch axis"}),
        (_fourier, FLAT, {}),
        (lambda x: tf.signal.rfft2d(x), X, {}),
        (
            lambda x: tf.quantization.quantize_and_dequantize_v2(x, 0.0, 0.0, range_given=False),
            FLAT,
            {"QuantizeAndDequantizeV4": RANGE},
        ),
        (
            lambda x: tf.quantization.quantize_and_dequantize_v2(x, 0.0, 1.0, range_given=True),
            FLAT,
            {},
        ),
        (lambda x: tf.reshape(tf.transpose(x), [-1, 4]), FLAT, {"Reshape": SEVERAL}),
        (lambda x: tf.reshape(tf.transpose(x, [1, 0, 2]), [-1, 3]), X, {}),
        (lambda x: tf.reshape(tf.transpose(x, [1, 0, 2]), [4, -1, 3, 1]), X, {}),
        (lambda x: tf.reshape(tf.reshape(x, [-1, 3]), [-1, 4, 3]), X, {}),
        (lambda x: tf.reshape(x, [-1, 12]), X, {}),
    ],
)
def test_transforms_ranges_and_reshapes_are_told_by_where_the_batch_stands(call, spec, expected):
    assert _crossings(call, spec) == expected


def test_a_sequence_is_reversed_along_its_own_axis_or_along_the_batch():
    def call(sequence, batch):
        return lambda x: tf.reverse_sequence(
            x, tf.ones([tf.shape(x)[batch]], tf.int32), seq_axis=sequence, batch_axis=batch
        )

    assert _crossings(call(1, 0), X) == {}
    assert _crossings(call(0, 1), X) == {"ReverseSequence": MOVES}
