import numpy as np
import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.schema import History, Id, Number, Schema

FORM = {
    "features": [
        {"kind": "id", "name": "user", "size": 250000, "hashed": True, "width": 16},
        {"kind": "id", "name": "item", "size": 100001, "width": 18},
        {"kind": "id", "name": "category", "vocabulary": ["books", "toys"], "width": 18},
        {"kind": "id", "name": "tags", "size": 5000, "hashed": True, "width": 8, "many": True},
        {"kind": "number", "name": "price", "scale": "log"},
        {
            "kind": "history",
            "name": "history",
            "of": {"item": "hist_items", "category": "hist_categories"},
            "numbers": ["hist_seconds"],
            "length": 3,
        },
    ],
    "target": ["item", "category"],
    "label": "click",
    "group": "user",
    "time": "ts",
}


@pytest.fixture
def schema():
    return Schema.from_dict(FORM)


def test_the_features_of_a_file_are_those_of_python(schema):
    assert schema == Schema(
        [
            Id("user", size=250000, hashed=True),
            Id("item", size=100001, width=18),
            Id("category", vocabulary=["books", "toys"], width=18),
            Id("tags", size=5000, hashed=True, width=8, many=True),
            Number("price", scale="log"),
            History(
                "history",
                of={"item": "hist_items", "category": "hist_categories"},
                numbers=["hist_seconds"],
                length=3,
            ),
        ],
        target=["item", "category"],
        label="click",
        group="user",
        time="ts",
    )


def test_what_is_written_is_what_was_read_and_reads_as_the_same(schema, tmp_path):
    assert schema.to_dict() == FORM
    schema.save(tmp_path / "schema.json")
    assert Schema.load(tmp_path / "schema.json") == schema
    assert len((tmp_path / "schema.json").read_text().splitlines()) == 8


def test_inputs_and_records_have_the_columns_by_name(schema):
    found = {name: (spec.dtype.name, spec.shape.as_list()) for name, spec in schema.inputs.items()}
    assert found == {
        "user": ("string", [None]),
        "item": ("int64", [None]),
        "category": ("string", [None]),
        "tags": ("string", [None, None]),
        "price": ("float32", [None]),
        "hist_items": ("int64", [None, None]),
        "hist_categories": ("string", [None, None]),
        "hist_seconds": ("float32", [None, None]),
    }
    spec = schema.feature_spec
    assert spec["price"] == tf.io.FixedLenFeature((), tf.float32)
    assert spec["hist_items"] == tf.io.FixedLenSequenceFeature([], tf.int64, allow_missing=True)


def row(**changed):
    return {
        "user": "u1",
        "item": 7,
        "category": "toys",
        "tags": ["x", "y"],
        "price": 2.5,
        "hist_items": [1, 2, 3, 4],
        "hist_categories": ["toys", "books", "", "toys"],
        "hist_seconds": [1.0, 2.0, 3.0, 4.0],
        **changed,
    }


def test_examples_are_cut_to_the_newest_steps_and_padded_at_the_end(schema):
    short = {"hist_items": [5], "hist_categories": ["books"], "hist_seconds": [9.0], "tags": []}
    found = schema.examples([row(), row(**short)])
    assert found["user"].tolist() == [b"u1", b"u1"]
    assert found["hist_items"].tolist() == [[2, 3, 4], [5, 0, 0]]
    assert found["hist_items"].dtype == np.int64
    assert found["hist_categories"].tolist() == [[b"books", b"", b"toys"], [b"books", b"", b""]]
    assert found["hist_seconds"].tolist() == [[2.0, 3.0, 4.0], [9.0, 0.0, 0.0]]
    assert found["tags"].tolist() == [[b"x", b"y"], [b"", b""]]
    assert found["price"].dtype == np.float32


def test_statistics_of_numbers_are_set_by_name():
    schema = Schema(
        [
            Id("item", size=9),
            Number("price", scale="standard"),
            History("h", of={"item": "x"}, numbers=[Number("n", scale="standard")]),
        ],
        target=["item"],
    )
    assert [n.is_fitted for n in schema.all_numbers] == [False, False]
    done = schema.with_statistics({"price": (1.0, 2.0), "n": (3.0, 4.0)})
    assert [(n.mean, n.deviation) for n in done.all_numbers] == [(1.0, 2.0), (3.0, 4.0)]


ITEM = Id("item", size=9)


@pytest.mark.parametrize(
    ("features", "options", "reason"),
    [
        (["item"], {}, "features has a str; accepted: Id, Number, History"),
        ([ITEM, Number("item")], {}, "feature 'item' is there more than once"),
        ([ITEM, History("h", of={"item": "item"})], {}, "column 'item' is there more than once"),
        ([ITEM], {"target": ["shelf"]}, r"target is \['shelf'\]; accepted: .*'item'"),
        ([ITEM], {"target": []}, r"target is \[\]"),
        ([ITEM], {"label": "item"}, "label is 'item', which is a feature"),
        ([ITEM], {"weight": 3}, "weight is 3; accepted: the name of a column"),
        (
            [ITEM, Id("tags", size=3, many=True)],
            {"group": "tags"},
            "group is 'tags', which has several values a row; accepted: a column of one",
        ),
        (
            [ITEM, History("h", of={"item": "x"})],
            {"time": "x"},
            "time is 'x', which has several values a row",
        ),
        (
            [ITEM, Id("tag", size=3, many=True), History("h", of={"tag": "x"})],
            {"target": ["item", "tag"]},
            "feature 'h': of has 'tag'; accepted: the target's ids, one a row: 'item'",
        ),
        (
            [ITEM, Id("other", size=8, table="item")],
            {},
            "features 'item' and 'other' share the table 'item' and differ in size",
        ),
    ],
)
def test_features_that_do_not_fit_together_are_refused(features, options, reason):
    with pytest.raises(InputError, match=reason):
        Schema(features, **{"target": ["item"], **options})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, " can't be read: No such file"),
        ("{", " is not JSON"),
        ("{}", ": the schema has no key 'features'"),
        (
            '{"features": [{"kind": "id", "name": "item", "size": 9, "size": 10}]}',
            ": feature 'item' has the key 'size' more than o",
        ),
        (
            '{"label": "a", "features": [], "label": "b"}',
            ": an object has the key 'label' more than once",
        ),
    ],
)
def test_a_file_that_is_no_schema_is_named(text, reason, tmp_path):
    path = tmp_path / "s.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=rf"s\.json{reason}"):
        Schema.load(path)
