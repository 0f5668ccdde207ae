import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from export import score_in_batches
from export.randomized import give_weights
from keras import layers

from tfnorm import verify
from tfnorm.errors import InputError
from tfnorm.export import export_saved_model
from tfnorm.layers import BatchNormalization, Dice
from tfnorm.models import DIN
from tfnorm.session import SavedModel

RNG = np.random.default_rng(0)


def sequential(shape, *stack):
    return keras.Sequential([keras.Input(shape, name="x"), *stack])


def attention():
    x = inputs = keras.Input((5, 100), name="x")
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 50)(x, x))
    return keras.Model(inputs, layers.Dense(3, "softmax")(layers.GlobalAveragePooling1D()(x)))


def embeddings():
    ids = keras.Input((None,), name="ids", dtype="int32")
    tag = keras.Input((), name="tag", dtype="string")
    x = layers.Concatenate()(
        [
            layers.GlobalAveragePooling1D()(layers.Embedding(10, 18, mask_zero=True)(ids)),
            layers.Embedding(4, 7)(layers.StringLookup(vocabulary=["a", "b"])(tag)),
        ]
    )
    outputs = {"click": layers.Dense(1, "sigmoid")(x), "kind": layers.Dense(3, "softmax")(x)}
    return keras.Model([ids, tag], outputs)


MODELS = {
    "Dense": lambda: sequential(
        (18,), layers.Dense(9, "silu"), layers.Dense(3, "tanh"), layers.Dense(1, "sigmoid")
    ),
    "wide Dense": lambda: sequential((700,), layers.Dense(301, "gelu"), layers.Dense(1)),
    "Conv1D": lambda: sequential(
        (12, 30),
        layers.Conv1D(20, 5, activation="elu"),
        layers.Conv1DTranspose(3, 2),
        layers.Flatten(),
        layers.Dense(1),
    ),
    # oneDNN shares its five steps among threads.
    "short Conv1D": lambda: sequential(
        (5, 5),
        layers.Conv1D(7, 4, padding="same"),
        layers.GlobalAveragePooling1D(),
        layers.Dense(1),
    ),
    "Conv2D": lambda: sequential(
        (6, 6, 3),
        layers.Conv2D(16, 3, activation="relu"),
        layers.Conv2D(5, 2),
        layers.GlobalAveragePooling2D(),
    ),
    "mean over time": lambda: sequential(
        (20, 36), layers.GlobalAveragePooling1D(), layers.Dense(1)
    ),
    "Embedding": embeddings,
    "attention": attention,
    "GRU": lambda: sequential((4, 7), layers.GRU(110, return_sequences=True), layers.GRU(3)),
    "BatchNormalization and Dice": lambda: sequential(
        (7,), BatchNormalization(), Dice(), layers.Dense(5), BatchNormalization(), Dice()
    ),
    "DIN": lambda: DIN(item_count=10, category_count=10),
}
IN_ALL_SETTINGS = ("wide Dense", "short Conv1D", "DIN")


def made(name):
    keras.utils.set_random_seed(0)
    model = MODELS[name]()
    give_weights([model], np.random.default_rng(1))
    return model


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The export of a model, with examples where there must be some, each once."""

    @functools.cache
    def exported(name, kind="bitwise"):
        model = made(name)
        inputs = {x.name: tf.TensorSpec(x.shape, x.dtype) for x in model.inputs}
        words = any(spec.dtype == tf.string for spec in inputs.values())
        examples = score_in_batches.features(inputs) if words else None
        folder = tmp_path_factory.mktemp("exports")
        return export_saved_model(model, folder, examples=examples, batch_invariance=kind).path

    return exported


@pytest.fixture(scope="module")
def exports(exported):
    """Model -> its export with "tolerance" and its export with "bitwise"."""
    return {
        name: {kind: exported(name, kind) for kind in ("tolerance", "bitwise")}
        for name in IN_ALL_SETTINGS
    }


@pytest.fixture(scope="module")
def differing_by_setting(exports):
    """(oneDNN, threads) -> the paths of the exports, with the batch sizes that give other bits for each."""
    paths = [path for kinds in exports.values() for path in kinds.values()]
    found = {}
    for onednn in (0, 1):
        done = subprocess.run(
            [sys.executable, score_in_batches.__file__, "1,16", *map(str, paths)],
            env=os.environ
            | {
                "TF_ENABLE_ONEDNN_OPTS": str(onednn),
                "PYTHONPATH": str(Path(verify.__file__).parents[2]),
            },
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        for threads, of_paths in json.loads(done.stdout.splitlines()[-1]).items():
            found[onednn, int(threads)] = of_paths
    return found


@pytest.fixture(scope="module", params=[(0, 1), (0, 16), (1, 1), (1, 16)], ids=str)
def differing(exports, differing_by_setting, request):
    """The exports, with the batch sizes that give other bits for each, in a process of such a setting."""
    found = differing_by_setting[request.param]
    return {
        name: {kind: found[str(path)] for kind, path in kinds.items()}
        for name, kinds in exports.items()
    }


def traced_ops(path):
    with SavedModel(path) as saved:
        definition = saved.graph.as_graph_def()
    nodes = list(definition.node)
    for function in definition.library.function:
        nodes += function.node_def
    return {node.op for node in nodes}


@pytest.mark.parametrize("name", MODELS)
def test_every_example_gets_the_same_bits_in_every_batch(exported, name):
    assert traced_ops(exported(name)) <= set(dir(tf.raw_ops))
    with SavedModel(exported(name)) as saved:
        assert score_in_batches.differing(saved) == []


@pytest.mark.parametrize("name", ["Embedding", "DIN"])
def test_longer_padding_leaves_every_bit(exported, name):
    with SavedModel(exported(name)) as saved:
        given = score_in_batches.features(saved.signature().inputs)
        histories = {key for key, array in given.items() if array.ndim > 1}
        for steps in (1, 5, 20, 40):
            short = given | {key: np.resize(1 + given[key] % 9, (24, steps)) for key in histories}
            expected = saved.run(short)
            for longer in (1, 3, 27, 60):
                padding = ((0, 0), (0, longer))
                scores = saved.run(short | {key: np.pad(short[key], padding) for key in histories})
                for output, wanted in expected.items():
                    np.testing.assert_array_equal(scores[output], wanted)


@pytest.mark.slow
def test_the_same_bits_with_any_threads_with_and_without_onednn(differing):
    assert {name: kinds["bitwise"] for name, kinds in differing.items()} == {
        name: [] for name in IN_ALL_SETTINGS
    }


@pytest.mark.slow
def test_a_plain_export_has_other_bits_in_other_batches(differing):
    assert differing["wide Dense"]["tolerance"] and differing["DIN"]["tolerance"]


def test_the_verifier_finds_no_bit_moved(exports):
    examples = {
        name: RNG.integers(1, 10, shape).astype(np.int32)
        for name, shape in {
            "item": (40,),
            "category": (40,),
            "history_items": (40, 6),
            "history_categories": (40, 6),
        }.items()
    }
    report = verify.batch_invariance(exports["DIN"]["bitwise"], examples, bitwise=True)
    assert report.passed
    assert report.max_ulp == 0
    assert verify.inspect_saved_model(exports["DIN"]["bitwise"]).passed


@pytest.mark.parametrize("name", ["Conv2D", "Embedding", "DIN"])
def test_an_empty_batch_gives_no_rows(exported, name):
    with SavedModel(exported(name)) as saved:
        one = score_in_batches.features(saved.signature().inputs)
        scores = saved.run({name: array[:1] for name, array in one.items()})
        none = saved.run({name: array[:0] for name, array in one.items()})
    for output, score in scores.items():
        assert none[output].shape == (0, *score.shape[1:])


def test_loops_and_branches_and_called_functions_are_gone_into(tmp_path):
    kernel = RNG.normal(size=(200, 200)).astype(np.float32) / 20

    @tf.function
    def step(x):
        return tf.sigmoid(x[:, :199] @ kernel[:199])

    def call(x):
        _, x = tf.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, step(x)), [0, x])
        return tf.cond(tf.size(x) > 0, lambda: tf.nn.softmax(x[:, :7]), lambda: x[:, :7])

    inputs = keras.Input((200,), name="x")
    model = keras.Model(inputs, layers.Lambda(call)(inputs))
    report = export_saved_model(model, tmp_path, batch_invariance="bitwise")
    x = RNG.normal(size=(5, 200)).astype(np.float32)
    with SavedModel(report.path) as saved:
        np.testing.assert_allclose(saved.run({"x": x})["score"], model(x), rtol=1e-5)
        assert score_in_batches.differing(saved) == []
    assert "Softmax" not in traced_ops(report.path)


def test_the_signature_for_records_gives_the_same_bits(tmp_path):
    report = export_saved_model(
        made("Dense"), tmp_path, batch_invariance="bitwise", signatures=["tf_example"]
    )
    records = [
        tf.train.Example(
            features=tf.train.Features(
                feature={"x": tf.train.Feature(float_list=tf.train.FloatList(value=row))}
            )
        ).SerializeToString()
        for row in RNG.normal(size=(9, 18))
    ]
    with SavedModel(report.path) as saved:

        def score(records):
            feeds = {"examples": np.array(records, object)}
            return saved.run(feeds, signature="tf_example")["score"]

        alone = np.concatenate([score([record]) for record in records])
        np.testing.assert_array_equal(score(records), alone)


def test_a_score_that_depends_on_the_batch_is_refused(tmp_path):
    inputs = keras.Input((3,), name="x")
    spoiled = layers.Lambda(lambda x: x - tf.reduce_mean(x, axis=0))(inputs)
    model = keras.Model(inputs, layers.Dense(1)(spoiled))
    with pytest.raises(InputError, match="the bits of 'score' differ between batches of 1 and of"):
        export_saved_model(model, tmp_path, batch_invariance="bitwise")
    assert list(tmp_path.iterdir()) == []


def mixed_by_word(words):
    """What a row's score would be without the others, and a mean over the batch of one word's rows."""
    marked = tf.cast(words == "b", tf.float32)
    return marked * tf.reduce_mean(marked, axis=0)


def mixing(shape=()):
    word = keras.Input(shape, name="word", dtype="string")
    return keras.Model(word, layers.Lambda(mixed_by_word, output_shape=shape)(word))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (None, "needs two or more different examples, .*; there are none$"),
        (["b"], "there are 1, all alike$"),
        (["b", "b", "b"], "there are 3, all alike$"),
    ],
)
def test_what_no_examples_can_tell_is_not_published(tmp_path, words, message):
    examples = None if words is None else {"word": words}
    with pytest.raises(InputError, match=message):
        export_saved_model(
            mixing(), tmp_path / "ranker", examples=examples, batch_invariance="bitwise"
        )
    assert not (tmp_path / "ranker").exists()
    assert export_saved_model(mixing(), tmp_path / "plain", examples=examples).version == 1


@pytest.mark.parametrize("words", [["a", "b"], ["b", "a"], ["a", "a", "a", "b"]])
def test_each_of_few_examples_is_scored_away_from_the_others(tmp_path, words):
    with pytest.raises(InputError, match="the bits of 'score' differ"):
        export_saved_model(mixing(), tmp_path, examples={"word": words}, batch_invariance="bitwise")
    assert not list(tmp_path.iterdir())


def test_an_output_without_rows_is_refused(tmp_path):
    inputs = keras.Input((3,), name="x")
    model = keras.Model(inputs, layers.Lambda(lambda x: tf.reduce_sum(x))(inputs))
    with pytest.raises(InputError, match="'score' is one number a batch"):
        export_saved_model(model, tmp_path, batch_invariance="bitwise")


@pytest.mark.parametrize("batch_invariance", ["exact", None, True])
def test_other_words_for_batch_invariance_are_refused(batch_invariance, tmp_path):
    with pytest.raises(InputError, match="accepted: 'tolerance', 'bitwise'"):
        export_saved_model(made("Dense"), tmp_path, batch_invariance=batch_invariance)
