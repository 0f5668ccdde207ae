import keras
import numpy as np
import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.models.embedding import IdEmbedding
from tfnorm.training import LazyAdam

ROWS, WIDTH = 6, 3


def adam(w, gradients, *, rate=0.01, beta_1=0.9, beta_2=0.999, epsilon=1e-7, rows=None, l2=0.0):
    """Kingma and Ba's algorithm in float64, on the summed gradient; `rows`: those of each step."""
    w, m, v = np.float64(w), np.zeros(w.shape), np.zeros(w.shape)
    for t, g in enumerate(gradients, start=1):
        r = slice(None) if rows is None else rows[t - 1]
        g = g[r] + 2 * l2 * w[r]
        m[r] = beta_1 * m[r] + (1 - beta_1) * g
        v[r] = beta_2 * v[r] + (1 - beta_2) * g**2
        alpha = rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        w[r] -= alpha * m[r] / (np.sqrt(v[r]) + epsilon)
    return w


def dense(slices):
    total = np.zeros((ROWS, WIDTH))
    np.add.at(total, slices.indices.numpy(), np.float64(slices.values))
    return total


def make_slices(ids, rng):
    values = rng.normal(size=(len(ids), WIDTH)).astype(np.float32)
    return tf.IndexedSlices(tf.constant(values), tf.constant(ids, tf.int64), (ROWS, WIDTH))


def run(batches, **options):
    rng = np.random.default_rng(0)
    start = rng.normal(size=(ROWS, WIDTH)).astype(np.float32)
    table = keras.Variable(start)
    optimizer = LazyAdam(0.01, **options)
    slices = [make_slices(ids, rng) for ids in batches]
    for gradient in slices:
        optimizer.apply([gradient], [table])
    return start, table, [dense(s) for s in slices], optimizer


def test_rows_that_every_batch_has_are_updated_as_by_a_dense_adam_on_the_summed_gradient():
    start, table, gradients, _ = run(
        [[0, 1, 2, 3, 4, 5, 2, 2], [5, 4, 3, 2, 1, 0], [0, 0, *range(6)]]
    )
    np.testing.assert_allclose(table.numpy(), adam(start, gradients), rtol=1e-5, atol=1e-6)


def test_rows_that_a_batch_leaves_out_keep_their_weights_and_their_moments():
    batches = [[1, 4, 1], [4], [0, 4, 0, 0]]
    start, table, gradients, optimizer = run(batches)
    expected = adam(start, gradients, rows=[np.unique(ids) for ids in batches])
    np.testing.assert_allclose(table.numpy(), expected, rtol=1e-5, atol=1e-6)
    for row in (2, 3, 5):
        np.testing.assert_array_equal(table.numpy()[row], start[row])
        assert not optimizer._momentums[0].numpy()[row].any()


def test_repeated_ids_are_summed_before_they_are_squared():
    table = keras.Variable(tf.zeros([2, 1]))
    gradient = tf.IndexedSlices(tf.constant([[1.0], [2.0], [-4.0]]), tf.constant([1, 1, 1]), (2, 1))
    LazyAdam(0.1).apply([gradient], [table])
    np.testing.assert_allclose(table.numpy(), [[0.0], [0.1]], rtol=1e-5, atol=1e-6)


def test_l2_is_of_the_rows_of_the_batch_once_each():
    batches = [[1, 4, 1], [1]]
    start, table, gradients, _ = run(batches, embeddings_l2=0.3)
    expected = adam(start, gradients, rows=[np.unique(ids) for ids in batches], l2=0.3)
    np.testing.assert_allclose(table.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_other_variables_are_updated_as_by_keras():
    g = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
    ours, theirs = keras.Variable(np.ones((4, 2))), keras.Variable(np.ones((4, 2)))
    for variable, optimizer in ((ours, LazyAdam(0.02)), (theirs, keras.optimizers.Adam(0.02))):
        for step in (1.0, -2.0, 0.5):
            optimizer.apply([tf.constant(step * g)], [variable])
        for moment in ("_momentums", "_velocities"):
            (kept,) = getattr(optimizer, moment)
            assert kept.numpy().any()
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)


def make_model():
    inputs = keras.Input((3,), dtype="int32")
    rows = IdEmbedding(11, WIDTH, name="table")(inputs)
    return keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(rows)))


IDS = np.array([[1, 2, 2], [4, 2, 1]], np.int32)


@pytest.fixture
def compiled(eager):
    tf.config.run_functions_eagerly(False)


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_fit_moves_no_row_but_those_of_the_batch(compiled, jit_compile):
    model = make_model()
    model.compile(LazyAdam(0.1), "mse", jit_compile=jit_compile)
    before = model.get_layer("table").embeddings.numpy()
    model.fit(IDS, np.ones((2, 1)), epochs=2, verbose=0)
    moved = (model.get_layer("table").embeddings.numpy() != before).any(axis=1)
    assert np.flatnonzero(moved).tolist() == [1, 2, 4]


def test_a_table_is_never_read_whole(compiled):
    model = make_model()
    model.compile(LazyAdam(0.1), "mse", jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    step = tf.function(model.train_step).get_concrete_function(
        (tf.constant(IDS), tf.constant(np.ones((2, 1), np.float32)))
    )
    operations = step.graph.get_operations()
    assert "ResourceScatterSub" in {op.type for op in operations}
    table = tf.TensorShape((11, WIDTH))
    assert not [op for op in operations if any(output.shape == table for output in op.outputs)]


def test_a_compiled_model_is_loaded_with_it_and_goes_on(tmp_path):
    model = make_model()
    model.compile(LazyAdam(0.1, embeddings_l2=0.01), "mse", run_eagerly=True)
    model.fit(IDS, np.ones((2, 1)), verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    for m in (model, loaded):
        m.fit(IDS, np.ones((2, 1)), verbose=0)
    for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"amsgrad": True}, "amsgrad is True"), ({"embeddings_l2": -1.0}, "embeddings_l2 is -1.0")],
)
def test_what_it_does_not_do_is_refused(options, reason):
    with pytest.raises(InputError, match=reason):
        LazyAdam(**options)
