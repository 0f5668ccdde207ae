"""Keys are read from the tables of a graph, however it was made and whatever stands before them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.ops import gen_lookup_ops

from tfnorm.examples.keys import table_keys
from tfnorm.session import SavedModel

WORDS = ["red", "green", "blue"]
V1 = tf.compat.v1


def _keys(score, *specs, directory, **tables):
    """The keys of each input of a function, as plain values."""
    module = tf.Module()
    for name, table in tables.items():
        setattr(module, name, table)
    module.serve = tf.function(lambda *x: {"score": score(*x)}, input_signature=specs)
    tf.saved_model.save(module, str(directory), signatures=module.serve)
    return _read(directory)


def _read(directory):
    with SavedModel(directory) as model:
        return table_keys(model, "serving_default")


def _table(keys=("red", "green", "blue"), dtype=tf.string, value=tf.int64):
    values = tf.range(len(keys), dtype=value)
    initializer = tf.lookup.KeyValueTensorInitializer(tf.constant(keys, dtype), values)
    return tf.lookup.StaticHashTable(initializer, -1)


def _texts(name="word", *shape):
    return tf.TensorSpec([None, *shape], tf.string, name)


@pytest.mark.parametrize(
    ("lookup", "spec", "keys", "separator"),
    [
        (lambda t, x: t.lookup(x), _texts(), WORDS, None),
        (lambda t, x: t.lookup(tf.strings.lower(tf.strings.strip(x))), _texts(), WORDS, None),
        (lambda t, x: t.lookup(tf.reshape(x, [-1])), _texts("word", 2), WORDS, None),
        (lambda t, x: t.lookup(tf.strings.split(x, "|").to_tensor()), _texts(), WORDS, b"|"),
        (lambda t, x: t.lookup(tf.strings.split(x).flat_values), _texts(), WORDS, b" "),
        (
            lambda t, x: tf.cond(tf.size(x) > 0, lambda: t.lookup(x), lambda: t.lookup(x) + 1),
            _texts(),
            WORDS,
            None,
        ),
    ],
    ids=["plain", "cleaned", "reshaped", "split at |", "split at blanks", "in a branch"],
)
def test_keys_are_found_behind_what_stands_before_the_table(
    lookup, spec, keys, separator, tmp_path
):
    table = _table()
    found = _keys(lambda x: lookup(table, x), spec, directory=tmp_path, table=table)["word"]
    assert found.values.tolist() == sorted(key.encode() for key in keys)
    assert found.separator == separator


@pytest.mark.parametrize(
    ("dtype", "keys", "reserved"), [(tf.string, WORDS, ("-", "+")), (tf.int64, [7, 700], (-1, -2))]
)
def test_what_stands_for_an_empty_place_of_a_dense_table_is_no_key(dtype, keys, reserved, tmp_path):
    """The table refuses to seek it."""
    table = tf.lookup.experimental.DenseHashTable(dtype, tf.int64, 0, *reserved)
    table.insert(tf.constant(keys, dtype), tf.range(len(keys), dtype=tf.int64))
    spec = tf.TensorSpec([None], dtype, "word")
    found = _keys(table.lookup, spec, directory=tmp_path, table=table)["word"]
    plain = [key.encode() if isinstance(key, str) else key for key in keys]
    assert found.values.tolist() == sorted(plain)


def test_keys_have_the_type_of_the_input(tmp_path):
    number = _table([7, 700, 2**40], tf.int64)
    spelled = _table(["5", "-60", "none"])

    def score(small, text, code):
        return (
            number.lookup(tf.cast(small, tf.int64))
            + number.lookup(tf.strings.to_number(text, tf.int64))
            + spelled.lookup(tf.strings.as_string(code))
        )

    found = _keys(
        score,
        tf.TensorSpec([None], tf.int32, "small"),
        _texts("text"),
        tf.TensorSpec([None], tf.int64, "code"),
        directory=tmp_path,
        number=number,
        spelled=spelled,
    )
    assert found["small"].values.tolist() == [7, 700]
    assert found["small"].values.dtype == np.int32
    assert set(found["text"].values) == {b"7", b"700", b"%d" % 2**40}
    assert found["code"].values.tolist() == [-60, 5]


def test_of_several_tables_the_keys_that_all_know_come_first(tmp_path):
    one, two, other = _table(), _table(["green", "black"]), _table(["white"])

    def score(word, colour):
        return one.lookup(word) + two.lookup(word) + one.lookup(colour) + other.lookup(colour)

    found = _keys(
        score,
        _texts(),
        _texts("colour"),
        directory=tmp_path,
        one=one,
        two=two,
        other=other,
    )
    assert found["word"].values.tolist() == [b"green"]
    assert found["colour"].values.tolist() == [b"blue", b"green", b"red", b"white"]


def test_what_is_sought_by_another_tables_answer_is_no_key_of_the_input(tmp_path):
    numbers = _table([0, 1, 2], tf.int64)
    words = _table()
    found = _keys(
        lambda word: numbers.lookup(words.lookup(word)),
        _texts(),
        directory=tmp_path,
        numbers=numbers,
        words=words,
    )
    assert set(found["word"].values) == {word.encode() for word in WORDS}


def test_inputs_without_tables_and_those_of_whom_only_the_shape_counts_have_no_keys(tmp_path):
    table = _table()

    def score(word, x):
        return table.lookup(tf.reshape(word, tf.shape(x)[:1])) + tf.cast(x[:, 0], tf.int64)

    spec = tf.TensorSpec([None, 3], tf.float32, "x")
    assert set(_keys(score, _texts(), spec, directory=tmp_path, table=table)) == {"word"}


def _layers():
    adapted = keras.layers.StringLookup()
    adapted.adapt(np.array(["z", "y", "z"]))
    yield "words", keras.layers.StringLookup(vocabulary=WORDS), "string", WORDS, None
    yield "adapted", adapted, "string", ["y", "z"], None
    yield "numbers", keras.layers.IntegerLookup(vocabulary=[5, 70]), "int64", [5, 70], None
    text = keras.layers.TextVectorization(vocabulary=WORDS, output_sequence_length=4)
    yield "text", text, "string", WORDS, b" "
    letters = keras.layers.TextVectorization(
        vocabulary=list("abc"), output_sequence_length=4, split="character"
    )
    yield "letters", letters, "string", list("abc"), b""


@pytest.mark.parametrize(
    ("layer", "dtype", "keys", "separator"),
    [pytest.param(*case, id=name) for name, *case in _layers()],
)
def test_keras_layers_have_tables(layer, dtype, keys, separator, tmp_path):
    inputs = keras.Input((1,), dtype=dtype, name="word")
    keras.Model(inputs, layer(inputs)).export(str(tmp_path), verbose=False)
    found = _read(tmp_path)["word"]
    plain = [key.decode() if isinstance(key, bytes) else key for key in found.values.tolist()]
    assert plain == sorted(keys)
    assert found.separator == separator


def _file_table(path, word):
    (path / "words.txt").write_text("\n".join(WORDS))
    table = V1.lookup.StaticHashTable(
        tf.lookup.TextFileInitializer(
            str(path / "words.txt"),
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        ),
        -1,
    )
    return table.lookup(word), V1.tables_initializer()


def _old_table(path, word):
    table = gen_lookup_ops.hash_table(tf.string, tf.int64)
    start = gen_lookup_ops.initialize_table(table, tf.constant(WORDS), tf.range(3, dtype=tf.int64))
    return gen_lookup_ops.lookup_table_find(table, word, tf.constant(-1, tf.int64)), start


def _unfilled_table(path, word):
    table = V1.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(WORDS, tf.range(3, dtype=tf.int64)), -1
    )
    return table.lookup(word), tf.no_op()


@pytest.mark.parametrize(
    ("look_up", "keys"), [(_file_table, WORDS), (_old_table, WORDS), (_unfilled_table, [])]
)
def test_tables_of_tensorflow_1_are_read(look_up, keys, tmp_path):
    with tf.Graph().as_default(), V1.Session() as session:
        word = V1.placeholder(tf.string, [None], "word")
        score, start = look_up(tmp_path, word)
        builder = V1.saved_model.Builder(str(tmp_path / "model"))
        signature = V1.saved_model.predict_signature_def({"word": word}, {"score": score})
        builder.add_meta_graph_and_variables(
            session, ["serve"], {"serving_default": signature}, main_op=start
        )
        builder.save()
    found = _read(tmp_path / "model")
    assert {name: set(found[name].values) for name in found} == (
        {"word": {key.encode() for key in keys}} if keys else {}
    )
