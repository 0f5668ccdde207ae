"""Ids that no table has, whatever lies between the inputs and the tables, and behind them."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfnorm.assets import tables_file
from tfnorm.errors import InputError
from tfnorm.examples.records import records
from tfnorm.export import export_saved_model
from tfnorm.models.embedding import IdEmbedding
from tfnorm.models.features.kept_steps import KeptSteps
from tfnorm.session import CANDIDATES, SavedModel
from tfnorm.verify import verify_batch_invariance

ROWS, COUNT, STEPS = 9, 6, 5
OUTSIDE = "among ids that no table has"
SHOWN = ["item", "tags"]
LACKED = {"seen": ROWS, "bought": ROWS, "item": ROWS, "tags": 5}


def ids_of(shape=(COUNT, STEPS), dtype="i4", seed=0):
    return np.random.default_rng(seed).integers(1, ROWS, shape).astype(dtype)


def head(x):
    """Layers that let no NaN through: TensorFlow's fused product, bias and relu make 0 of it."""
    x = keras.layers.Flatten()(x) if len(x.shape) > 2 else x
    x = keras.layers.Dense(4, activation="relu", bias_initializer="ones")(x)
    return keras.layers.Dense(1, activation="sigmoid")(x)


def table(kind=keras.layers.Embedding, rows=ROWS, **settings):
    return kind(rows, 3, embeddings_initializer="normal", **settings)


class OfPositions(keras.layers.Layer):
    """A table of the items and one of their places, both looked up in the layer's own code."""

    def __init__(self):
        super().__init__()
        self.items, self.places = table(), table(rows=STEPS)

    def build(self, shape):
        self.items.build(shape)
        self.places.build(shape)
        super().build(shape)

    def call(self, ids):
        return self.items(ids) + self.places(tf.range(tf.shape(ids)[1]))


class Rows(keras.layers.Layer):
    """The steps as rows, looked up, and as steps again."""

    def __init__(self):
        super().__init__()
        self.items = table()

    def build(self, shape):
        self.items.build(shape)
        super().build(shape)

    def call(self, ids):
        found = self.items(tf.reshape(ids, [-1, 1]))
        return tf.reshape(found, [tf.shape(ids)[0], STEPS, 3])


def nested():
    x = keras.Input((STEPS,), dtype="int32")
    return keras.Model(x, table()(x[:, 1:]))


BETWEEN = {
    "nothing": lambda x: table()(x),
    "a slice": lambda x: table()(x[:, -2:]),
    "kept steps": lambda x: table(IdEmbedding)(KeptSteps(2)([x])[0]),
    "a reshape": lambda x: table()(keras.layers.Reshape((1, STEPS))(x)),
    "a nested model": lambda x: nested()(x),
    "code of a layer": lambda x: OfPositions()(x),
    "steps as rows": lambda x: Rows()(x),
    "steps in a row": lambda x: keras.layers.TimeDistributed(table())(x[..., None]),
    "a mask": lambda x: keras.layers.GlobalAveragePooling1D()(table(mask_zero=True)(x)),
    "a shared table": lambda x: (lambda t: t(x[:, :2]) + t(x[:, 2:4]))(table()),
    "a difference": lambda x: table()(x - 1),
}


def model_of(between, steps=STEPS, dtype="int32"):
    keras.utils.set_random_seed(1)
    x = keras.Input((steps,), name="ids", dtype=dtype)
    return keras.Model(x, head(between(x)))


def exported(model, tmp_path, examples=None, **settings):
    examples = {"ids": ids_of()} if examples is None else examples
    return export_saved_model(
        model, tmp_path / "exports", examples=examples, **{"unknown_ids": "nan", **settings}
    ).path


def check_row(saved, rows, name, number, signature="serving_default", place=2):
    """One row with a bad id is NaN, and no bit of the others moves."""
    bad = {name: array.copy() for name, array in rows.items()}
    bad[name].reshape(len(bad[name]), -1)[place, -1] = number
    before, after = saved.run(rows, signature=signature), saved.run(bad, signature=signature)
    for output, expected in before.items():
        assert np.isfinite(expected).all()
        assert np.isnan(after[output][place]).all()
        others = np.arange(len(expected)) != place
        assert after[output][others].tobytes() == expected[others].tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("between", BETWEEN)
def test_a_bad_id_gives_nan_to_its_row_whatever_lies_between(tmp_path, between):
    path = exported(model_of(BETWEEN[between]), tmp_path)
    found = json.loads(tables_file(path).read_text())["outside"]
    rows = ids_of()
    spared = between == "a shared table"
    with SavedModel(path) as saved:
        expected = saved.run({"ids": rows})["score"]
        for number in (found["ids"], -(2**31), 2**31 - 1):
            for step in range(STEPS):
                bad = rows.copy()
                bad[2, step] = number
                scores = saved.run({"ids": bad})["score"]
                read = {"a slice": step >= 3, "kept steps": step >= 3, "a nested model": step}
                lost = read.get(between, not (spared and step == 4))
                assert np.isnan(scores[2]).all() == bool(lost)
                assert np.delete(scores, 2, 0).tobytes() == np.delete(expected, 2, 0).tobytes()


@pytest.mark.parametrize("between", ["kept steps", "code of a layer"])
def test_a_row_of_the_table_stands_for_a_bad_id_whatever_lies_between(tmp_path, between):
    path = exported(model_of(BETWEEN[between]), tmp_path, unknown_ids=4)
    assert json.loads(tables_file(path).read_text())["outside"] == {"ids": ROWS}
    rows, bad = ids_of(), ids_of()
    rows[2], bad[2] = 4, 2**31 - 1
    with SavedModel(path) as saved:
        expected, scores = (saved.run({"ids": x})["score"] for x in (rows, bad))
    assert scores.tobytes() == expected.tobytes()


class OwnTable(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.items = table(name="items")

    def build(self, shape):
        self.items.build(shape)
        super().build(shape)


class InALoop(OwnTable):
    def call(self, ids):
        return keras.ops.map(self.items, ids)


@pytest.mark.slow
def test_an_id_that_is_looked_up_in_a_loop_is_refused_with_nan_and_has_a_row(tmp_path):
    model = model_of(lambda x: InALoop()(x[:, 1:]))
    with pytest.raises(InputError, match="'items' looks up ids inside a loop"):
        exported(model, tmp_path)
    path = exported(model, tmp_path, unknown_ids=4)
    assert json.loads(tables_file(path).read_text())["outside"] == {"ids": ROWS}
    report = verify_batch_invariance(path, batch_sizes=[4])
    assert OUTSIDE in [one.name for one in report.compositions]


class Distinct(OwnTable):
    def call(self, ids):
        distinct, places = tf.unique(tf.reshape(ids, [-1]))
        return tf.reshape(tf.gather(self.items(distinct), places), [-1, STEPS, 3])


class Turned(Distinct):
    def call(self, ids):
        return tf.transpose(self.items(tf.transpose(ids)), [1, 0, 2])


@pytest.mark.parametrize(
    ("between", "message"),
    [
        (Distinct, "looks up ids behind Unique, which gives more ids or fewer for other values"),
        (Turned, "moves 'score' of the rows beside it|has the 'score'"),
    ],
)
def test_ids_whose_row_is_not_told_are_refused(tmp_path, between, message):
    with pytest.raises(InputError, match=message):
        exported(model_of(lambda x: between()(x)), tmp_path)
    assert exported(model_of(lambda x: between()(x)), tmp_path, unknown_ids=0)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (
            lambda x, y: keras.ops.cast(y > 0.5, "int32"),
            "output 'score' is int32, which can't be NaN",
        ),
        (lambda x, y: [y, keras.ops.argmax(y, axis=-1)], "is int(32|64), which can't be NaN"),
        (lambda x, y: keras.ops.mean(y), "has the shape .*, in which no row is an example's"),
    ],
)
def test_outputs_that_cannot_be_nan_are_refused(tmp_path, output, message):
    x = keras.Input((STEPS,), name="ids", dtype="int32")
    with pytest.raises(InputError, match=message):
        exported(keras.Model(x, output(x, head(table()(x)))), tmp_path)


def of_users_and_items(dtype="int32"):
    """A user's two histories, an item with tags, and a shop that is hashed; outputs of two shapes."""
    keras.utils.set_random_seed(2)
    inputs = {
        "seen": keras.Input((STEPS,), name="seen", dtype=dtype),
        "bought": keras.Input((STEPS,), name="bought", dtype=dtype),
        "item": keras.Input((), name="item", dtype=dtype),
        "tags": keras.Input((2,), name="tags", dtype=dtype),
        "shop": keras.Input((), name="shop", dtype=dtype),
    }
    items, tags = table(name="items"), table(rows=5, name="tag_table")
    shop = table(name="shops")(keras.layers.Hashing(ROWS)(inputs["shop"]))
    seen, bought = (
        keras.layers.Flatten()(items(KeptSteps(3)([inputs[name]])[0][:, :3]))
        for name in ("seen", "bought")
    )
    flat = [seen, bought, items(inputs["item"]), keras.layers.Flatten()(tags(inputs["tags"])), shop]
    x = keras.layers.Concatenate()(flat)
    grid = keras.layers.Reshape((2, 2))(keras.layers.Dense(4, activation="relu")(x))
    return keras.Model(inputs, {"click": head(x), "grid": grid})


def users_and_items():
    rows = {name: ids_of((COUNT, STEPS), seed=i) for i, name in enumerate(("seen", "bought"))}
    rows |= {"item": ids_of(COUNT, seed=3), "shop": ids_of(COUNT, seed=4)}
    return rows | {"tags": np.minimum(ids_of((COUNT, 2), seed=5), 4)}


@pytest.fixture(scope="module")
def covered(tmp_path_factory):
    made = {}

    def covered(**settings):
        key = str(settings)
        if key not in made:
            made[key] = exported(
                of_users_and_items(),
                tmp_path_factory.mktemp("covered"),
                examples=users_and_items(),
                signatures=["candidates", "tf_example"],
                candidates=SHOWN,
                **settings,
            )
        return made[key]

    return covered


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{"batch_invariance": "bitwise"}, {"embeddings": "int8"}])
def test_every_input_every_signature_and_every_output_is_covered(covered, settings):
    path, rows = covered(**settings), users_and_items()
    assert json.loads(tables_file(path).read_text())["outside"] == LACKED
    with SavedModel(path) as saved:
        for name, number in LACKED.items():
            check_row(saved, rows, name, number)
            spoilt = {**rows, name: rows[name].copy()}
            spoilt[name][1] = number
            serialized = [record.SerializeToString() for record in records(spoilt)]
            asked = {n: np.stack([a[:3]] * 2) if n in SHOWN else a[:2] for n, a in rows.items()}
            asked[name] = asked[name].copy()
            place = (1, 2) if name in SHOWN else 1
            asked[name][place] = number
            found = saved.run({"examples": np.array(serialized, object)}, signature="tf_example")
            by_user = saved.run(asked, signature=CANDIDATES)
            lost = np.zeros((2, 3), bool)
            lost[place] = True
            for scores in found.values():
                assert np.isnan(scores.reshape(COUNT, -1)).all(1).tolist() == [
                    n == 1 for n in range(COUNT)
                ]
            for scores in by_user.values():
                nothing = np.isnan(scores.reshape(2, 3, -1))
                assert (nothing.all(-1) == lost).all() and (nothing.any(-1) == lost).all()


@pytest.mark.slow
@pytest.mark.parametrize("signature", ["serving_default", CANDIDATES, "tf_example"])
def test_the_verifier_puts_bad_rows_among_those_of_every_signature(covered, signature):
    path = covered(batch_invariance="bitwise")
    report = verify_batch_invariance(path, batch_sizes=[4], signature=signature, limit=4)
    assert report.passed
    assert OUTSIDE in [one.name for one in report.compositions]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["seen", "tags"])
def test_one_user_with_one_candidate_has_its_own_nan(covered, name):
    """Bitwise, rows that stand alone are doubled on the way."""
    rows = users_and_items()
    asked = {n: a[:1, None] if n in SHOWN else a[:1] for n, a in rows.items()}
    bad = {**asked, name: np.full_like(asked[name], LACKED[name])}
    with SavedModel(covered(batch_invariance="bitwise")) as saved:
        good, lost = (saved.run(x, signature=CANDIDATES)["click"] for x in (asked, bad))
    assert np.isfinite(good).all() and np.isnan(lost).all() and lost.shape == (1, 1, 1)


def test_classify_and_regress_give_nan_for_a_bad_id(tmp_path):
    path = exported(model_of(BETWEEN["a slice"]), tmp_path, signatures=["classify", "regress"])
    bad = ids_of()
    bad[1] = ROWS
    serialized = np.array([r.SerializeToString() for r in records({"ids": bad})], object)
    with SavedModel(path) as saved:
        for signature, output in (("classify", "scores"), ("regress", "outputs")):
            found = saved.run({"inputs": serialized}, signature=signature)[output]
            assert np.isnan(found.reshape(COUNT, -1)).all(1).tolist() == [
                n == 1 for n in range(COUNT)
            ]


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32"])
def test_ids_of_any_dtype_are_told(tmp_path, dtype):
    model = model_of(BETWEEN["a slice"], dtype=dtype)
    rows = {"ids": ids_of(dtype=dtype)}
    path = exported(model, tmp_path, examples=rows)
    with SavedModel(path) as saved:
        check_row(saved, rows, "ids", {"uint8": 200, "int64": 2**40, "float32": 1e20}[dtype])


def test_ids_that_always_have_a_row_are_never_unknown(tmp_path):
    model = model_of(lambda x: table()(keras.layers.Hashing(ROWS)(x)))
    path = exported(model, tmp_path)
    assert json.loads(tables_file(path).read_text())["outside"] == {}
    with SavedModel(path) as saved:
        assert np.isfinite(saved.run({"ids": np.full((2, STEPS), 10**9, "i4")})["score"]).all()


def test_a_step_beyond_the_table_of_steps_costs_its_batch_nan(tmp_path):
    """The numbers of the steps are those of all rows."""
    x = keras.Input((None,), name="ids", dtype="int32")
    model = keras.Model(x, head(keras.layers.GlobalAveragePooling1D()(OfPositions()(x))))
    path = exported(model, tmp_path)
    with SavedModel(path) as saved:
        assert np.isfinite(saved.run({"ids": ids_of((2, STEPS))})["score"]).all()
        assert np.isnan(saved.run({"ids": ids_of((2, STEPS + 1))})["score"]).all()
        assert saved.run({"ids": ids_of((0, STEPS))})["score"].shape == (0, 1)


def test_a_subclassed_model_and_one_example_will_do(tmp_path):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.items, self.last = table(), keras.layers.Dense(1, activation="relu")

        def call(self, ids):
            return self.last(tf.reduce_mean(self.items(ids[:, 1:]), axis=1))

    model = Own()
    model(ids_of())
    path = exported(model, tmp_path, examples={"ids": ids_of((1, STEPS))})
    assert json.loads(tables_file(path).read_text())["outside"] == {"ids": ROWS}
    with SavedModel(path) as saved:
        check_row(saved, {"ids": ids_of()}, "ids", ROWS)


def test_without_examples_random_rows_are_tried_or_it_is_refused(tmp_path):
    model = model_of(BETWEEN["a slice"])
    report = export_saved_model(model, tmp_path, unknown_ids="nan")
    assert json.loads(tables_file(report.path).read_text())["outside"] == {"ids": ROWS}
    words = keras.Input((), name="word", dtype="string")
    hashed = keras.Model(words, head(table()(keras.layers.Hashing(ROWS)(words))))
    with pytest.raises(InputError, match="unknown_ids needs examples"):
        export_saved_model(hashed, tmp_path, unknown_ids="nan")


def test_a_model_that_refuses_bad_ids_itself_is_refused(tmp_path):
    class Checked(Distinct):
        def call(self, ids):
            with tf.control_dependencies([tf.debugging.assert_less(ids, ROWS, "no such item")]):
                return self.items(tf.identity(ids))

    with pytest.raises(
        InputError, match=r"'ids' is 9 is refused with all of its batch: .*no such item"
    ):
        exported(model_of(lambda x: Checked()(x)), tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(
    not hasattr(keras.layers, "ReversibleEmbedding"), reason="Keras has the layer from 3.13 on"
)
def test_a_table_that_is_also_multiplied_by_is_left_alone_or_refused(tmp_path):
    """Keras's own class, whose call takes more than ids."""
    x = keras.Input((STEPS,), name="ids", dtype="int32")
    both = keras.layers.ReversibleEmbedding(ROWS, 3, name="both")
    model = keras.Model(x, both(both(x), reverse=True))
    with pytest.raises(InputError, match=r"'both' .* looks up embeddings by code of its own"):
        exported(model, tmp_path)
    path = exported(model, tmp_path, unknown_ids="error")
    with SavedModel(path) as saved:
        scores = saved.run({"ids": ids_of()})["score"]
    np.testing.assert_allclose(scores, model(ids_of()), rtol=1e-5)
