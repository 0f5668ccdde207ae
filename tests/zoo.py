"""Small models: each of DEFECTS has one planted reason to score by the batch, CLEAN have none.

specimen = zoo.DEFECTS["max scaling"]()
directory = specimen.export(tmp_path)
"""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfnorm.layers import BatchNormalization, Dice

ROWS = 96
FEATURES = 6
X = tf.TensorSpec([None, FEATURES], tf.float32, "x")


@dataclass(frozen=True)
class Specimen:
    """A model to export, examples for it, and what is wrong with it.

    Args:
        model: a Keras model, a module with a `serve` function, or a function that writes a SavedModel.
        examples: input name -> array.
        op_type: of the op to blame; None for a clean model.
        layer: the layer to blame, or the name scope; None where the op stands in none.
    """

    model: keras.Model | tf.Module | Callable[[str], None]
    examples: dict[str, np.ndarray]
    op_type: str | None = None
    layer: str | None = None

    def export(self, directory: str | Path) -> Path:
        """Write the model as a SavedModel with the signature `serving_default`."""
        if isinstance(self.model, keras.Model):
            self.model.export(str(directory), verbose=False)
        elif callable(self.model):
            self.model(str(directory))
        else:
            tf.saved_model.save(self.model, str(directory), signatures=self.model.serve)
        return Path(directory)


DEFECTS: dict[str, Callable[[], Specimen]] = {}
CLEAN: dict[str, Callable[[], Specimen]] = {}


@functools.cache
def exported(name: str) -> tuple[Specimen, Path]:
    """A specimen and its SavedModel, exported once for all processes that run the tests."""
    keras.utils.set_random_seed(0)
    specimen = (DEFECTS | CLEAN)[name]()
    exports = Path(os.environ["TESTS_EXPORTS"])
    directory = exports / name.replace(" ", "-")
    if not directory.exists():
        own = Path(tempfile.mkdtemp(dir=exports)) / "export"
        specimen.export(own)
        # Another process may have been as fast: a folder that is not empty is not replaced.
        with contextlib.suppress(OSError):
            own.rename(directory)
    return specimen, directory


def _features(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(1.0, 1.0, (ROWS, *shape)).astype(np.float32)


def _ids(*shape: int, below: int = 20, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, below, (ROWS, *shape)).astype(np.int64)


def _array(*shape: int) -> np.ndarray:
    return np.random.default_rng(2).normal(0.0, 0.5, shape).astype(np.float32)


def _weights(*shape: int) -> tf.Tensor:
    return tf.constant(_array(*shape))


def _specs(examples: dict[str, np.ndarray], free: tuple[str, ...] = ()) -> list[tf.TensorSpec]:
    """What a function takes that takes the examples; the lengths of `free` ones vary."""
    return [
        tf.TensorSpec(
            [None] * array.ndim if name in free else [None, *array.shape[1:]],
            tf.string if array.dtype == object else array.dtype,
            name,
        )
        for name, array in examples.items()
    ]


def _score(x: tf.Tensor) -> dict[str, tf.Tensor]:
    return {"score": tf.sigmoid(tf.linalg.matvec(x, _weights(x.shape[-1])))}


def _module(call: Callable, *specs: tf.TensorSpec, **variables: tf.Variable) -> tf.Module:
    module = tf.Module()
    for name, variable in variables.items():
        setattr(module, name, variable)
    module.serve = tf.function(call, input_signature=specs, autograph=False)
    return module


def _functional(layers: Callable, dtype: str = "float32", **shapes: tuple) -> keras.Model:
    inputs = {name: keras.Input(shape, name=name, dtype=dtype) for name, shape in shapes.items()}
    return keras.Model(inputs, layers(*inputs.values()), name="ranker")


def defect(name: str, op_type: str, layer: str | None = None):
    """Plant a defect: the decorated function takes hidden features `[B, 6]` and spoils them."""

    def add(spoil: Callable) -> Callable:
        def build() -> Specimen:
            kernel = tf.Variable(_weights(FEATURES, FEATURES))

            def serve(x):
                return _score(spoil(tf.nn.relu(x @ kernel)))

            module = _module(serve, X, kernel=kernel)
            return Specimen(module, {"x": _features(FEATURES)}, op_type, layer)

        DEFECTS[name] = build
        return spoil

    return add


def specimen(into: dict[str, Callable[[], Specimen]], name: str):
    """Add a builder under its name."""

    def add(build: Callable) -> Callable:
        into[name] = build
        return build

    return add


@defect("mean-centring", "Mean", "center")
def _(h):
    with tf.name_scope("center"):
        return h - tf.reduce_mean(h, axis=0)


@defect("a term of 1e-5", "Mean", "center")
def _(h):
    with tf.name_scope("center"):
        return h + 1e-5 * tf.reduce_mean(h, axis=0)


@defect("softmax over the batch", "Softmax")
def _(h):
    return h * tf.nn.softmax(h, axis=0)


@defect("max scaling", "Max")
def _(h):
    return h / (1.0 + tf.reduce_max(h, axis=0, keepdims=True))


@defect("cumulative sum", "Cumsum")
def _(h):
    return h + 0.01 * tf.cumsum(h, axis=0)


@defect("sorted rows", "TopKV2", "sort")
def _(h):
    return tf.sort(h, axis=0)


@defect("rank in the batch", "TopKV2", "argsort")
def _(h):
    order = tf.argsort(h[:, 0], stable=True)
    rank = tf.cast(tf.argsort(order), tf.float32)
    return h + 0.01 * rank[:, None]


@defect("top-k of the batch", "TopKV2")
def _(h):
    best = tf.math.top_k(tf.reduce_sum(h, axis=1), k=5).values
    return h * tf.cast(tf.reduce_sum(h, axis=1, keepdims=True) >= best[-1], tf.float32)


@defect("rolled rows", "Roll")
def _(h):
    return h + 0.1 * tf.roll(h, shift=1, axis=0)


@defect("reversed rows", "ReverseV2")
def _(h):
    return h + 0.1 * tf.reverse(h, axis=[0])


@defect("the first row as a reference", "StridedSlice")
def _(h):
    return h - h[0]


@defect("l2 norm over the batch", "Sum", "l2_normalize")
def _(h):
    return tf.nn.l2_normalize(h, axis=0)


@defect("attention across examples", "MatMul")
def _(h):
    return tf.nn.softmax(tf.matmul(h, h, transpose_b=True)) @ h


@defect("similarities by einsum", "Einsum", "einsum")
def _(h):
    return h + tf.reduce_mean(tf.einsum("bf,cf->bc", h, h), axis=1, keepdims=True)


@defect("convolution over the rows", "Conv2D")
def _(h):
    return tf.nn.conv1d(h[None], tf.ones([3, FEATURES, FEATURES]), 1, "SAME")[0]


@defect("fused normalization in training", "FusedBatchNormV3")
def _(h):
    ones, zeros = tf.ones([FEATURES]), tf.zeros([FEATURES])
    image = h[:, None, None, :]
    return tf.compat.v1.nn.fused_batch_norm(image, ones, zeros, is_training=True)[0][:, 0, 0]


@defect("batch size as a feature", "AddV2")
def _(h):
    return h + 0.001 * tf.cast(tf.shape(h)[0], tf.float32)


@defect("batch size as a threshold", "StatelessIf")
def _(h):
    return tf.cond(tf.shape(h)[0] > 16, lambda: h * 1.01, lambda: h + 0.0)


@defect("batch size in a branch", "Mul")
def _(h):
    size = tf.cast(tf.shape(h)[0], tf.float32)
    return tf.cond(tf.size(h) > 0, lambda: h * size, lambda: h)


@defect("rows counted by a sum", "Sum")
def _(h):
    return h / tf.reduce_sum(tf.ones_like(h[:, :1]), axis=0)


@defect("place in the batch", "Range")
def _(h):
    return h + 0.01 * tf.range(tf.cast(tf.shape(h)[0], tf.float32))[:, None]


@defect("mean in a branch", "Mean")
def _(h):
    return tf.cond(
        tf.size(h) > 0, lambda: h - tf.reduce_mean(h, axis=0, keepdims=True), lambda: h + 0.0
    )


@defect("mean in a loop", "Mean")
def _(h):
    def turn(i, y):
        return i + 1, tf.where(i < 1, tf.tanh(y), y - tf.reduce_mean(y, axis=0))

    return tf.while_loop(lambda i, y: i < 3, turn, [0, h])[1]


@defect("scan over the rows", "StatelessWhile")
def _(h):
    return tf.scan(lambda state, row: 0.5 * state + row, h, initializer=tf.zeros([FEATURES]))


@defect("loop until the whole batch is done", "Any")
def _(h):
    return tf.while_loop(lambda y: tf.reduce_any(y > 0.5), lambda y: (y * 0.9,), [h])[0]


@defect("random noise", "RandomStandardNormal", "random_normal")
def _(h):
    return h + 0.01 * tf.random.normal(tf.shape(h))


@defect("rows shifted by a pad", "Pad")
def _(h):
    return h + 0.1 * tf.pad(h, [[1, 0], [0, 0]])[:-1]


@defect("rows shifted by a row before them", "ConcatV2")
def _(h):
    return h + 0.1 * tf.concat([tf.zeros([1, FEATURES]), h], axis=0)[:-1]


@defect("the last row by gather", "GatherV2")
def _(h):
    return h - tf.gather(h, tf.shape(h)[0] - 1)


@defect("l2 loss as a scale", "L2Loss")
def _(h):
    return h / (1.0 + tf.nn.l2_loss(h))


@defect("clipping by the global norm", "L2Loss", "global_norm")
def _(h):
    return tf.clip_by_global_norm([h], 1.0)[0][0]


@defect("mean over a computed axis", "Mean")
def _(h):
    return h - tf.reduce_mean(h, axis=tf.range(tf.rank(h) - 1))


@defect("mean of a segment", "UnsortedSegmentSum", "UnsortedSegmentMean")
def _(h):
    segments = tf.cast(h[:, 0] > 0.5, tf.int32)
    return h - tf.gather(tf.math.unsorted_segment_mean(h, segments, 2), segments)


@defect("rows scattered into one slot", "ScatterNd")
def _(h):
    slots = tf.zeros([tf.shape(h)[0], 1], tf.int32)
    return h + 0.1 * tf.scatter_nd(slots, h, [1, FEATURES])


@defect("rows counted by a mask", "Where", "boolean_mask")
def _(h):
    positive = tf.boolean_mask(h[:, 0], h[:, 0] > 0.5)
    return h / tf.cast(1 + tf.shape(positive)[0], tf.float32)


@specimen(DEFECTS, "squeezed without an axis")
def _() -> Specimen:
    kernel = _weights(FEATURES, 1)
    module = _module(lambda x: {"score": tf.squeeze(tf.sigmoid(x @ kernel))}, X)
    return Specimen(module, {"x": _features(FEATURES)}, "Squeeze")


@specimen(DEFECTS, "state that a scatter changes")
def _() -> Specimen:
    seen = tf.Variable(tf.ones([20]))

    def serve(x, item):
        before = tf.gather(seen, item)
        seen.scatter_update(tf.IndexedSlices(tf.tanh(before + x[:, 0]), item))
        return _score(x * before[:, None])

    module = _module(serve, X, tf.TensorSpec([None], tf.int64, "item"), seen=seen)
    examples = {"x": _features(FEATURES), "item": _ids()}
    return Specimen(module, examples, "ResourceScatterUpdate")


@specimen(DEFECTS, "mean behind a string lookup")
def _() -> Specimen:
    def layers(word):
        ids = keras.layers.StringLookup(vocabulary=list("abcde"))(word)
        h = keras.layers.Embedding(7, 4)(ids)
        return keras.layers.Dense(1)(Centred(name="center")(h))

    words = np.random.default_rng(5).choice(list("abcdefgh"), ROWS).astype(object)
    model = _functional(layers, "string", word=())
    return Specimen(model, {"word": words}, "Mean", "center")


@specimen(DEFECTS, "examples that the graph pads")
def _() -> Specimen:
    def serve(examples):
        features = {"history": tf.io.RaggedFeature(tf.int64)}
        history = tf.io.parse_example(examples, features)["history"].to_tensor(0)
        return _score(tf.reduce_sum(tf.gather(_weights(20, 4), history), axis=1))

    random = np.random.default_rng(8)
    histories = [random.integers(1, 20, random.integers(1, 6)).tolist() for _ in range(ROWS)]
    module = _module(serve, tf.TensorSpec([None], tf.string, "examples"))
    examples = np.array([_example(history=history) for history in histories], object)
    return Specimen(module, {"examples": examples}, "Sum")


@specimen(DEFECTS, "mean over all steps behind a masked transformer")
def _() -> Specimen:
    model = _transformer(lambda h, there: keras.ops.mean(h * there, axis=1))
    return Specimen(model, {"history": _histories()}, "Mean", "ranker")


@specimen(DEFECTS, "second attention without a mask")
def _() -> Specimen:
    def serve(x):
        mask = tf.reduce_any(x != 0, axis=-1)
        with tf.name_scope("first"):
            h = x + _attended(x, mask)
        with tf.name_scope("second"):
            h = h + _attended(h, tf.ones_like(mask))
        return _score(tf.reduce_sum(h * tf.cast(mask, tf.float32)[..., None], axis=1))

    steps = (_features(7, 3) - 1.0) * (_histories() > 0)[..., None]
    module = _module(serve, tf.TensorSpec([None, None, 3], tf.float32, "x"))
    return Specimen(module, {"x": steps.astype(np.float32)}, "Softmax", "second")


@specimen(DEFECTS, "how often an id is in the batch")
def _() -> Specimen:
    def serve(x, item):
        _, place, counts = tf.unique_with_counts(item)
        return _score(x * tf.cast(tf.gather(counts, place), tf.float32)[:, None])

    module = _module(serve, X, tf.TensorSpec([None], tf.int64, "item"))
    return Specimen(module, {"x": _features(FEATURES), "item": _ids()}, "UniqueWithCounts")


@specimen(DEFECTS, "how many ids are in the batch")
def _() -> Specimen:
    def serve(x, item):
        return _score(x / tf.cast(tf.size(tf.unique(item).y), tf.float32))

    module = _module(serve, X, tf.TensorSpec([None], tf.int64, "item"))
    return Specimen(module, {"x": _features(FEATURES), "item": _ids()}, "Unique")


@specimen(DEFECTS, "hidden counter")
def _() -> Specimen:
    calls = tf.Variable(0.0)
    module = _module(lambda x: _score(x + 0.01 * calls.assign_add(1.0)), X, calls=calls)
    return Specimen(module, {"x": _features(FEATURES)}, "AssignAddVariableOp")


@specimen(DEFECTS, "state of the last call")
def _() -> Specimen:
    last = tf.Variable(tf.zeros([FEATURES]))

    def serve(x):
        before = last.read_value()
        last.assign(0.5 * before + x[0])
        return _score(x + before)

    return Specimen(_module(serve, X, last=last), {"x": _features(FEATURES)}, "AssignVariableOp")


@specimen(DEFECTS, "Dice with the batch's statistics")
def _() -> Specimen:
    def layers(x):
        h = keras.layers.Dense(8, activation="relu", name="hidden")(x)
        h = BatchDice(name="dice")(h)
        return keras.layers.Dense(1, name="score")(h)

    return Specimen(_functional(layers, x=(FEATURES,)), {"x": _features(FEATURES)}, "Mean", "dice")


@specimen(DEFECTS, "Keras BatchNormalization in training")
def _() -> Specimen:
    def layers(x):
        h = keras.layers.Dense(8, name="hidden")(x)
        h = keras.layers.BatchNormalization(name="normalized")(h, training=True)
        return keras.layers.Dense(1, name="score")(h)

    model = _functional(layers, x=(FEATURES,))
    return Specimen(model, {"x": _features(FEATURES)}, "Mean", "normalized")


@specimen(DEFECTS, "tfnorm BatchNormalization in training")
def _() -> Specimen:
    def layers(x):
        h = BatchNormalization(name="normalized")(x, training=True)
        return keras.layers.Dense(1, name="score")(h)

    model = _functional(layers, x=(FEATURES,))
    return Specimen(model, {"x": _features(FEATURES)}, "Sum", "normalized")


@specimen(DEFECTS, "dropout left on")
def _() -> Specimen:
    def layers(x):
        h = keras.layers.Dropout(0.5, seed=1, name="dropout")(x, training=True)
        return keras.layers.Dense(1, name="score")(h)

    model = _functional(layers, x=(FEATURES,))
    return Specimen(model, {"x": _features(FEATURES)}, "StatelessRandomUniformV2", "dropout")


@specimen(DEFECTS, "GRU that reads the padding")
def _() -> Specimen:
    model = _functional(
        lambda x: keras.layers.Dense(1, name="score")(keras.layers.GRU(4, name="gru")(x)),
        x=(None, 3),
    )
    return Specimen(model, {"x": _features(5, 3)}, "While", "gru")


@specimen(DEFECTS, "mean over padded steps")
def _() -> Specimen:
    def serve(history):
        return _score(tf.reduce_mean(tf.gather(_weights(20, 4), history), axis=1))

    module = _module(serve, tf.TensorSpec([None, None], tf.int64, "history"))
    return Specimen(module, {"history": _ids(7)}, "Mean")


def _example(**features: list) -> bytes:
    """A serialized tf.Example of integers."""
    feature = {
        name: tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        for name, values in features.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def _histories(steps: int = 7) -> np.ndarray:
    """Ids from 1 on, of one to all steps, then zeros."""
    lengths = np.arange(ROWS)[:, None] % steps + 1
    return (_ids(steps, below=19) + 1) * (np.arange(steps) < lengths)


def _attended(x: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Each step's attention to those of the mask."""
    scores = tf.where(mask[:, None, :], 0.3 * tf.matmul(x, x, transpose_b=True), -1e9)
    return tf.matmul(tf.nn.softmax(scores), x)


def _transformer(pool: Callable) -> keras.Model:
    """A transformer of two blocks over ids, of which 0 is padding; `pool` takes its steps and their mask."""

    def layers(history):
        ops = keras.ops
        there = ops.not_equal(history, 0)
        both = ops.logical_and(there[:, None, :], there[:, :, None])
        h = keras.layers.Embedding(20, 8)(history)
        for _ in range(2):
            # Given as an argument: a mask that goes with the steps is lost behind the first block.
            h = h + keras.layers.MultiHeadAttention(2, 4)(h, h, attention_mask=both)
            h = keras.layers.LayerNormalization()(h)
            h = h + keras.layers.Dense(8)(keras.layers.Dense(16, activation="relu")(h))
        return keras.layers.Dense(1)(pool(h, ops.cast(there, "float32")[:, :, None]))

    return _functional(layers, "int64", history=(None,))


@keras.saving.register_keras_serializable(package="zoo")
class Centred(keras.layers.Layer):
    """Takes the mean of the batch off."""

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return x - tf.reduce_mean(x, axis=0)


@keras.saving.register_keras_serializable(package="zoo")
class BatchDice(keras.layers.Layer):
    """Dice as the DIEN authors' code has it: it normalizes with the batch's own statistics."""

    def build(self, shape) -> None:
        self.alpha = self.add_weight(shape=(shape[-1],), name="alpha", initializer="zeros")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        mean = tf.reduce_mean(x, axis=0)
        deviation = tf.sqrt(tf.reduce_mean(tf.square(x - mean), axis=0) + 1e-9)
        p = tf.sigmoid((x - mean) / deviation)
        return p * x + (1.0 - p) * self.alpha * x


@specimen(CLEAN, "perceptron")
def _() -> Specimen:
    def layers(x):
        h = keras.layers.Dense(8, activation="relu")(x)
        return keras.layers.Dense(1, activation="sigmoid")(h)

    return Specimen(_functional(layers, x=(FEATURES,)), {"x": _features(FEATURES)})


@specimen(CLEAN, "normalization layers")
def _() -> Specimen:
    def layers(x):
        h = keras.layers.BatchNormalization()(x)
        h = keras.layers.LayerNormalization()(h)
        h = keras.layers.GroupNormalization(2)(h)
        h = keras.layers.UnitNormalization()(h)
        return keras.layers.Dense(1)(h)

    return Specimen(_functional(layers, x=(FEATURES,)), {"x": _features(FEATURES)})


@specimen(CLEAN, "tfnorm layers")
def _() -> Specimen:
    def layers(x):
        return keras.layers.Dense(1)(Dice()(BatchNormalization()(x)))

    return Specimen(_functional(layers, x=(FEATURES,)), {"x": _features(FEATURES)})


@specimen(CLEAN, "attention")
def _() -> Specimen:
    def layers(x):
        h = keras.layers.MultiHeadAttention(2, 4)(x, x)
        return keras.layers.Dense(1)(keras.layers.GlobalAveragePooling1D()(h))

    return Specimen(_functional(layers, x=(5, 4)), {"x": _features(5, 4)})


@specimen(CLEAN, "target attention over a padded history")
def _() -> Specimen:
    def layers(history, target):
        embed = keras.layers.Embedding(20, 4)
        items, query = embed(history), embed(target)
        weights = keras.layers.Dot(axes=(2, 1))([items, query])
        mask = keras.ops.not_equal(history, 0)
        weights = keras.ops.softmax(keras.ops.where(mask, weights, -1e9), axis=-1)
        pooled = keras.layers.Dot(axes=(1, 1))([weights, items])
        return keras.layers.Dense(1)(keras.layers.Concatenate()([pooled, query]))

    model = _functional(layers, "int64", history=(None,), target=())
    history = np.sort(_ids(7), axis=1)[:, ::-1].copy()
    return Specimen(model, {"history": history, "target": _ids(seed=3)})


@specimen(CLEAN, "masked GRU")
def _() -> Specimen:
    def layers(history):
        h = keras.layers.Embedding(20, 4, mask_zero=True)(history)
        return keras.layers.Dense(1)(keras.layers.GRU(4)(h))

    history = np.sort(_ids(7, below=19), axis=1)[:, ::-1] * (np.arange(7) < 5) + (np.arange(7) < 2)
    return Specimen(_functional(layers, "int64", history=(None,)), {"history": history})


@specimen(CLEAN, "bidirectional LSTM")
def _() -> Specimen:
    def layers(x):
        h = keras.layers.Bidirectional(keras.layers.LSTM(3, return_sequences=True))(x)
        return keras.layers.Dense(1)(keras.layers.GlobalMaxPooling1D()(h))

    return Specimen(_functional(layers, x=(4, 3)), {"x": _features(4, 3)})


@specimen(CLEAN, "convolutions")
def _() -> Specimen:
    def layers(x):
        h = keras.layers.Conv2D(4, 3, strides=2, activation="relu")(x)
        h = keras.layers.DepthwiseConv2D(3, padding="same")(keras.layers.BatchNormalization()(h))
        return keras.layers.Dense(1)(keras.layers.Flatten()(keras.layers.MaxPooling2D()(h)))

    return Specimen(_functional(layers, x=(12, 12, 3)), {"x": _features(12, 12, 3)})


@specimen(CLEAN, "a Keras application")
def _() -> Specimen:
    image = keras.Input((32, 32, 3), name="image")
    model = keras.applications.MobileNetV3Small(
        input_tensor=image, alpha=0.35, weights=None, classes=3, minimalistic=True
    )
    return Specimen(model, {"image": 100 * _features(32, 32, 3)})


@specimen(CLEAN, "float16")
def _() -> Specimen:
    def layers(x):
        policy = keras.dtype_policies.DTypePolicy("float16")
        h = keras.layers.Dense(64, activation="relu", dtype=policy)(x)
        h = keras.layers.LayerNormalization(dtype=policy)(h)
        h = keras.layers.Dense(64, activation="tanh", dtype=policy)(h)
        return keras.layers.Dense(1, dtype=policy)(h)

    return Specimen(_functional(layers, x=(FEATURES,)), {"x": _features(FEATURES)})


@specimen(CLEAN, "embeddings and a cross")
def _() -> Specimen:
    def layers(user, item):
        u = keras.layers.Embedding(20, 4)(user)
        v = keras.layers.Embedding(20, 4)(item)
        cross = keras.layers.Dot(axes=-1)([u, v])
        return keras.layers.Dense(1)(keras.layers.Concatenate()([u, v, cross]))

    model = _functional(layers, "int64", user=(), item=())
    return Specimen(model, {"user": _ids(), "item": _ids(seed=4)})


@specimen(CLEAN, "string lookup")
def _() -> Specimen:
    def layers(word):
        ids = keras.layers.StringLookup(vocabulary=list("abcde"), num_oov_indices=2)(word)
        return keras.layers.Dense(1)(keras.layers.Flatten()(keras.layers.Embedding(9, 4)(ids)))

    words = np.random.default_rng(5).choice(list("abcdefgh"), (ROWS, 2)).astype(object)
    return Specimen(_functional(layers, "string", word=(2,)), {"word": words})


@specimen(CLEAN, "tf.Example")
def _() -> Specimen:
    def serve(examples):
        parsed = tf.io.parse_example(
            examples,
            {
                "x": tf.io.FixedLenFeature([3], tf.float32),
                "history": tf.io.VarLenFeature(tf.int64),
                "tags": tf.io.RaggedFeature(tf.string),
            },
        )
        pooled = tf.nn.safe_embedding_lookup_sparse(_weights(20, 4), parsed["history"])
        lengths = tf.cast(tf.strings.length(parsed["tags"]), tf.float32)
        counted = tf.reduce_sum(lengths, axis=1)[:, tf.newaxis]
        return _score(tf.concat([parsed["x"], pooled, counted], axis=1))

    random = np.random.default_rng(6)

    def example() -> bytes:
        history = random.integers(0, 20, random.integers(0, 5)).tolist()
        tags = [b"x" * n for n in random.integers(0, 4, random.integers(0, 4))]
        feature = {
            "x": tf.train.Feature(float_list=tf.train.FloatList(value=random.normal(size=3))),
            "history": tf.train.Feature(int64_list=tf.train.Int64List(value=history)),
            "tags": tf.train.Feature(bytes_list=tf.train.BytesList(value=tags)),
        }
        return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()

    module = _module(serve, tf.TensorSpec([None], tf.string, "examples"))
    return Specimen(module, {"examples": np.array([example() for _ in range(ROWS)], object)})


@specimen(CLEAN, "ragged words")
def _() -> Specimen:
    def serve(text):
        words = tf.strings.split(text)
        ids = tf.strings.to_hash_bucket_fast(words, 20)
        embedded = tf.gather(_weights(20, 4), ids)
        return _score(tf.reduce_mean(embedded, axis=1) + tf.reduce_max(embedded, axis=1))

    random = np.random.default_rng(7)
    text = [" ".join(random.choice(list("abcdefgh"), random.integers(1, 6))) for _ in range(ROWS)]
    module = _module(serve, tf.TensorSpec([None], tf.string, "text"))
    return Specimen(module, {"text": np.array(text, object)})


@specimen(CLEAN, "control flow")
def _() -> Specimen:
    scale = tf.Variable(2.0)

    def serve(x):
        x = tf.cond(scale > 1.0, lambda: x * scale, lambda: x)
        x = tf.while_loop(lambda i, y: i < 4, lambda i, y: (i + 1, tf.tanh(y)), [0, x])[1]
        return _score(tf.map_fn(lambda row: tf.sort(row) - tf.reduce_mean(row), x))

    return Specimen(_module(serve, X, scale=scale), {"x": _features(FEATURES)})


@specimen(CLEAN, "sorts, scans and top-k of each row")
def _() -> Specimen:
    def serve(x):
        h = tf.concat([tf.sort(x, axis=1), tf.cumsum(x, axis=1), tf.reverse(x, [1])], axis=1)
        return _score(tf.math.top_k(h * tf.nn.softmax(h, axis=1), k=5).values)

    return Specimen(_module(serve, X), {"x": _features(FEATURES)})


@specimen(CLEAN, "folded and transposed batch axes")
def _() -> Specimen:
    def serve(x):
        batch = tf.shape(x)[0]
        steps = tf.transpose(x, [1, 0, 2])
        h = tf.reshape(tf.reshape(steps, [-1, 3]) @ _weights(3, 4), [5, batch, 4])
        heads = tf.concat(tf.split(tf.transpose(h, [1, 0, 2]), 2, axis=2), axis=0)
        h = tf.nn.softmax(tf.matmul(heads, heads, transpose_b=True)) @ heads
        h = tf.concat(tf.split(h, 2, axis=0), axis=2)
        rows = tf.stack([tf.range(batch), tf.zeros([batch], tf.int32)], axis=1)
        return _score(tf.gather_nd(h, rows) + tf.reduce_mean(h, axis=1))

    spec = tf.TensorSpec([None, 5, 3], tf.float32, "x")
    return Specimen(_module(serve, spec), {"x": _features(5, 3)})


@specimen(CLEAN, "ids made unique, then looked up")
def _() -> Specimen:
    def serve(item):
        distinct, place = tf.unique(item)
        return _score(tf.gather(tf.gather(_weights(20, 4), distinct), place))

    module = _module(serve, tf.TensorSpec([None], tf.int64, "item"))
    return Specimen(module, {"item": _ids()})


@specimen(CLEAN, "a counter that no score reads")
def _() -> Specimen:
    calls = tf.Variable(0)

    def serve(x):
        calls.assign_add(1)
        return _score(x)

    return Specimen(_module(serve, X, calls=calls), {"x": _features(FEATURES)})


@specimen(CLEAN, "DIN as DeepCTR builds it")
def _() -> Specimen:
    items, users = tf.Variable(_weights(20, 4)), tf.Variable(_weights(20, 4))
    hidden, out = tf.Variable(_weights(16, 8)), tf.Variable(_weights(8, 1))
    dense = tf.Variable(_weights(4 + 4 + 4 + 1, 6))

    def serve(user, item, hist_item, hist_length, price):
        query, keys = tf.gather(items, item), tf.gather(items, hist_item)
        queries = tf.tile(query[:, None], [1, tf.shape(keys)[1], 1])
        pairs = tf.concat([queries, keys, queries - keys, queries * keys], axis=-1)
        unit = tf.tensordot(pairs, hidden, axes=1)
        gate = tf.sigmoid(
            (unit - 0.1) * tf.math.rsqrt(1.3 + 1e-9)
        )  # Dice, by its moving statistics
        attention = tf.tensordot(gate * unit + (1.0 - gate) * 0.25 * unit, out, axes=1)
        mask = tf.sequence_mask(hist_length, tf.shape(keys)[1])[:, None, :]
        weights = tf.transpose(attention, [0, 2, 1])
        weights = tf.nn.softmax(tf.where(mask, weights, tf.fill(tf.shape(weights), -(2.0**32) + 1)))
        interest = tf.squeeze(tf.matmul(weights, keys), axis=1)
        features = tf.concat([tf.gather(users, user), interest, query, price[:, None]], axis=1)
        return _score(tf.nn.relu(features @ dense))

    history = _histories()
    examples = {
        "user": _ids(seed=9),
        "item": _ids(seed=10),
        "hist_item": history,
        "hist_length": (history > 0).sum(axis=1),
        "price": _features(seed=11),
    }
    module = _module(serve, *_specs(examples, free=("hist_item",)))
    module.weights = [items, users, hidden, out, dense]
    return Specimen(module, examples)


@specimen(CLEAN, "DeepFM as DeepCTR builds it")
def _() -> Specimen:
    linear = tf.Variable(_weights(3, 40, 1))
    factors = tf.Variable(_weights(3, 40, 4))
    deep = tf.Variable(_weights(3 * 4 + 2, 8))

    def serve(user, item, genres, dense):
        ids = [
            tf.strings.to_hash_bucket_fast(tf.as_string(user), 40),
            tf.strings.to_hash_bucket_fast(item, 40),
        ]
        words = tf.strings.to_hash_bucket_fast(genres, 39) + 1
        mask = tf.cast(tf.not_equal(genres, ""), tf.float32)[..., None]

        def embedded(tables):
            pooled = tf.reduce_sum(tf.gather(tables[2], words) * mask, axis=1)
            pooled /= tf.reduce_sum(mask, axis=1) + 1e-8
            return tf.stack([*(tf.gather(tables[i], ids[i]) for i in range(2)), pooled], axis=1)

        first = tf.reduce_sum(embedded(tf.unstack(linear)), axis=[1, 2])
        fields = embedded(tf.unstack(factors))
        square_of_sum = tf.square(tf.reduce_sum(fields, axis=1))
        sum_of_square = tf.reduce_sum(tf.square(fields), axis=1)
        second = 0.5 * tf.reduce_sum(square_of_sum - sum_of_square, axis=1)
        flat = tf.concat([tf.reshape(fields, [-1, 12]), dense], axis=1)
        third = tf.linalg.matvec(tf.nn.relu(flat @ deep), _weights(8))
        return {"score": tf.sigmoid(first + second + third)}

    random = np.random.default_rng(12)
    genres = random.choice(list("abcdef"), (ROWS, 4)).astype(object)
    genres[np.arange(4) >= np.arange(ROWS)[:, None] % 4 + 1] = ""
    examples = {
        "user": _ids(below=1000),
        "item": random.choice(["x", "y", "z"], ROWS).astype(object),
        "genres": genres,
        "dense": _features(2),
    }
    module = _module(serve, *_specs(examples, free=("genres",)))
    module.weights = [linear, factors, deep]
    return Specimen(module, examples)


@specimen(CLEAN, "a mixture of experts")
def _() -> Specimen:
    experts, gate = tf.Variable(_weights(3, FEATURES, FEATURES)), _weights(FEATURES, 3)

    def serve(x):
        chosen = tf.argmax(x @ gate, axis=1, output_type=tf.int32)
        rows = tf.dynamic_partition(x, chosen, 3)
        places = tf.dynamic_partition(tf.range(tf.shape(x)[0]), chosen, 3)
        done = [tf.tanh(part @ experts[number]) for number, part in enumerate(rows)]
        return _score(tf.ensure_shape(tf.dynamic_stitch(places, done), [None, FEATURES]))

    return Specimen(_module(serve, X, experts=experts), {"x": _features(FEATURES)})


@specimen(CLEAN, "a masked transformer")
def _() -> Specimen:
    model = _transformer(
        lambda h, there: keras.ops.sum(h * there, axis=1) / keras.ops.sum(there, axis=1)
    )
    return Specimen(model, {"history": _histories()})


@specimen(CLEAN, "several hundred inputs")
def _() -> Specimen:
    count = 100
    tables = tf.Variable(_weights(count, 30))

    def serve(*features):
        ids, numbers = features[:count], tf.stack(features[count:], axis=1)
        looked = tf.stack(
            [tf.gather(tables[i, : 5 + i % 25], x) for i, x in enumerate(ids)], axis=1
        )
        return _score(tf.tanh(looked * numbers))

    examples = {f"id{i}": _ids(below=5 + i % 25, seed=i) for i in range(count)}
    examples |= {f"x{i}": _features(seed=i) for i in range(count)}
    return Specimen(_module(serve, *_specs(examples), tables=tables), examples)


@specimen(CLEAN, "a TF 1 graph with Switch and Merge")
def _() -> Specimen:
    tf1, examples = tf.compat.v1, {"x": _features(FEATURES)}

    def write(directory: str) -> None:
        tf1.disable_control_flow_v2()
        try:
            with tf.Graph().as_default(), tf1.Session() as session:
                x = tf1.placeholder(tf.float32, [None, FEATURES], "x")
                training = tf1.placeholder_with_default(False, [], "is_training")
                kernel = tf1.get_variable(
                    "kernel", initializer=_array(FEATURES, FEATURES), use_resource=False
                )
                h = x @ kernel
                seen = examples["x"] @ _array(FEATURES, FEATURES)
                kept = tf.constant(seen.mean(axis=0)), tf.constant(seen.var(axis=0))
                mean, variance = tf1.cond(training, lambda: tf.nn.moments(h, [0]), lambda: kept)
                h = (h - mean) * tf.math.rsqrt(variance + 1e-3)
                h = tf1.cond(training, lambda: tf1.nn.dropout(h, rate=0.5), lambda: tf.identity(h))
                h = tf1.while_loop(
                    lambda i, y: i < 3, lambda i, y: (i + 1, tf.tanh(y)), [tf.constant(0), h]
                )[1]
                session.run(tf1.global_variables_initializer())
                score = tf.sigmoid(tf.reduce_sum(h, axis=1))
                tf1.saved_model.simple_save(session, directory, {"x": x}, {"score": score})
        finally:
            tf1.enable_control_flow_v2()

    return Specimen(write, examples)


@specimen(CLEAN, "moments of the batch that a constant leaves out")
def _() -> Specimen:
    def serve(x):
        training = tf.cast(tf.compat.v1.placeholder_with_default(0, []), tf.bool)
        mean, variance = tf.nn.moments(x, [0])
        mean = tf.where(training, mean, _weights(FEATURES))
        rate = 0.5 * tf.cast(training, tf.float32)
        variance = rate * variance + (1.0 - rate) * tf.square(_weights(FEATURES))
        h = (x - mean) * tf.math.rsqrt(variance + 1e-3)
        return _score(h * tf.cast(tf.random.uniform(tf.shape(h)) >= rate, tf.float32))

    return Specimen(_module(serve, X), {"x": _features(FEATURES)})


@specimen(CLEAN, "quantized to float8")
def _() -> Specimen:
    model = _functional(
        lambda x: keras.layers.Dense(1)(keras.layers.Dense(8, activation="relu")(x)), x=(FEATURES,)
    )
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dense):
            layer.quantize("float8")
    return Specimen(model, {"x": _features(FEATURES)})
