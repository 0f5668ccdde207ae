"""Models of a schema with every kind of feature, in Keras and exported."""

from dataclasses import replace

import click_rows as clicks
import keras
import numpy as np
import pytest
import tensorflow as tf

import tfnorm
from tfnorm.errors import InputError
from tfnorm.models import DIEN, DIN
from tfnorm.models.dien import negative
from tfnorm.models.features import embedded
from tfnorm.schema import History, Id, Number, Schema

SCHEMA = Schema(
    [
        Id("user", size=50, hashed=True, width=3),
        Id("item", size=101, width=4),
        Id("category", vocabulary=["books", "toys"], width=2),
        Id("tags", size=20, hashed=True, width=3, many=True, combine="sum"),
        Number("price", scale="log"),
        Number("embedding", length=2, scale="standard", mean=[10.0, -1.0], deviation=[2.0, 0.0]),
        History(
            "history",
            of={"item": "hist_items", "category": "hist_categories"},
            numbers=[Number("hist_seconds", scale="log")],
            length=4,
        ),
        History("bought", of={"item": "bought_items"}, length=3),
    ],
    target=["item", "category", "price"],
    label="click",
)


@pytest.fixture(scope="module")
def examples():
    rows = clicks.rows(12)
    for n, row in enumerate(rows):
        row["bought_items"] = list(range(1, 1 + n % 5))
    return SCHEMA.examples(rows)


def make(cls, **options):
    keras.utils.set_random_seed(0)
    model = cls(SCHEMA, units=(6, 5), **options)
    for n, weight in enumerate(model.trainable_weights):
        weight.assign(np.random.default_rng(n).normal(size=weight.shape, scale=0.4))
    normalization = model.get_layer("numbers_normalized")
    normalization.moving_mean.assign([0.7])
    normalization.moving_variance.assign([0.4])
    return model


@pytest.fixture(scope="module")
def din():
    model = make(DIN, attention_units=(4,))
    for name in ("normalization", "dice_1", "dice_2"):  # As if it had been trained.
        mean = model.get_layer(name).moving_mean
        mean.assign(np.ones(mean.shape))
    return model


def tensors(examples):
    """Keras takes strings as tensors alone."""
    return {name: tf.constant(array) for name, array in examples.items()}


def numpy_mlp(layer, x):
    for dense in layer.mlp:
        x = x @ np.float64(dense.kernel.numpy()) + (
            np.float64(dense.bias.numpy()) if dense.use_bias else 0
        )
        if dense is not layer.mlp[-1]:
            x = 1 / (1 + np.exp(-x))
    return x[0]


def before_the_tower(model, examples):
    """What joins the tower, one example at a time, in float64."""
    table = {
        name: np.float64(model.get_layer(f"{name}_table").embeddings.numpy())
        for name in ("user", "item", "category", "tags")
    }
    words = {b"": 0, b"books": 2, b"toys": 3}

    def bucket(text, size):
        return 0 if text == b"" else 1 + int(tf.strings.to_hash_bucket_fast(text, size))

    statistics = model.get_layer("numbers_normalized")

    def normalized(x):
        return (x - np.float64(statistics.moving_mean.numpy()[0])) / np.sqrt(
            np.float64(statistics.moving_variance.numpy()[0]) + 1e-3
        )

    found = []
    for n in range(len(examples["item"])):
        x = {name: array[n] for name, array in examples.items()}
        item = table["item"][x["item"]]
        category = table["category"][words.get(x["category"], 1)]
        price = [np.log1p(x["price"])]
        target = np.concatenate([item, category])
        keys = [
            np.concatenate([table["item"][i], table["category"][words.get(c, 1)]])
            + normalized(np.log1p(s)) * np.float64(model.get_layer("numbers").kernel.numpy())[0]
            for i, c, s in zip(
                x["hist_items"], x["hist_categories"], x["hist_seconds"], strict=True
            )
            if i
        ]
        bought = [table["item"][i] for i in x["bought_items"] if i]
        parts = [target, price]
        for prefix, query, steps in (("", target, keys), ("bought_", item, bought)):
            layer = model.get_layer(f"{prefix}attention")
            mean, attended = np.zeros_like(query), np.zeros_like(query)
            if steps:
                mean = np.mean(steps, axis=0)
                s = [
                    numpy_mlp(layer, np.concatenate([query, k, query - k, query * k]))
                    for k in steps
                ]
                a = np.exp(s) / np.exp(s).sum() if layer.softmax else np.array(s)
                attended = a @ np.array(steps)
            parts += [attended, mean, query * mean]
        tags = [table["tags"][bucket(t, 20)] for t in x["tags"] if t != b""]
        parts += [
            table["user"][bucket(x["user"], 50)],
            np.sum(tags, axis=0) if tags else np.zeros(3),
            (x["embedding"] - [10, -1]) / [2, 1],
        ]
        found.append(np.concatenate(parts))
    return np.array(found)


@pytest.mark.slow
@pytest.mark.parametrize("softmax", [True, False])
def test_every_feature_joins_the_tower_as_its_formula_says(softmax, examples):
    model = make(DIN, attention_units=(4,), softmax=softmax)
    inner = keras.Model(model.input, model.get_layer("interest").output)
    np.testing.assert_allclose(
        inner.predict(tensors(examples), verbose=0),
        before_the_tower(model, examples),
        rtol=2e-4,
        atol=2e-5,
    )


def test_the_inputs_are_the_columns_of_the_schema(din):
    found = {t.name: (t.dtype, tuple(t.shape)) for t in din.inputs}
    assert found == {
        name: (spec.dtype.name, tuple(spec.shape)) for name, spec in SCHEMA.inputs.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("cls", [DIN, DIEN])
def test_a_model_of_a_schema_is_saved_and_loaded_with_it(cls, examples, tmp_path):
    model = make(cls)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.schema == SCHEMA
    np.testing.assert_array_equal(
        loaded.predict(tensors(examples), verbose=0), model.predict(tensors(examples), verbose=0)
    )


@pytest.mark.slow
def test_its_export_takes_raw_columns_and_records_and_does_not_depend_on_the_batch(
    din, examples, tmp_path
):
    report = tfnorm.export_saved_model(
        din,
        tmp_path,
        examples=examples,
        signatures=["tf_example"],
        feature_spec=SCHEMA.feature_spec,
    )
    assert report.compared == 12
    expected = din.predict(tensors(examples), verbose=0)
    found = tfnorm.load_scorer(tmp_path).score(examples)["score"]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert tfnorm.verify_batch_invariance(tmp_path, batch_sizes=[2, 5]).passed
    rows = clicks.rows(12)
    for n, row in enumerate(rows):
        row["bought_items"] = list(range(1, 1 + n % 5))
    records = tf.constant([clicks.record(row) for row in rows])
    signature = tf.saved_model.load(str(report.path)).signatures["tf_example"]
    by_record = next(iter(signature(records).values()))
    np.testing.assert_allclose(by_record, expected, rtol=1e-5, atol=1e-6)


def longer(count):
    """Rows whose histories are longer than the schema's, and the same as padded arrays of all steps."""
    rows = clicks.rows(count, seed=3)
    for n, row in enumerate(rows):
        row["bought_items"] = list(range(1, 2 + n % 9))
        for name in SCHEMA["history"].columns:
            row[name] = [*row[name], *row[name], *row[name]][:16]
    histories = [replace(h, length=100) for h in SCHEMA.histories]
    features = [h for h in SCHEMA.features if not isinstance(h, History)] + histories
    return rows, replace(SCHEMA, features=features).examples(rows)


@pytest.mark.parametrize("cls", [DIN, DIEN])
def test_longer_histories_are_cut_in_the_graph_as_the_reader_cuts_them(cls):
    model = make(cls)
    rows, whole = longer(12)
    cut = SCHEMA.examples(rows)
    assert whole["hist_seconds"].shape[1] > 4 == cut["hist_seconds"].shape[1]
    found, expected = (model(tensors(given)).numpy() for given in (whole, cut))
    np.testing.assert_array_equal(found, expected)
    oldest = {n: a[:, :4] if n in SCHEMA["history"].columns else a for n, a in whole.items()}
    assert np.abs(model(tensors(oldest)) - expected).max() > 1e-3


@pytest.mark.slow
def test_longer_histories_have_the_same_bits_in_every_batch_of_a_bitwise_export(din, tmp_path):
    rows, whole = longer(6)
    tfnorm.export_saved_model(
        din,
        tmp_path,
        examples=whole,
        batch_invariance="bitwise",
        allow_misfit_statistics=True,
    )
    scorer = tfnorm.load_scorer(tmp_path)
    found = scorer.score(whole)["score"]
    np.testing.assert_array_equal(found, scorer.score(SCHEMA.examples(rows))["score"])
    np.testing.assert_allclose(found, din(tensors(whole)), rtol=1e-5, atol=1e-6)
    assert tfnorm.verify_batch_invariance(tmp_path, batch_sizes=[2], bitwise=True).passed


@pytest.mark.slow
def test_the_negatives_of_a_longer_history_are_cut_with_it():
    def loss(given):
        model.compile(keras.optimizers.SGD(0.0), "binary_crossentropy", run_eagerly=True)
        labels = np.arange(12) % 2
        return model.fit(given, labels, batch_size=12, verbose=0).history["auxiliary_loss"]

    model = make(DIEN)
    model.get_layer("numbers_normalized").trainable = False  # Its statistics stay.
    rows, whole = longer(12)
    given = with_negatives(tensors(whole), model)
    found = loss(given)
    cut = SCHEMA.examples(rows)
    for name in model.negatives:
        history = SCHEMA["history" if "hist" in name else "bought"]
        lengths = [len(row[history.columns[0]]) for row in rows]
        drawn = given[name].numpy()
        padding = b"" if drawn.dtype == object else 0
        cut[name] = np.full((12, history.length), padding, drawn.dtype)
        for row, values, end in zip(cut[name], drawn, lengths, strict=True):
            newest = values[max(0, end - history.length) : end]
            row[: len(newest)] = newest
    assert found == pytest.approx(loss(tensors(cut)), rel=1e-6)


def with_negatives(examples, model):
    rng = np.random.default_rng(0)
    drawn = {}
    for name in model.negatives:
        column = {
            "negative_hist_items": "hist_items",
            "negative_hist_categories": "hist_categories",
        }
        of = examples[column.get(name, "bought_items")]
        if of.dtype == tf.string:
            drawn[name] = tf.constant(rng.choice([b"toys", b"books"], of.shape))
        else:
            drawn[name] = tf.constant(rng.integers(1, 101, of.shape))
    return {**examples, **drawn}


@pytest.mark.slow
def test_dien_learns_from_negatives_of_each_of_its_histories(examples):
    model = make(DIEN)
    assert model.negatives == {
        "negative_hist_items": "item",
        "negative_hist_categories": "category",
        "negative_bought_items": "item",
    }
    model.compile(keras.optimizers.SGD(0.0), "binary_crossentropy", run_eagerly=True)
    labels = np.arange(12) % 2
    history = model.fit(
        with_negatives(tensors(examples), model), labels, batch_size=12, verbose=0
    ).history
    plain = make(DIEN, auxiliary_weight=0.0)
    plain.compile(keras.optimizers.SGD(0.0), "binary_crossentropy", run_eagerly=True)
    of_scores = plain.fit(tensors(examples), labels, batch_size=12, verbose=0).history["loss"][0]
    assert history["auxiliary_loss"][0] > 0
    assert history["loss"][0] == pytest.approx(of_scores + history["auxiliary_loss"][0], rel=1e-4)
    with pytest.raises(InputError, match="without negative_hist_items and negative_hist"):
        model.fit(tensors(examples), labels, verbose=0)


@pytest.mark.parametrize("cls", [DIN, DIEN])
@pytest.mark.parametrize("count", [1, 12])
def test_histories_without_a_step_are_scored_as_those_that_are_all_padding(cls, count, examples):
    model = make(cls)
    examples = {name: array[:count] for name, array in examples.items()}
    columns = {name for name, column in SCHEMA.columns.items() if column.is_list}
    none = {n: a[:, :0] if n in columns else a for n, a in examples.items()}
    padded = {n: np.zeros_like(a) if n in columns else a for n, a in examples.items()}
    np.testing.assert_allclose(model(tensors(none)), model(tensors(padded)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("cls", [DIN, DIEN])
def test_a_schema_that_no_model_can_be_made_of_is_refused(cls):
    item = Id("item", size=9)
    with pytest.raises(InputError, match="the schema has no history; accepted: one or more"):
        cls(Schema([item], target=["item"]))
    history = History("h", of={"item": "seen"})
    number = Number("price", scale="standard")
    with pytest.raises(InputError, match="numbers 'price' have no mean and deviation"):
        cls(Schema([item, number, history], target=["item"]))
    with pytest.raises(InputError, match="accepted: a schema, or both counts"):
        cls(item_count=3)
    with pytest.raises(InputError, match="accepted: a schema, or both counts"):
        cls(SCHEMA, 3)
    with pytest.raises(InputError, match="accepted: a schema, or both counts"):
        cls()


@pytest.mark.slow
def test_a_table_for_which_there_is_no_memory_is_told():
    """TensorFlow's allocator waits ten seconds for some to be freed."""
    features = [Id("item", size=9), Id("u", size=2 * 10**9, width=10**6)]
    schema = Schema([*features, History("h", of={"item": "seen"})], target=["item"])
    with pytest.raises(
        InputError, match="feature 'u': there is no memory for a table of 2,000,000,000"
    ):
        DIN(schema)


def test_a_vocabulary_of_integers_and_hashed_integers_are_looked_up():
    schema = Schema(
        [
            Id("item", vocabulary=[7, -1, 900], width=2),
            Id("shop", size=10, hashed=True, dtype="int64", width=2),
            History("history", of={"item": "seen"}),
        ],
        target=["item"],
    )
    model = DIN(schema, units=(3,))
    shop = 2**40
    rows = {"item": np.array([0, 7, -1, 900, 5]), "shop": np.array([0, shop, 1, 1, 1])}
    found = keras.Model(
        model.input, [model.get_layer("item_rows").output, model.get_layer("shop_rows").output]
    ).predict({**rows, "seen": np.zeros((5, 1), np.int64)}, verbose=0)
    first = found[0][0] if isinstance(found[0], list) else found[0]
    assert first.ravel().tolist() == [0, 2, 3, 4, 1]
    bucket = int(tf.strings.to_hash_bucket_fast(str(shop), 10))
    assert found[1].ravel().tolist()[:2] == [0, 1 + bucket]


@pytest.mark.slow
def test_columns_have_names_that_tensorflow_has_no_scopes_for(tmp_path):
    item, word = Id("item id", vocabulary=[3, 5], width=2), Id("größe", hashed=True, size=9)
    tags = Id("_tags/many", vocabulary=["a"], many=True, width=2)
    history = History("seen before", of={"item id": "seen: ids"}, numbers=["seen for"], length=3)
    schema = Schema(
        [item, word, tags, Number("class"), Number("a price"), history], target=["item id"]
    )
    row = {"item id": 3, "größe": "m", "_tags/many": ["a", "b"], "class": 1.0, "a price": 2.0}
    rows = [{**row, "seen: ids": [5] * n, "seen for": [0.5] * n} for n in range(4)]
    x = schema.examples(rows)
    model = DIEN(schema, units=(3,))
    model.compile("sgd", "binary_crossentropy")
    negatives = {negative("seen: ids"): x["seen: ids"]}
    model.fit(
        tf.data.Dataset.from_tensors((tensors(x | negatives), tf.ones([4]))), verbose=0, epochs=1
    )
    tfnorm.export_saved_model(model, tmp_path, examples=x, signatures=["tf_example"])
    found = tfnorm.load_scorer(str(tmp_path)).score(x)["score"]
    np.testing.assert_allclose(found, model(tensors(x)), atol=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("error:When providing")
@pytest.mark.parametrize("cls", [DIN, DIEN])
def test_columns_may_be_called_as_layers_are(cls, tmp_path):
    numbers = [Number(name) for name in ("score", "dense_1", "dice_1", "past_mean", "target_table")]
    history = History("past", of={"target": "history"}, numbers=["interest"], length=3)
    schema = Schema([Id("target", size=9, width=2), *numbers, history], target="target")
    row = {"target": 3, **{number.name: 1.5 for number in numbers}}
    rows = [{**row, "history": [5] * n, "interest": [0.5] * n} for n in range(4)]
    x = tensors(schema.examples(rows))
    model = cls(schema, units=(3,))
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


@pytest.mark.parametrize(
    ("column", "other", "told"),
    [
        ("seen", Number("negative_seen"), "the column 'negative_seen'"),
        ("history_seen", Number("negative_seen"), "the column 'negative_seen'"),
        ("history_seen", History("short", of={"item": "seen"}), "that of 'history_seen'"),
    ],
)
def test_an_input_for_negatives_has_a_name_of_its_own(column, other, told):
    schema = Schema(
        [Id("item", size=9, width=2), History("long", of={"item": column}), other], target="item"
    )
    DIN(schema, units=(3,))
    with pytest.raises(InputError, match=f"is called 'negative_seen', as is {told}; accepted"):
        DIEN(schema, units=(3,))


@pytest.mark.slow
@pytest.mark.parametrize("cls", [DIN, DIEN])
def test_a_model_of_other_columns_and_its_inner_layers_takes_them_by_their_names(cls, examples):
    model = make(cls)
    inner = keras.Model(model.inputs, model.get_layer("interest").output)
    found = inner.predict(tensors(examples), verbose=0)
    assert found.shape == (12, model.get_layer("interest").output.shape[-1])


@pytest.mark.parametrize("cls", [DIN, DIEN])
def test_layers_of_the_models_are_called_as_it_is_known_that_they_are(cls):
    """A column by the name of such a layer needs another layer."""
    model = make(cls, dropout=0.1)
    tables = {embedded.table_layer(SCHEMA, feature) for feature in SCHEMA.ids}
    for layer in model.layers:
        known = embedded._OWN.fullmatch(layer.name) or layer.name in {*SCHEMA.columns, *tables}
        assert known, layer.name
