"""Ops that give a row the same bits however many rows there are, and wherever it stands among them.

There must be two rows or more: for a single one, TensorFlow takes other ways through a matrix product
and a sum. docs/bitwise.md tells what was measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import tensorflow as tf

# The functions of a packet of numbers and of a single number, which is for those left over at a
# tensor's end, round differently. Where the numbers come in eights, none is left over.
PACKET = 8
# A longer sum of products is cut into parts that depend on the rows and the threads. Eigen never cuts
# one of 12 packets, and a packet has 32 bytes in TensorFlow's releases.
LONGEST_SUM = 12 * 32
TILE = 24
# Eigen adds up four packets at a time, then what is left over.
STEPS = 4 * PACKET
# A product takes so many rows at a time, and those left over otherwise: Eigen's own, of float64, takes four,
# and oneDNN's, of float32, takes six where there is no AVX-512.
ROWS = {tf.float64: PACKET}
ROWS_OF_OTHERS = 12
# With a transposed matrix oneDNN takes another way for fewer than sixteen rows: it gets as many as these.
ROWS_WITH_TRANSPOSED = 2 * ROWS_OF_OTHERS


def elementwise(function: Callable[..., tf.Tensor], *inputs: tf.Tensor) -> tf.Tensor:
    """`function` of inputs of the same shape, element by element, with none of theirs left over."""
    more = PACKET - 1
    padding = [[0, 0]] * (inputs[0].shape.rank - 1) + [[0, more]]
    return function(*(tf.pad(x, padding) for x in inputs))[..., :-more]


def in_packets(shape: tf.TensorShape) -> bool:
    """Whether a tensor of this shape has whole packets of elements, whatever its free axes."""
    return int(math.prod(size for size in shape if size is not None)) % PACKET == 0


def softmax(x: tf.Tensor) -> tf.Tensor:
    """`tf.nn.softmax` over the last axis."""
    powers, total = _powers(x - tf.reduce_max(x, axis=-1, keepdims=True))
    return powers / total


def log_softmax(x: tf.Tensor) -> tf.Tensor:
    """`tf.nn.log_softmax` over the last axis."""
    shifted = x - tf.reduce_max(x, axis=-1, keepdims=True)
    _, total = _powers(shifted)
    return shifted - elementwise(tf.math.log, total)


def whole_steps(x: tf.Tensor, axes: Sequence[int], value: float = 0) -> tf.Tensor:
    """`x` with `value` at the end of free axes, so that a sum over them is that of longer padding."""
    padded = [
        [0, -int(axis in axes and size is None)] for axis, size in enumerate(x.shape.as_list())
    ]
    return tf.pad(x, tf.reshape(tf.shape(x), [-1, 1]) * padded % STEPS, constant_values=value)


def reduce(
    function: Callable[[tf.Tensor, list[int]], tf.Tensor],
    x: tf.Tensor,
    axes: Sequence[int],
    keep_dims: bool,
) -> tf.Tensor:
    """A sum or its like over axes that need not be the last, as `function` does over the last."""
    kept = [axis for axis in range(x.shape.rank) if axis not in axes]
    last = list(range(len(kept), x.shape.rank))
    y = function(tf.transpose(x, [*kept, *sorted(axes)]), last)
    for axis in sorted(axes) if keep_dims else []:
        y = tf.expand_dims(y, axis)
    return y


def longest_sum(dtype: tf.DType) -> int:
    """How many products of this dtype are summed in one way, whatever else there is to do."""
    return LONGEST_SUM // max(int(dtype.size), 4)


def matmul(
    a: tf.Tensor, b: tf.Tensor, *, transpose_a: bool = False, transpose_b: bool = False
) -> tf.Tensor:
    """`tf.matmul` of matrices: a sum of products of parts."""
    inner_a, inner_b = int(not transpose_a), int(transpose_b)
    length = a.shape[inner_a] or b.shape[inner_b] or 0
    dtype, rows = a.dtype, tf.shape(a)[1 - inner_a]
    if inner_a and length:
        a = tf.reshape(_unshaped(a, length), [-1, length])
    if dtype.size < 4 and length > longest_sum(dtype):
        # Parts that are rounded to half precision would not add up well.
        a, b = tf.cast(a, tf.float32), tf.cast(b, tf.float32)
    free_rows = a.shape[1 - inner_a] is None
    if free_rows:
        more = -rows % ROWS.get(dtype, ROWS_OF_OTHERS)
        if transpose_b or _is_transposed(b):
            more = tf.maximum(more, ROWS_WITH_TRANSPOSED - rows)
        a = _padded(a, 1 - inner_a, more)
    # Products with a vector have kernels of their own.
    a_vector, b_vector = a.shape[1 - inner_a] == 1, b.shape[1 - inner_b] == 1
    a = _padded(a, 1 - inner_a, 1) if a_vector else a
    b = _padded(b, 1 - inner_b, 1) if b_vector else b
    pieces = _pieces(a, inner_a, length)
    others = tf.split(b, [x.shape[inner_a] for x in pieces], inner_b) if len(pieces) > 1 else [b]
    products = [
        tf.matmul(x, y, transpose_a=transpose_a, transpose_b=transpose_b)
        for x, y in zip(pieces, others, strict=True)
    ]
    product = tf.add_n(products) if len(products) > 1 else products[0]
    product = product[:rows] if a_vector or free_rows else product
    product = product[:, :1] if b_vector else product
    return tf.cast(product, dtype)


def einsum(equation: str, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor | None:
    """`tf.einsum` of two tensors as products of matrices; None where TensorFlow's own is stable."""
    labels = _labels(equation, a, b)
    if labels is None:
        return None
    left, right, output = labels
    sizes = dict(zip(right, _sizes(b), strict=True))
    for label, size in zip(left, _sizes(a), strict=True):
        if not isinstance(sizes.get(label), int):
            sizes[label] = size
    shared = [label for label in left if label in right]
    each = [label for label in shared if label in output]
    inner = [label for label in shared if label not in output]
    rows = [label for label in left if label not in right]
    columns = [label for label in right if label not in left]
    if not inner:
        return None
    if not all(isinstance(sizes[label], int) for label in each):
        return _matvec(labels, each, inner, a, b)
    if not all(isinstance(sizes[label], int) for label in inner):
        return None
    count = math.prod(sizes[label] for label in each)
    summed = math.prod(sizes[label] for label in inner)
    a = tf.reshape(
        _ordered(a, left, [*each, *rows, *inner]),
        [count, _product(sizes[label] for label in rows), summed],
    )
    b = tf.reshape(
        _ordered(b, right, [*each, *inner, *columns]),
        [count, summed, _product(sizes[label] for label in columns)],
    )
    products = [matmul(a[i], b[i]) for i in range(count)]
    made = [*each, *rows, *columns]
    product = tf.reshape(tf.stack(products), [sizes[label] for label in made])
    return _ordered(product, made, output)


def _matvec(
    labels: tuple[str, str, str], each: list[str], inner: list[str], a: tf.Tensor, b: tf.Tensor
) -> tf.Tensor | None:
    """For each example the product of a vector and a matrix; None if it is anything else.

    The op of TensorFlow that oneDNN leaves alone: oneDNN is stable as well, but slow at few examples.
    """
    left, right, output = labels
    columns = [label for label in right if label not in left]
    if list(left) != [*each, *inner] or len(inner) != 1 or len(columns) != 1:
        return None
    transposed = list(right) == [*each, *columns, *inner]
    if list(output) != [*each, *columns] or (
        not transposed and list(right) != [*each, *inner, *columns]
    ):
        return None
    product = tf.raw_ops.BatchMatMulV3(x=tf.expand_dims(a, -2), y=b, Tout=a.dtype, adj_y=transposed)
    return tf.squeeze(product, -2)


def shape(x: tf.Tensor, dtype: tf.DType) -> tf.Tensor | None:
    """`tf.shape` of a concatenation, which need not be made for it if `matmul` takes its parts."""
    parts = _concatenated(x)
    if parts is None or x.shape[-1] <= longest_sum(x.dtype):
        return None
    return tf.concat([tf.shape(parts[0], dtype)[:-1], [x.shape[-1]]], 0)


def padded_as_same(
    x: tf.Tensor, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> tf.Tensor:
    """Images with the zeros that a convolution of padding "SAME" puts around them.

    oneDNN shares a row of an image among threads, and sums otherwise where a share ends in padding.
    """
    padding = [[0, 0]]
    for size, width, stride, dilation in zip(
        tf.unstack(tf.shape(x)[1:-1], len(kernel)), kernel, strides, dilations, strict=True
    ):
        # From the first of the last step to the end of its kernel.
        reach = -(-size // stride) * stride - stride + (width - 1) * dilation + 1
        more = tf.maximum(reach - size, 0)
        padding.append([more // 2, more - more // 2])
    # Not Pad, which oneDNN takes up into the convolution after it.
    return tf.raw_ops.PadV2(
        input=x, paddings=[*padding, [0, 0]], constant_values=tf.zeros([], x.dtype)
    )


def in_whole_steps(function: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor) -> tf.Tensor:
    """`function` of rows with as many more, of zeros, as a product takes at a time."""
    rows = tf.shape(x)[0]
    more = [[0, -rows % ROWS_OF_OTHERS], *[[0, 0]] * (x.shape.rank - 1)]
    # Not Pad, which oneDNN takes up into the convolution after it.
    padded = tf.raw_ops.PadV2(input=x, paddings=more, constant_values=tf.zeros([], x.dtype))
    return function(padded)[:rows]


def in_tiles(function: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor) -> tf.Tensor:
    """`function` of a tile of rows at a time, for what depends on how many there are."""
    rows = tf.shape(x)[0]
    # A tile at least: the shape of no tile at all is not known.
    missing = tf.where(rows == 0, TILE, -rows % TILE)
    padding = [[0, missing], *[[0, 0]] * (x.shape.rank - 1)]
    tiles = tf.reshape(tf.pad(x, padding), tf.concat([[-1, TILE], tf.shape(x)[1:]], 0))
    y = tf.map_fn(function, tiles, fn_output_signature=x.dtype)
    return tf.reshape(y, tf.concat([[-1], tf.shape(y)[2:]], 0))[:rows]


def _powers(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """exp(x), and the sums over the last axis, which is kept."""
    last = x.shape.rank - 1
    if x.shape[last] is not None:
        powers = tf.exp(x) if in_packets(x.shape) else elementwise(tf.exp, x)
        return powers, tf.reduce_sum(powers, axis=-1, keepdims=True)
    powers = tf.exp(whole_steps(x, [last], -math.inf))
    total = tf.reduce_sum(powers, axis=-1, keepdims=True)
    return tf.slice(powers, [0] * x.shape.rank, tf.shape(x)), total


def _padded(matrix: tf.Tensor, axis: int, more: int | tf.Tensor) -> tf.Tensor:
    """A matrix with so many more rows or columns of zeros."""
    return tf.pad(matrix, [[0, more], [0, 0]] if axis == 0 else [[0, 0], [0, more]])


def _pieces(matrix: tf.Tensor, axis: int, size: int) -> list[tf.Tensor]:
    """`matrix` in pieces along an axis of `size`, none above the longest sum."""
    longest = longest_sum(matrix.dtype)
    if size <= longest:
        return [matrix]
    parts = _concatenated(_unshaped(matrix, size)) if axis == 1 else None
    if parts is None or max(part.shape[-1] for part in parts) > longest:
        return list(tf.split(matrix, _sizes_of_pieces(size, longest), axis))
    # Put together anew, rather than cut.
    groups: list[list[tf.Tensor]] = []
    for part in parts:
        if groups and sum(other.shape[-1] for other in groups[-1]) + part.shape[-1] <= longest:
            groups[-1].append(part)
        else:
            groups.append([part])
    return [
        tf.reshape(tf.concat(group, -1), [-1, sum(part.shape[-1] for part in group)])
        for group in groups
    ]


def _sizes_of_pieces(size: int, longest: int) -> list[int]:
    count = -(-size // longest)
    piece = -(-size // count // PACKET) * PACKET
    return [min(piece, size - start) for start in range(0, size, piece)]


def _unshaped(matrix: tf.Tensor, columns: int) -> tf.Tensor:
    """What the rows of a matrix have been, perhaps along more axes than one."""
    while matrix.op.type in ("Identity", "Reshape", "Transpose"):
        source = matrix.op.inputs[0]
        if matrix.op.type == "Transpose" and not _keeps_order(matrix.op.inputs[1]):
            break
        if source.shape.rank is None or source.shape[-1:] != [columns]:
            break
        matrix = source
    return matrix


def _concatenated(x: tf.Tensor) -> list[tf.Tensor] | None:
    """The parts, if `x` is a concatenation along its last axis."""
    if x.op.type != "ConcatV2" or x.shape.rank is None:
        return None
    *parts, axis = x.op.inputs
    if tf.get_static_value(axis) not in (-1, x.shape.rank - 1):
        return None
    return parts if all(part.shape[-1] for part in parts) else None


def _is_transposed(matrix: tf.Tensor) -> bool:
    """Whether TensorFlow may take the transposition up into a product."""
    while matrix.op.type == "Identity":
        matrix = matrix.op.inputs[0]
    return bool(matrix.op.type == "Transpose")


def _keeps_order(permutation: tf.Tensor) -> bool:
    order = tf.get_static_value(permutation)
    return order is not None and list(order) == sorted(order)


def _labels(equation: str, a: tf.Tensor, b: tf.Tensor) -> tuple[str, str, str] | None:
    """The labels of each axis; None where a product of matrices is not all that is asked for."""
    inputs, output = equation.replace(" ", "").split("->")
    left, right = inputs.split(",")
    if "." in equation:
        if "." in left and "." in right:
            return None
        free = "".join(chr(ord("\u03b1") + i) for i in range(20))
        rank = a.shape.rank - len(left) + 3 if "." in left else b.shape.rank - len(right) + 3
        left, right, output = (part.replace("...", free[:rank]) for part in (left, right, output))
    distinct = all(len(set(part)) == len(part) for part in (left, right, output))
    summed_before = (set(left) ^ set(right)) - set(output)
    return (left, right, output) if distinct and not summed_before else None


def _sizes(tensor: tf.Tensor) -> list[int | tf.Tensor]:
    shape = tf.shape(tensor)
    return [shape[i] if size is None else size for i, size in enumerate(tensor.shape)]


def _product(sizes: Iterable[int | tf.Tensor]) -> int | tf.Tensor:
    product: int | tf.Tensor = 1
    for size in sizes:
        product = product * size
    return product


def _ordered(tensor: tf.Tensor, labels: Sequence[str], wanted: Sequence[str]) -> tf.Tensor:
    order = [labels.index(label) for label in wanted]
    return tensor if order == sorted(order) else tf.transpose(tensor, order)
