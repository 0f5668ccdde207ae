"""Make the bits of an example's score independent of the batch around it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from tfnorm.differences import epsilon
from tfnorm.errors import InputError
from tfnorm.export.bitwise import stable_ops
from tfnorm.export.bitwise.replay import copy, replay
from tfnorm.export.difference import SAVED_TOLERANCE, Arrays, Tried
from tfnorm.export.tracing.trace import Traced
from tfnorm.session import SavedModel

TOLERANCE, BITWISE = "tolerance", "bitwise"
_CHECKED_SIZES = (1, 2, 3, 8, 13, 64)
_FUNCTIONS_OF_A_NUMBER = (
    "Acos",
    "Acosh",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "BesselI0e",
    "BesselI1e",
    "Cos",
    "Cosh",
    "Digamma",
    "Elu",
    "Erf",
    "Erfc",
    "Erfinv",
    "Exp",
    "Expm1",
    "Inv",
    "Lgamma",
    "Log",
    "Log1p",
    "Ndtri",
    "Reciprocal",
    "Rsqrt",
    "Selu",
    "Sigmoid",
    "Sin",
    "Sinh",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Tan",
    "Tanh",
)
_FUNCTIONS_OF_TWO_NUMBERS = ("Atan2", "Pow", "Xlog1py", "Xlogy")
# oneDNN, which takes up the bias and the activation after them, gives no rows the input's shape.
_NEEDS_A_ROW = ("Conv2D", "Conv3D", "DepthwiseConv2dNative")


def check_name(batch_invariance: str) -> bool:
    """Whether the bits shall not depend on the batch.

    Raises:
        InputError: it is neither of the two names.
    """
    if batch_invariance not in (TOLERANCE, BITWISE):
        raise InputError(
            f"batch_invariance is {batch_invariance!r}; accepted: {TOLERANCE!r}, {BITWISE!r}"
        )
    return batch_invariance == BITWISE


def stabilize(traced: Traced) -> Traced:
    """The same model, giving each example the same bits in every batch.

    A batch of one is scored as two of it, and each op whose rounding depends on the number of rows,
    or on where a row stands, is replaced by stock ops whose rounding doesn't. A sum over a free time axis
    does not round otherwise for more zeros at its end, nor does a softmax.

    Raises:
        InputError: an output has no batch axis.
    """
    source = traced.function
    for name, output in traced.outputs.items():
        if output.shape.rank == 0:
            raise InputError(f"output {name!r} is one number a batch; accepted: rows of examples")

    def score(features: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        inputs = tf.nest.flatten(features)
        count = tf.shape(inputs[0])[0]
        if any(op.type in _NEEDS_A_ROW for op in source.graph.get_operations()):
            inputs = [_one_or_more(x, count) for x in inputs]
        outputs = _replayed(traced, [two_if_one(x, count) for x in inputs])
        return {
            name: output if output.shape[:1].is_fully_defined() else output[:count]
            for name, output in outputs.items()
        }

    return _retraced(traced, score)


def stabilize_doubled(traced: Traced) -> Traced:
    """As `stabilize`, of a graph that makes two rows of a single one itself."""
    return _retraced(traced, lambda features: _replayed(traced, tf.nest.flatten(features)))


def _replayed(traced: Traced, inputs: Sequence[tf.Tensor]) -> dict[str, tf.Tensor]:
    """The outputs of stable ops, of the inputs in the order of their names."""
    source = traced.function
    wanted = source.structured_outputs
    feeds = [*inputs, *source.captured_inputs]
    outputs = replay(source.graph, feeds, list(wanted.values()), _REPLACEMENTS)
    return dict(zip(wanted, outputs, strict=True))


def _retraced(
    traced: Traced, score: Callable[[Mapping[str, tf.Tensor]], dict[str, tf.Tensor]]
) -> Traced:
    specs, _ = traced.function.structured_input_signature
    function = tf.function(score, input_signature=specs, autograph=False).get_concrete_function()
    return Traced(function, traced.module, traced.names)


def tolerance(traced: Traced) -> float:
    """How far scores may be from the model's, as `difference` has it: sums are in another order."""
    dtypes = {
        output.dtype for op in traced.function.graph.get_operations() for output in op.outputs
    }
    return max(SAVED_TOLERANCE, *(8 * epsilon(dtype.name) for dtype in dtypes))


def check_rows(tried: Tried | None) -> None:
    """Raise InputError unless there are rows of which one could move another's score."""
    if tried is not None and any((array != array[:1]).any() for array in tried.features.values()):
        return
    there = "there are none" if tried is None else f"there are {len(tried)}, all alike"
    raise InputError(
        "batch_invariance='bitwise' needs two or more different examples, to see before it is published "
        f"that no bit of a score depends on the batch; {there}"
    )


def check_bits(saved: SavedModel, features: Arrays, together: Arrays) -> None:
    """Raise InputError if the bits of a score depend on the batch; `together` has those in one batch."""
    count = len(next(iter(features.values())))
    for size in (size for size in _CHECKED_SIZES if size < count):
        # From the middle and the end, so that the rows stand elsewhere.
        for start in {(count - size) // 2, count - size}:
            rows = slice(start, start + size)
            alone = saved.run({name: array[rows] for name, array in features.items()})
            for name, scores in alone.items():
                if not _same(scores, together[name][rows]):
                    raise InputError(
                        f"the bits of {name!r} differ between batches of {size} and of {count}, by an op "
                        "that no stable form is known of; batch_invariance='tolerance' exports it as it is"
                    )


def _same(scores: np.ndarray, others: np.ndarray) -> bool:
    if scores.dtype == object:
        return np.array_equal(scores, others)
    return scores.tobytes() == others.tobytes()


def _one_or_more(x: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """The rows, but one of zeros where there is none."""
    more = tf.where(count == 0, 1, 0)
    return tf.pad(x, [[0, more], *[[0, 0]] * (x.shape.rank - 1)])


def two_if_one(x: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """The rows, but a single one twice."""
    if x.dtype == tf.uint16:
        # Tile has no kernel for it.
        return tf.bitcast(two_if_one(tf.bitcast(x, tf.int16), count), tf.uint16)
    return tf.tile(x, [tf.where(count == 1, 2, 1), *[1] * (x.shape.rank - 1)])


def _depends_on_batch(*tensors: tf.Tensor) -> bool:
    return not all(tensor.shape.is_fully_defined() for tensor in tensors)


def _function(op: tf.Operation, inputs: Sequence[tf.Tensor]) -> tf.Tensor | None:
    (x,) = inputs
    if x.shape.rank is None or not _depends_on_batch(x) or stable_ops.in_packets(x.shape):
        return None
    return stable_ops.elementwise(lambda x: copy(op, [x]).outputs[0], x)


def _function_of_two(op: tf.Operation, inputs: Sequence[tf.Tensor]) -> tf.Tensor | None:
    if not _depends_on_batch(*inputs):
        return None
    shape = tf.broadcast_dynamic_shape(*(tf.shape(x) for x in inputs))
    spread = [tf.broadcast_to(x, shape) for x in inputs]
    return stable_ops.elementwise(lambda *pair: copy(op, pair).outputs[0], *spread)


def _softmax(op: tf.Operation, inputs: Sequence[tf.Tensor]) -> tf.Tensor | None:
    return stable_ops.softmax(*inputs) if _depends_on_batch(*inputs) else None


def _log_softmax(op: tf.Operation, inputs: Sequence[tf.Tensor]) -> tf.Tensor | None:
    return stable_ops.log_softmax(*inputs) if _depends_on_batch(*inputs) else None


def _reduction(op: tf.Operation, inputs: Sequence[tf.Tensor]) -> tf.Tensor | None:
    x, axes = inputs[0], tf.get_static_value(inputs[1])
    if not x.dtype.is_floating or not _depends_on_batch(x) or x.shape.rank is None or axes is None:
        return None
    axes = sorted({int(axis) % x.shape.rank for axis in np.ravel(axes)})
    if 0 in axes:
        return None
    counts = x.op.type == "Cast" and not x.op.inputs[0].dtype.is_floating
    free = op.type == "Sum" and not counts and any(x.shape[axis] is None for axis in axes)
    if axes == [*range(x.shape.rank - len(axes), x.shape.rank)] and not free:
        return None
    x = stable_ops.whole_steps(x, axes) if free else x
    keep_dims = op.get_attr("keep_dims")
    function = getattr(tf.raw_ops, op.type)
    return stable_ops.reduce(lambda x, last: function(input=x, axis=last), x, axes, keep_dims)


def _matmul(op: tf.Operation, inputs: Sequence[tf.Tensor]) -> tf.Tensor | None:
    if not _depends_on_batch(*inputs) or inputs[0].dtype.is_integer:
        return None
    return stable_ops.matmul(
        *inputs,
        transpose_a=op.get_attr("transpose_a"),
        transpose_b=op.get_attr("transpose_b"),
    )


def _batch_matmul(op: tf.Operation, inputs: Sequence[tf.Tensor]) -> tf.Tensor | None:
    a, b = inputs
    if a.shape.rank is None or a.shape.rank != b.shape.rank or a.shape[:-2] != b.shape[:-2]:
        return None
    each = "abcdefgh"[: a.shape.rank - 2]
    left = "kn" if op.get_attr("adj_x") else "nk"
    right = "mk" if op.get_attr("adj_y") else "km"
    return _stable_einsum(f"{each}{left},{each}{right}->{each}nm", inputs)


def _einsum(op: tf.Operation, inputs: Sequence[tf.Tensor]) -> tf.Tensor | None:
    return _stable_einsum(op.get_attr("equation").decode(), inputs)


def _stable_einsum(equation: str, inputs: Sequence[tf.Tensor]) -> tf.Tensor | None:
    if len(inputs) != 2 or not _depends_on_batch(*inputs) or inputs[0].dtype.is_integer:
        return None
    if any(x.shape.rank is None for x in inputs):
        return None
    return stable_ops.einsum(equation, *inputs)


def _shape(op: tf.Operation, inputs: Sequence[tf.Tensor]) -> tf.Tensor | None:
    (x,) = inputs
    return stable_ops.shape(x, op.outputs[0].dtype) if _depends_on_batch(x) else None


def _convolution(op: tf.Operation, inputs: Sequence[tf.Tensor]) -> tf.Tensor | None:
    x, kernel = inputs
    if not _depends_on_batch(x):
        return None
    length = math.prod(kernel.shape[:-1])
    if length > stable_ops.longest_sum(x.dtype) or x.dtype == tf.float64:
        return stable_ops.in_tiles(lambda tile: copy(op, [tile, kernel]).outputs[0], x)
    if op.type != "Conv2D" or op.get_attr("padding") != b"SAME":
        return stable_ops.in_whole_steps(lambda rows: copy(op, [rows, kernel]).outputs[0], x)
    strides, dilations = op.get_attr("strides"), op.get_attr("dilations")
    padded = stable_ops.padded_as_same(x, kernel.shape[:2], strides[1:3], dilations[1:3])
    return stable_ops.in_whole_steps(
        lambda rows: tf.nn.conv2d(rows, kernel, strides, "VALID", dilations=dilations), padded
    )


def _transposed_convolution(op: tf.Operation, inputs: Sequence[tf.Tensor]) -> tf.Tensor | None:
    sizes, kernel, x = inputs
    if not _depends_on_batch(x):
        return None
    sizes = tf.concat([[stable_ops.TILE], sizes[1:]], 0)
    return stable_ops.in_tiles(lambda tile: copy(op, [sizes, kernel, tile]).outputs[0], x)


_REPLACEMENTS = {
    **dict.fromkeys(_FUNCTIONS_OF_A_NUMBER, _function),
    **dict.fromkeys(_FUNCTIONS_OF_TWO_NUMBERS, _function_of_two),
    **dict.fromkeys(("Sum", "Mean", "Prod", "EuclideanNorm"), _reduction),
    **dict.fromkeys(("BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"), _batch_matmul),
    **dict.fromkeys(("Conv2D", "Conv3D"), _convolution),
    **dict.fromkeys(("Conv2DBackpropInput", "Conv3DBackpropInputV2"), _transposed_convolution),
    "Einsum": _einsum,
    "LogSoftmax": _log_softmax,
    "MatMul": _matmul,
    "Shape": _shape,
    "Softmax": _softmax,
}
