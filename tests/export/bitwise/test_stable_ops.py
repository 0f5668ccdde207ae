"""The values; that bits don't move is in test_bitwise.py."""

import numpy as np
import pytest
import tensorflow as tf

from tfnorm.export.bitwise import stable_ops

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def in_graph(function, *arrays):
    """With free sizes, as in an export."""
    specs = [tf.TensorSpec([None, *array.shape[1:]], array.dtype) for array in arrays]
    return tf.function(function, input_signature=specs, autograph=False)(*arrays).numpy()


@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (5, 7), (3, 8), (2, 3, 5), (4,), (2, 0)])
def test_elementwise_is_the_function(shape):
    x = normal(*shape)
    made = in_graph(lambda x: stable_ops.elementwise(tf.tanh, x), x)
    np.testing.assert_allclose(made, np.tanh(x.astype(np.float64)), rtol=1e-6)


@pytest.mark.parametrize("shape", [(4, 1), (3, 7), (2, 3, 5)])
def test_softmax_and_its_logarithm_are_those_of_the_formula(shape):
    x = 50 * normal(*shape)
    powers = np.exp(x.astype(np.float64) - x.max(-1, keepdims=True))
    wanted = powers / powers.sum(-1, keepdims=True)
    np.testing.assert_allclose(in_graph(stable_ops.softmax, x), wanted, rtol=1e-5, atol=1e-30)
    np.testing.assert_allclose(
        in_graph(stable_ops.log_softmax, x), np.log(wanted), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("shape", [(4, 1), (2, 33), (0, 3), (3, 0)])
def test_softmax_over_a_free_axis_is_the_softmax(shape):
    x = normal(*shape)
    spec = tf.TensorSpec([None, None])
    made = tf.function(stable_ops.softmax, input_signature=[spec], autograph=False)(x)
    np.testing.assert_allclose(made, tf.nn.softmax(x), rtol=1e-6)


@pytest.mark.parametrize("axes", [(1,), (2,), (1, 3), (2, 1)])
@pytest.mark.parametrize("keep_dims", [True, False])
def test_reduce_sums_over_any_axes(axes, keep_dims):
    x = normal(3, 4, 5, 6)
    made = in_graph(lambda x: stable_ops.reduce(tf.reduce_sum, x, axes, keep_dims), x)
    wanted = x.astype(np.float64).sum(axes, keepdims=keep_dims)
    np.testing.assert_allclose(made, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("inner", "columns"), [(3, 1), (96, 5), (97, 1), (250, 8), (1000, 3)])
@pytest.mark.parametrize("transpose", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_matmul_is_the_product(inner, columns, transpose, dtype):
    a, b = normal(5, inner).astype(dtype), normal(inner, columns).astype(dtype)
    other = b.T.copy() if transpose else b
    made = in_graph(lambda a: stable_ops.matmul(a, tf.constant(other), transpose_b=transpose), a)
    np.testing.assert_allclose(made, a.astype(np.float64) @ b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("written", ["in the op", "before it"])
def test_a_product_with_a_transposed_matrix_has_the_same_bits_for_any_rows(written, dtype):
    rng = np.random.default_rng(0)
    x, weights = (
        rng.normal(size=(40, 36)).astype(dtype),
        tf.Variable(rng.normal(size=(20, 36)), dtype=dtype),
    )

    @tf.function(input_signature=[tf.TensorSpec((None, 36), dtype)], autograph=False)
    def product(x):
        if written == "in the op":
            return stable_ops.matmul(x, weights, transpose_b=True)
        return stable_ops.matmul(x, tf.identity(tf.transpose(weights)))

    together = product(x).numpy()
    np.testing.assert_allclose(together, x @ weights.numpy().T, rtol=0, atol=2e-5)
    for rows in (2, 8, 12, 13, 24):
        assert product(x[-rows:]).numpy().tobytes() == together[-rows:].tobytes(), rows


def test_matmul_in_half_precision_rounds_once():
    a, b = normal(50, 2000).astype(np.float16), normal(2000, 3).astype(np.float16)
    made = in_graph(lambda a: stable_ops.matmul(a, tf.constant(b)), a)
    exact = a.astype(np.float64) @ b.astype(np.float64)
    np.testing.assert_allclose(made, exact, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("widths", [(36, 36, 36, 36), (90, 90), (1, 95, 1), (97, 3), (30, 200)])
def test_a_product_with_a_concatenation_takes_its_parts(widths):
    parts = [normal(4, 3, width) for width in widths]
    kernel = normal(sum(widths), 5)

    def product(*parts):
        joined = tf.reshape(tf.concat(parts, -1), [-1, sum(widths)])
        return stable_ops.matmul(joined, tf.constant(kernel))

    wanted = np.concatenate(parts, -1).reshape(12, -1).astype(np.float64) @ kernel
    np.testing.assert_allclose(in_graph(product, *parts), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("equation", "left", "right"),
    [
        ("nd,df->nf", (4, 200), (200, 3)),
        ("ntd,df->ntf", (4, 5, 200), (200, 1)),
        ("ntd,dhf->nthf", (4, 5, 7), (7, 2, 3)),
        ("nthf,hfd->ntd", (4, 5, 2, 60), (2, 60, 3)),
        ("...d,df->...f", (4, 5, 3), (3, 6)),
        ("df,nd->fn", (200, 3), (4, 200)),
        ("end,edf->enf", (2, 4, 100), (2, 100, 3)),
    ],
)
def test_einsum_with_weights_is_the_sum(equation, left, right):
    a, b = normal(*left), normal(*right)
    wanted = np.einsum(equation, a.astype(np.float64), b)
    specs = [tf.TensorSpec([None if size == 4 else size for size in x.shape]) for x in (a, b)]
    made = tf.function(
        lambda a, b: stable_ops.einsum(equation, a, b), input_signature=specs, autograph=False
    )(a, b)
    np.testing.assert_allclose(made, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("equation", "right"), [("nt,ntd->nd", (4, 5, 3)), ("nt,ndt->nd", (4, 3, 5))]
)
def test_einsum_of_a_vector_an_example_is_the_sum(equation, right):
    a, b = normal(4, 5), normal(*right)
    made = in_graph(lambda a, b: stable_ops.einsum(equation, a, b), a, b)
    np.testing.assert_allclose(made, np.einsum(equation, a, b), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("equation", "left", "right"),
    [
        ("nqd,nkd->nqk", (4, 5, 3), (4, 6, 3)),
        ("nd,nd->nd", (4, 3), (4, 3)),
        ("nd,ne->n", (4, 3), (4, 5)),
        ("ndd,df->nf", (4, 3, 3), (3, 2)),
    ],
)
def test_einsum_leaves_alone_what_is_no_product_with_weights(equation, left, right):
    made = []
    in_graph(
        lambda a, b: made.append(stable_ops.einsum(equation, a, b)) or a,
        normal(*left),
        normal(*right),
    )
    assert made == [None]


@pytest.mark.parametrize("steps", [1, 2, 5, 8])
@pytest.mark.parametrize(
    ("width", "stride", "dilation"), [(1, 2, 1), (4, 1, 1), (3, 3, 1), (3, 1, 2)]
)
def test_images_are_padded_as_convolutions_pad_them(steps, width, stride, dilation):
    x, kernel = normal(2, steps, 6, 3), normal(width, 2, 3, 4)
    options = {"strides": [stride, 1], "dilations": [dilation, 1]}
    made = in_graph(
        lambda x: tf.nn.conv2d(
            stable_ops.padded_as_same(x, [width, 2], **options), kernel, padding="VALID", **options
        ),
        x,
    )
    wanted = tf.nn.conv2d(x, kernel, padding="SAME", **options)
    np.testing.assert_allclose(made, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rows", [0, 1, 8, 13])
def test_tiles_are_put_together_in_order(rows):
    x = normal(rows, 3, 2)
    made = in_graph(lambda x: stable_ops.in_tiles(lambda tile: 2 * tile, x), x)
    np.testing.assert_array_equal(made, 2 * x)
