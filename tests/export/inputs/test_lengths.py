"""Lists of a fixed length: what is cut and padded, and what a server may then do."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.examples.records import records
from tfnorm.export import export_saved_model
from tfnorm.export.deployment.batching import Batching, find_batching
from tfnorm.export.inputs.lengths import fitted_lists, with_lengths
from tfnorm.export.tracing.interface import interface
from tfnorm.models import DIN
from tfnorm.schema import History, Id, Number, Schema
from tfnorm.server import BatchingParameters, Server
from tfnorm.session import SavedModel
from tfnorm.verify import batch_invariance

LENGTH = 4
KINDS = {"shelf": "S2", "shelves": "S2", "price": "f4", "seconds": "f4"}


def schema_of(**history):
    clicks = History(
        "clicks",
        of={"item": "items", "shelf": "shelves"},
        numbers=["seconds"],
        length=LENGTH,
        **history,
    )
    return Schema(
        [
            Id("item", size=30, width=3),
            Id("shelf", size=5, width=2, hashed=True),
            Number("price"),
            clicks,
        ],
        target=["item", "shelf"],
    )


def rows(count, longest=9, seed=0):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, max(longest, 1), count)
    lengths[0] = longest
    return [
        {
            "item": int(rng.integers(1, 30)),
            "shelf": f"s{rng.integers(9)}",
            "price": float(rng.normal()),
            "items": rng.integers(1, 30, n).tolist(),
            "shelves": [f"s{k}" for k in rng.integers(0, 9, n)],
            # A number that ends in zeros has not ended.
            "seconds": [*rng.normal(size=max(n - 1, 0)).tolist(), *[0.0] * min(n, 1)],
        }
        for n in lengths.tolist()
    ]


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    made = DIN(schema_of(), units=(8, 4), attention_units=(6,))
    examples = made.schema.examples(rows(64, seed=3))
    made({name: tf.constant(array) for name, array in examples.items()}, training=True)
    return made


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    """The version, of a model whose moving statistics are left as one step has made them."""
    return export_saved_model(
        model,
        tmp_path_factory.mktemp("din") / "din",
        examples=model.schema.examples(rows(40, longest=3)),
        history_length="schema",
        signatures=["tf_example"],
        warmup_batch_sizes=[4, 16],
        fold=False,
        allow_misfit_statistics=True,
    )


def as_records(rows):
    """Each row as a record of its own lists, none of them cut or padded."""
    made = []
    for row in rows:
        arrays = {name: np.array([value], KINDS.get(name, np.int64)) for name, value in row.items()}
        made += records(arrays)
    return np.array([record.SerializeToString() for record in made], object)


@pytest.mark.slow
def test_records_of_any_lengths_score_in_one_batch_as_the_schema_cuts_them(model, exported):
    given = rows(24)
    cut = {name: tf.constant(array) for name, array in model.schema.examples(given).items()}
    with SavedModel(exported.path) as saved:
        scores = saved.run({"examples": as_records(given)}, signature="tf_example")["score"]
    np.testing.assert_allclose(scores, model(cut), rtol=1e-5)


@pytest.mark.slow
def test_the_signature_declares_the_length_and_the_graph_takes_any(model, exported):
    assert exported.inputs["items"].shape.as_list() == [None, LENGTH]
    with SavedModel(exported.path) as saved:
        inputs = saved.signature().inputs
        kept = np.load(exported.path / "assets.extra" / "examples.npz")
        expected = saved.run(dict(kept))["score"]
    for name in ("items", "shelves", "seconds"):
        assert inputs[name].shape.as_list() == [None, LENGTH]
        assert kept[name].shape == (40, LENGTH)
    loaded = tf.saved_model.load(str(exported.path)).signatures["serving_default"]
    for length in (3, LENGTH):
        shorter = {
            name: tf.constant(array[:, :length] if array.ndim > 1 else array)
            for name, array in kept.items()
        }
        np.testing.assert_allclose(loaded(**shorter)["score"], expected, rtol=1e-5)


@pytest.mark.slow
def test_requests_and_records_without_any_history_score_as_padded_ones_do(model, exported):
    given = rows(6, longest=0)
    shortest = model.schema.examples(given)
    padded = dict(shortest)
    for name in ("items", "shelves", "seconds"):
        shortest[name] = shortest[name][:, :0]
        padded[name] = np.zeros((6, LENGTH), shortest[name].dtype)
    loaded = tf.saved_model.load(str(exported.path)).signatures["serving_default"]
    with SavedModel(exported.path) as saved:
        expected = saved.run(padded)["score"]
        of_records = saved.run({"examples": as_records(given)}, signature="tf_example")["score"]
    np.testing.assert_array_equal(of_records, expected)
    tensors = {name: tf.constant(array) for name, array in shortest.items()}
    np.testing.assert_array_equal(loaded(**tensors)["score"], expected)


@pytest.mark.slow
def test_a_server_batches_it_and_is_verified_under_that_configuration(exported):
    found = find_batching(exported.path)
    assert found == Batching((4, 16), pads=False)
    batching = BatchingParameters(
        max_batch_size=16, batch_timeout_micros=500, allowed_batch_sizes=found.sizes
    )
    with Server(exported.path.parent, "din", port=0, rest_port=0, batching=batching) as server:
        for url in (server.grpc_url, server.rest_url):
            report = batch_invariance(
                url,
                against=exported.path,
                limit=8,
                allowed_batch_sizes=found.sizes,
                allow_misfit_statistics=True,
            )
            assert report.passed, str(report)


def plain_model():
    """Gives one of its inputs as it comes."""
    inputs = {
        "words": keras.Input((None,), name="words", dtype="string"),
        "ids": keras.Input((None,), name="ids", dtype="int64"),
        "pairs": keras.Input((None, 2), name="pairs"),
        "x": keras.Input((3,), name="x"),
    }
    # Keras 3.12 takes no input that no layer is called on.
    passed_on = {name: keras.layers.Identity()(given) for name, given in inputs.items()}
    return keras.Model(inputs, passed_on["x"])


def test_lists_of_any_model_keep_their_newest_elements_and_numbers_those_beside_the_ids():
    called = with_lengths(interface(plain_model(), None), 2)
    pairs = np.array([[[1, 1], [2, 2], [3, 3], [0, 0]], [[4, 4], [5, 0], [0, 0], [0, 0]]], "f4")
    found = fitted_lists(
        called,
        {
            "words": np.array([[b"a"], [b""]]),
            "ids": np.array([[7, 8, 9, 0], [6, 0, 0, 0]]),
            "pairs": pairs,
            "x": np.ones((2, 3), "f4"),
        },
    )
    assert found["words"].tolist() == [[b"a", b""], [b"", b""]]
    assert found["ids"].tolist() == [[8, 9], [6, 0]]
    assert found["pairs"].tolist() == [[[2, 2], [3, 3]], [[4, 4], [5, 0]]]
    assert found["x"].tolist() == np.ones((2, 3)).tolist()


def test_the_oldest_are_kept_where_the_schema_says_so():
    model = DIN(schema_of(keep="oldest"), units=(4,), attention_units=(4,))
    given = rows(12, seed=5)
    for row in given:
        row["seconds"] = row["seconds"][: len(row["items"])]
    whole = {
        "item": np.array([row["item"] for row in given]),
        "shelf": np.array([row["shelf"].encode() for row in given]),
        "price": np.array([row["price"] for row in given], "f4"),
    }
    longest = max(len(row["items"]) for row in given)
    for name, nothing in (("items", 0), ("shelves", b""), ("seconds", 0.0)):
        whole[name] = np.array(
            [
                [v.encode() if isinstance(v, str) else v for v in row[name]]
                + [nothing] * (longest - len(row[name]))
                for row in given
            ]
        )
    whole["seconds"] = whole["seconds"].astype("f4")
    fitted = fitted_lists(with_lengths(interface(model, None), "schema"), whole)
    for name, array in model.schema.examples(given).items():
        np.testing.assert_array_equal(fitted[name], array)


@pytest.mark.parametrize(
    ("length", "message"),
    [
        (0, "history_length is 0; accepted: a whole number from 1$"),
        (True, "history_length is True"),
        ("all", "history_length is 'all'; accepted: a whole number from 1$"),
        ("schema", "history_length is 'schema'; .* a model made from one"),
    ],
)
def test_lengths_that_are_none_are_refused(length, message):
    with pytest.raises(InputError, match=message):
        with_lengths(interface(plain_model(), None), length)


def test_a_list_that_the_schema_gives_no_length_needs_a_number():
    schema = Schema(
        [Id("item", size=9), Id("tags", size=9, many=True), History("h", of={"item": "seen"})],
        target=["item"],
    )
    called = interface(DIN(schema, units=(4,), attention_units=(4,)), None)
    with pytest.raises(InputError, match="no length for the list 'tags'; accepted: a number"):
        with_lengths(called, "schema")
    assert with_lengths(called, 5).declared["tags"].shape.as_list() == [None, 5]


def test_a_model_without_lists_has_no_length_to_fix():
    x = keras.Input((3,), name="x")
    with pytest.raises(InputError, match="no input of 'm' has a free axis"):
        with_lengths(interface(keras.Model(x, keras.layers.Identity()(x), name="m"), None), 5)


def test_an_axis_that_is_free_elsewhere_can_not_be_fixed():
    x = keras.Input((3, None), name="x")
    with pytest.raises(InputError, match=r"'x' has the shape \[None, 3, None\]"):
        with_lengths(interface(keras.Model(x, keras.layers.Identity()(x)), None), 5)


def test_tags_are_padded_which_moves_no_score_and_never_cut():
    history = History("h", of={"item": "seen"}, length=9)
    schema = Schema(
        [Id("item", size=30, width=3), Id("tags", size=9, width=3, many=True), history],
        target=["item"],
    )
    keras.utils.set_random_seed(1)
    made = DIN(schema, units=(4,), attention_units=(3,))
    rng = np.random.default_rng(0)
    given = {
        "item": rng.integers(1, 30, 6).astype("i4"),
        "tags": (rng.integers(1, 9, (6, 5)) * (np.arange(5) < 4)).astype("i4"),
        "seen": rng.integers(1, 30, (6, 3)).astype("i4"),
    }
    message = (
        "the list 'tags', which is no history, has up to 4 elements in the examples; accepted: 4 or"
    )
    with pytest.raises(InputError, match=message):
        fitted_lists(with_lengths(interface(made, given), 3), given)
    called = with_lengths(interface(made, given), 4)
    fitted = fitted_lists(called, given)
    np.testing.assert_array_equal(fitted["tags"], given["tags"][:, :4])
    assert fitted["seen"].shape == (6, 4)
    scores, expected = (made({n: tf.constant(a) for n, a in x.items()}) for x in (fitted, given))
    np.testing.assert_allclose(scores, expected, rtol=1e-6)
