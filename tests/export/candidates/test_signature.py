"""One user with many candidates: the scores of `serving_default`, of what candidates share computed once."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfnorm._keras import all_layers, replaced_calls
from tfnorm.errors import InputError
from tfnorm.export import export_saved_model
from tfnorm.export.candidates.checks import request
from tfnorm.export.candidates.signature import of_candidates
from tfnorm.export.deployment.batching import find_batching
from tfnorm.export.tracing.interface import interface
from tfnorm.layers import BatchNormalization
from tfnorm.models import DIEN, DIN
from tfnorm.schema import History, Id, Number, Schema
from tfnorm.server import Server
from tfnorm.session import SavedModel
from tfnorm.verify import verify_batch_invariance

pytestmark = pytest.mark.slow

COUNT, STEPS = 24, 6


def schema():
    """All kinds of features of a target, of a user and of a moment."""
    return Schema(
        [
            Id("item", size=40, width=4),
            Id("shelf", vocabulary=["a", "b", "c"], width=2),
            Id("tags", size=9, width=3, many=True),
            Number("price", scale="log"),
            Id("user", size=16, width=3, hashed=True),
            Number("hour", length=2),
            History("clicks", of={"item": "items", "shelf": "shelves"}, numbers=["seconds"]),
            History("buys", of={"item": "bought"}),
        ],
        target=["item", "shelf", "tags", "price"],
    )


def examples(count=COUNT, seed=0):
    rng = np.random.default_rng(seed)
    there = np.arange(STEPS) < rng.integers(0, STEPS + 1, count)[:, None]
    there[0] = True
    words = np.array([b"a", b"b", b"c", b"d"])
    return {
        "item": rng.integers(1, 40, count),
        "shelf": words[rng.integers(0, 4, count)],
        "tags": rng.integers(0, 9, (count, 2)),
        "price": rng.random(count).astype("f4"),
        "user": np.array([b"u%d" % n for n in rng.integers(0, 99, count)]),
        "hour": rng.normal(size=(count, 2)).astype("f4"),
        "items": rng.integers(1, 40, (count, STEPS)) * there,
        "shelves": np.where(there, words[rng.integers(0, 4, (count, STEPS))], b""),
        "seconds": (rng.normal(size=(count, STEPS)) * there).astype("f4"),
        "bought": rng.integers(1, 40, (count, STEPS)) * there,
    }


def as_tensors(arrays):
    return {name: tf.constant(array) for name, array in arrays.items()}


def small_schema():
    clicks = History("clicks", of={"item": "items"})
    return Schema(
        [Id("item", size=40, width=4), Id("user", size=16, width=3, hashed=True), clicks],
        target=["item"],
    )


def of_schema(rows, schema):
    return {name: rows[name] for name in schema.columns}


MODELS = {
    "small DIN": lambda: DIN(small_schema(), units=(8, 4), attention_units=(6,)),
    "DIN": lambda: DIN(schema(), units=(8, 4), attention_units=(6, 5)),
    "DIEN": lambda: DIEN(small_schema(), units=(8, 4), auxiliary_weight=0),
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model and the version exported of it, each once."""
    made = {}

    def exported(name, batch_invariance="tolerance"):
        key = name, batch_invariance
        if key not in made:
            keras.utils.set_random_seed(1)
            model = MODELS[name]()
            rows = of_schema(examples(), model.schema)
            model(as_tensors(rows), training=True)
            report = export_saved_model(
                model,
                tmp_path_factory.mktemp("exports") / "ranker",
                examples=rows,
                signatures=["candidates"],
                warmup_batch_sizes=[3],
                allow_misfit_statistics=True,
                batch_invariance=batch_invariance,
                fold=False,
            )
            made[key] = model, report
        return made[key]

    return exported


@pytest.mark.parametrize("name", ["DIN", "DIEN"])
def test_candidates_score_as_the_model_does_a_row_each(exported, name):
    model, report = exported(name)
    rows = of_schema(examples(seed=5), model.schema)
    with SavedModel(report.path) as saved:
        for count in (1, 2, 7, 1000):
            asked, each = request(rows, report.candidates, np.array([0, 3]), count)
            scores = saved.run(asked, signature="candidates")["score"]
            assert scores.shape == (2, count, 1)
            expected = model(as_tensors(each))
            np.testing.assert_allclose(scores.reshape(-1, 1), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["DIN", "DIEN"])
def test_no_users_and_no_candidates_have_no_scores(exported, name):
    model, report = exported(name)
    asked, _ = request(of_schema(examples(), model.schema), report.candidates, np.array([0]), 3)
    no_users = {name: array[:0] for name, array in asked.items()}
    no_candidates = {
        name: array[:, :0] if name in report.candidates else array for name, array in asked.items()
    }
    with SavedModel(report.path) as saved:
        for given, shape in ((no_users, (0, 3, 1)), (no_candidates, (1, 0, 1))):
            assert saved.run(given, signature="candidates")["score"].shape == shape


def test_an_attention_without_softmax_and_no_attention_have_candidates_too():
    rows = of_schema(examples(), small_schema())
    for settings in ({"softmax": False, "activation": "prelu"}, {"attention": False}):
        model = DIN(small_schema(), units=(6,), attention_units=(6,), **settings)
        asked, each = request(rows, ["item"], np.array([1, 2]), 5)
        scores = of_candidates(interface(model, None), ["item"], None).score(as_tensors(asked))
        expected = model(as_tensors(each))
        np.testing.assert_allclose(tf.reshape(scores["score"], [-1, 1]), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["small DIN", "DIEN"])
def test_candidates_of_a_bitwise_export_have_the_same_bits(exported, name):
    model, report = exported(name, "bitwise")
    rows = of_schema(examples(seed=6), model.schema)
    with SavedModel(report.path) as saved:
        for users, count in (([0], 1), ([4], 2), ([1], 300), ([0, 9, 2], 5)):
            asked, each = request(rows, report.candidates, np.array(users), count)
            scores = saved.run(asked, signature="candidates")["score"]
            assert scores.tobytes() == saved.run(each)["score"].tobytes()


def test_the_candidates_are_the_target_of_the_schema(exported):
    _, report = exported("DIN")
    assert report.candidates == ("item", "shelf", "tags", "price")
    with SavedModel(report.path) as saved:
        shapes = {
            name: spec.shape.as_list()
            for name, spec in saved.signature("candidates").inputs.items()
        }
    assert shapes["item"] == [None, None] and shapes["tags"] == [None, None, None]
    assert shapes["items"] == [None, None] and shapes["hour"] == [None, 2]


def ops_of(path):
    """The graph and its functions, by name."""
    (meta_graph,) = saved_model_pb2.SavedModel.FromString(
        (path / "saved_model.pb").read_bytes()
    ).meta_graphs
    return meta_graph.graph_def


@pytest.mark.parametrize("name", ["DIN", "DIEN"])
def test_it_loads_in_plain_tensorflow_with_stock_ops_alone(exported, name):
    model, report = exported(name)
    loaded = tf.saved_model.load(str(report.path)).signatures["candidates"]
    rows = of_schema(examples(), model.schema)
    asked, each = request(rows, report.candidates, np.array([2]), 5)
    with SavedModel(report.path) as saved:
        expected = saved.run(each)["score"]
    scores = loaded(**as_tensors(asked))["score"][0]
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-7)
    graph = ops_of(report.path)
    ops = {n.op for f in graph.library.function for n in f.node_def} | {n.op for n in graph.node}
    functions = {f.signature.name for f in graph.library.function}
    assert all(hasattr(tf.raw_ops, op) for op in ops - functions)


def test_the_verifier_finds_candidates_independent_of_each_other_in_the_file_and_behind_a_server(
    exported,
):
    _, report = exported("small DIN", "bitwise")
    settings = {"signature": "candidates", "bitwise": True, "limit": 8}
    settings |= {"allow_misfit_statistics": True, "batch_sizes": [2, 5]}
    verdict = verify_batch_invariance(report.path, **settings)
    assert verdict.passed and verdict.max_abs_diff == 0
    assert any(one.kind == "parity" for one in verdict.compositions)
    with Server(report.path.parent, "ranker", port=0, rest_port=0) as server:
        for url in (server.grpc_url, server.rest_url):
            kept = report.path / "assets.extra" / "examples.npz"
            assert verify_batch_invariance(url, kept, **settings).passed


def test_users_of_one_request_are_verified_as_any_rows_are(exported):
    _, report = exported("DIN")
    asked, _ = request(examples(), report.candidates, np.arange(6), 3)
    settings = {"batch_sizes": [2, 3], "allow_misfit_statistics": True}
    verdict = verify_batch_invariance(report.path, asked, signature="candidates", **settings)
    assert verdict.passed and verdict.examples == 6


def test_a_server_must_not_batch_requests_of_candidates(exported):
    assert "'candidates' is a batch itself" in find_batching(exported("DIN")[1].path).obstacle


def test_warm_up_has_as_many_candidates_of_one_user_as_the_size_says(exported):
    from tensorflow_serving.apis import prediction_log_pb2

    path = exported("DIN")[1].path / "assets.extra" / "tf_serving_warmup_requests"
    logs = [
        prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    ]
    assert [log.model_spec.signature_name for log in logs] == ["serving_default", "candidates"]
    assert [dim.size for dim in logs[1].inputs["item"].tensor_shape.dim] == [1, 3]
    assert [dim.size for dim in logs[1].inputs["items"].tensor_shape.dim] == [1, STEPS]


def functional():
    """A model of Keras's own layers: masks, a model in the model, and time steps that were made rows."""
    user = keras.Input((), name="user id", dtype="int32")
    history = keras.Input((5,), name="history", dtype="int32")
    item = keras.Input((), name="item", dtype="int32")
    age = keras.Input((1,), name="age")
    steps = keras.layers.Embedding(20, 4, mask_zero=True, name="table")(history)
    state = keras.layers.GRU(5, name="gru")(steps)
    flat = keras.layers.Dense(3, name="of_steps")(keras.ops.reshape(steps, (-1, 4)))
    shown = keras.layers.Embedding(20, 4)(item)
    wide = keras.layers.Dense(4)(state)
    # A candidate meets the rows of steps, of which a user has five.
    flat = keras.layers.Add()([flat, keras.ops.reshape(keras.ops.repeat(age, 5, axis=1), (-1, 1))])
    back = keras.ops.mean(keras.ops.reshape(flat, (-1, 5, 3)), axis=1)
    a, b = keras.Input((4,)), keras.Input((4,))
    inner = keras.Model(
        [a, b],
        keras.layers.Dense(3, name="of_a")(a) * keras.layers.Dense(3, name="of_b")(b),
        name="inner",
    )
    joined = keras.layers.Concatenate()(
        [inner([wide, shown]), back, keras.layers.Embedding(20, 2)(user), age]
    )
    x = keras.layers.Dense(6)(keras.layers.BatchNormalization()(joined))
    x = keras.layers.Dense(4, activation="relu")(BatchNormalization()(x))
    score = keras.layers.Dense(1, activation="sigmoid", name="score")(x)
    return keras.Model([user, history, item, age], {"score": score, "interest": state})


@pytest.mark.parametrize("invariance", ["tolerance", "bitwise"])
def test_any_functional_model_has_candidates_by_the_names_of_their_inputs(tmp_path, invariance):
    keras.utils.set_random_seed(2)
    model = functional()
    rng = np.random.default_rng(0)
    rows = {
        "user id": rng.integers(0, 20, 12).astype("i4"),
        "history": (rng.integers(1, 20, (12, 5)) * (np.arange(5) < 4)).astype("i4"),
        "item": rng.integers(0, 20, 12).astype("i4"),
        "age": rng.random((12, 1)).astype("f4"),
    }
    model([tf.constant(array) for array in rows.values()], training=True)
    report = export_saved_model(
        model,
        tmp_path,
        examples=rows,
        signatures=["candidates"],
        candidates=["item", "age"],
        allow_misfit_statistics=True,
        batch_invariance=invariance,
    )
    asked, each = request(rows, ["item", "age"], np.array([1, 5]), 9)
    with SavedModel(report.path) as saved:
        found = saved.run(asked, signature="candidates")
        expected = saved.run(each)
    for name, scores in found.items():
        assert scores.shape[:2] == (2, 9)
        given = scores.reshape(expected[name].shape)
        if invariance == "bitwise":
            assert given.tobytes() == expected[name].tobytes()
        np.testing.assert_allclose(given, expected[name], rtol=1e-5, atol=1e-6)


@contextlib.contextmanager
def rows_seen(model):
    """Name of a layer -> how many rows its first argument has in each call."""
    seen = {}

    def watched(layer):
        call = layer.call

        def watch(*args, **kwargs):
            first = keras.tree.flatten(args)[0]
            seen.setdefault(layer.name, []).append(int(first.shape[0]))
            return call(*args, **kwargs)

        return watch

    layers = [x for x in all_layers(model) if not isinstance(x, keras.Model)]
    with replaced_calls({layer: watched(layer) for layer in layers}):
        yield seen


def test_what_candidates_share_is_computed_once():
    asked = {
        "user id": np.array([3], "i4"),
        "history": np.array([[4, 5, 0, 0, 0]], "i4"),
        "item": np.array([[1, 2, 3, 4, 5, 6, 7]], "i4"),
        "age": np.ones((1, 7, 1), "f4"),
    }
    model = functional()
    with rows_seen(model) as seen:
        of_candidates(interface(model, None), ["item", "age"], None).score(as_tensors(asked))
    assert {name: seen[name] for name in ("table", "gru", "of_steps", "of_a", "of_b")} == {
        "table": [1],
        "gru": [1],
        "of_steps": [5],
        "of_a": [1],
        "of_b": [7],
    }
    assert seen["score"] == [7]


def test_the_interests_of_a_user_are_extracted_once():
    model = DIEN(small_schema(), units=(4,), auxiliary_weight=0)
    asked, _ = request(of_schema(examples(), model.schema), ["item"], np.array([0]), 9)
    with rows_seen(model) as seen:
        of_candidates(interface(model, None), ["item"], None).score(as_tensors(asked))
    assert seen["clicks_extractor"] == [1] and seen["clicks_mean"] == [1] and seen["score"] == [9]
    assert sorted(seen["item_table"]) == [1, 9]
    # Their evolution and the attention to them take them as they are, for all candidates at once.
    assert not {"clicks_attention", "clicks_weighted", "clicks_evolution"} & seen.keys()


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        (None, "has no schema that tells which inputs are a candidate's; name them"),
        ([], r"candidates is \[\]; accepted: some of the inputs 'user id', 'history'"),
        (["price"], "candidates is .'price'.; accepted: some of the inputs"),
        ("item", "candidates is 'item'; accepted: some of the inputs"),
        (["user id", "history", "item", "age"], "which are all inputs of"),
    ],
)
def test_inputs_that_can_not_be_candidates_are_refused(tmp_path, candidates, message):
    with pytest.raises(InputError, match=message):
        export_saved_model(
            functional(),
            tmp_path,
            signatures=["candidates"],
            candidates=candidates,
            allow_untrained_statistics=True,
        )


def test_candidates_need_their_signature(tmp_path):
    with pytest.raises(
        InputError, match=r"no signature takes them; accepted with signatures: cand"
    ):
        export_saved_model(functional(), tmp_path, candidates=["item"])


def test_a_model_that_is_no_graph_has_no_candidates(tmp_path):
    model = keras.Sequential([keras.Input((3,), name="x"), keras.layers.Dense(1)])
    with pytest.raises(InputError, match="is no functional model"):
        export_saved_model(model, tmp_path, signatures=["candidates"], candidates=["x"])


def test_a_layer_that_computes_one_thing_of_a_batch_is_refused_before_it_is_published(tmp_path):
    x, user = keras.Input((2,), name="x"), keras.Input((2,), name="user")
    centred = x - keras.ops.mean(x, axis=0, keepdims=True)
    centred += user + keras.ops.sum(user, axis=0, keepdims=True)
    model = keras.Model([x, user], keras.layers.Dense(1)(centred))
    rng = np.random.default_rng(0)
    rows = {name: rng.normal(size=(9, 2)).astype("f4") for name in ("x", "user")}
    with pytest.raises(InputError, match=r"'candidates' scores up to .* away from serving_default"):
        export_saved_model(
            model, tmp_path, examples=rows, signatures=["candidates"], candidates=["x"]
        )
    assert not list(tmp_path.glob("[0-9]*"))
