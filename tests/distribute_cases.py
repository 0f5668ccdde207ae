"""What the programs in tests/distribute run, and the tests there compare with NumPy."""

import keras
import numpy as np
import tensorflow as tf

from tfnorm.layers import BatchNormalization, Dice
from tfnorm.models import DIEN, IdEmbedding
from tfnorm.training import LazyAdam, loop

CHANNELS = 3
EPSILON = 0.01
MOMENTUM = 0.7
LEARNING_RATE = 0.01
REPLICAS = 3
# Rows of each replica: all alike, a short last one, an empty one, and only one with any.
STEPS = [(4, 4, 4), (5, 5, 2), (6, 3, 0), (0, 7, 0)]
WORKERS = 2
WORKER_STEPS = [(4, 4), (6, 1), (5, 0)]
# The last batch has 4 rows: 2 for each replica but the last, which gets none.
FIT_ROWS, FIT_BATCH = 34, 15
ARGUMENTS = {
    "bn": {},
    "bn synchronized": {"synchronized": True, "unbiased_variance": True},
    "dice": {},
    "dice synchronized": {"synchronized": True},
}


def make(case):
    Layer = Dice if case.startswith("dice") else BatchNormalization
    layer = Layer(momentum=MOMENTUM, epsilon=EPSILON, **ARGUMENTS[case])
    layer.build((None, CHANNELS))
    return layer


def data(seed, rows):
    """Rows that drift, so that shards differ."""
    rng = np.random.default_rng(seed)
    return (rng.normal(1, 2, (rows, CHANNELS)) + np.arange(rows)[:, None]).astype(np.float32)


def shards(step, sizes):
    """The global batch of a step, split among the replicas."""
    return np.split(data(step, sum(sizes)), np.cumsum(sizes)[:-1])


def far_shards(ratio, replicas):
    """Shards of unequal sizes whose mean is `ratio` standard deviations from zero."""
    z = np.random.default_rng(0).normal(size=(replicas * 500 + 100, CHANNELS))
    x = (0.37 * (ratio + z)).astype(np.float32)
    return np.split(x, [100 + 500 * n for n in range(1, replicas)])


def per_replica(strategy, values):
    return strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(values[context.replica_id_in_sync_group])
    )


def train(strategy, layer, steps):
    """Gradient descent on sum(sin(y)) in a custom loop; y and dx of this process's replicas.

    The optimizer is built beforehand. Each shard is cut out of a padded one, so that one traced
    function takes all sizes.
    """
    optimizer = keras.optimizers.SGD(LEARNING_RATE)
    with strategy.scope():
        optimizer.build(layer.trainable_variables)
    longest = max(max(sizes) for sizes in steps)

    def step(padded, rows):
        x = padded[:rows]
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
            loss = tf.reduce_sum(tf.sin(y))
        dx, *gradients = tape.gradient(
            loss, [x, *(variable.value for variable in layer.trainable_variables)]
        )
        optimizer.apply(gradients, layer.trainable_variables)
        return y, dx

    run = tf.function(lambda padded, rows: strategy.run(step, args=(padded, rows)))
    results = {}
    for n, sizes in enumerate(steps):
        padded = [np.resize(shard, (longest, CHANNELS)) for shard in shards(n, sizes)]
        y, dx = run(per_replica(strategy, padded), per_replica(strategy, sizes))
        for name, value in (("y", y), ("dx", dx)):
            parts = strategy.experimental_local_results(value)
            results[f"{name} {n}"] = np.concatenate([part.numpy() for part in parts])
    return results


def moving_variances(strategy, layer, batches):
    """The moving variance after each batch, with nothing kept of the one before."""
    layer.momentum = 0.0

    def call(x):
        return layer(x, training=True)

    run = tf.function(lambda x: strategy.run(call, args=(x,)))
    for parts in batches:
        run(per_replica(strategy, parts))
        yield layer.moving_variance.numpy()


def count_collectives(strategy, layer):
    """The CollectiveReduceV2 ops of a training call, for each replica of this process."""
    x = per_replica(strategy, [data(0, 4)] * strategy.num_replicas_in_sync)

    def call(x):
        return layer(x, training=True)

    graph = tf.function(strategy.run).get_concrete_function(call, args=(x,)).graph
    ops = [op.type for op in graph.get_operations()]
    return ops.count("CollectiveReduceV2") / len(strategy.experimental_local_results(x))


def refusals(strategy, layer):
    """What calls of the layer raise from where replicas can't meet: where, which error, its message."""

    def called(x):
        return layer(x, training=True)

    inside = {
        "cond": lambda x: tf.cond(tf.size(x) > 0, lambda: called(x), lambda: x),
        "map_fn": lambda x: tf.map_fn(called, x[tf.newaxis]),
        "function": tf.function(called),
    }
    x = per_replica(strategy, [data(0, 4)] * strategy.num_replicas_in_sync)
    for name, call in inside.items():
        plain = tf.autograph.experimental.do_not_convert(call)
        try:
            tf.function(strategy.run, autograph=False)(plain, args=(x,))
        except ValueError as error:
            yield name, type(error).__name__, str(error)


def train_dien(strategy, by_loop):
    """Two epochs of a DIEN that has no statistics of a batch; the history and the weights.

    Histories differ in length from replica to replica, and examples in weight.

    Args:
        strategy: what it is trained under.
        by_loop: whether by the loop for workers, in batches that replicas can't share evenly, or by `fit`.
    """
    rng = np.random.default_rng(0)
    there = np.arange(3) < np.resize([3, 0, 2, 3, 1, 1, 0, 2, 0], 16)[:, None]
    ids = {
        "item": rng.integers(1, 30, 16),
        "category": rng.integers(1, 7, 16),
        "history_items": rng.integers(1, 30, (16, 3)) * there,
        "history_categories": rng.integers(1, 7, (16, 3)) * there,
        "negative_items": rng.integers(1, 30, (16, 3)) * there,
        "negative_categories": rng.integers(1, 7, (16, 3)) * there,
    }
    features = {name: column.astype(np.int32) for name, column in ids.items()}
    labels = rng.integers(2, size=16).astype(np.float32)
    weights = np.linspace(0.5, 2, 16, dtype=np.float32)
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = DIEN(30, 7, 3, units=(5,), activation="prelu", batch_normalization=False)
        model.compile(keras.optimizers.SGD(0.5), "binary_crossentropy")
        # `fit` traces its step twice if that makes the optimizer's variables.
        model.optimizer.build(model.trainable_variables)
        if by_loop:
            examples = tf.data.Dataset.from_tensor_slices((features, labels, weights))
            sizes = [7, 7, 2]
            options = {"sizes": sizes, "first": 0, "epochs": 2, "positive_weight": 3.0}
            history = loop.fit(model, examples.batch(7), callbacks=(), **options)
    if not by_loop:
        examples = tf.data.Dataset.from_tensor_slices((features, labels[:, None], weights))
        history = model.fit(examples.batch(8), epochs=2, verbose=0).history
    return history, [weight.numpy() for weight in model.weights]


def train_lazily(strategy):
    """The weights after steps of LazyAdam: of a table, of which a batch has a few rows, and of others."""
    keras.utils.set_random_seed(0)
    with strategy.scope():
        ids = keras.Input((3,), dtype="int32")
        rows = keras.layers.Flatten()(IdEmbedding(9, 2)(ids))
        model = keras.Model(ids, keras.layers.Dense(1)(rows))
        model.compile(LazyAdam(0.01), "mse")
    ids = np.arange(1, 25, dtype=np.int32).reshape(8, 3) % 7
    examples = tf.data.Dataset.from_tensor_slices((ids, np.arange(8.0)[:, np.newaxis]))
    model.fit(examples.batch(4), epochs=2, verbose=0)
    return [weight.numpy() for weight in model.weights]
