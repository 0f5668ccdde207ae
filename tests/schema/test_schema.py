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


def test_what_is_not_as_by_default_is_written_too(tmp_path):
    schema = Schema(
        [
            Id("item", size=5, table="items", dtype="int32"),
            Id("tags", vocabulary=[3, 4], many=True, combine="sum"),
            Number("v", length=2, scale="standard", mean=[0.1, 2.0], deviation=[1.0, 0.0]),
            History("h", of={"item": "x"}, numbers=[Number("n", scale="log")], keep="oldest"),
        ],
        target=["item"],
        weight="w",
    )
    schema.save(tmp_path / "s.json")
    assert Schema.load(tmp_path / "s.json") == schema


def test_the_path_of_a_vocabulary_is_relative_to_the_file(tmp_path):
    (tmp_path / "shelves.txt").write_text("a\nb\n")
    (tmp_path / "s.json").write_text(
        '{"features": [{"kind": "id", "name": "shelf", "vocabulary": "shelves.txt"}],'
        ' "target": ["shelf"], "label": "y"}'
    )
    assert Schema.load(tmp_path / "s.json").id("shelf").vocabulary == ("a", "b")


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


def test_the_oldest_steps_are_kept_where_that_is_asked_for():
    schema = Schema(
        [Id("item", size=9), History("h", of={"item": "x"}, length=2, keep="oldest")],
        target=["item"],
    )
    assert schema.examples([{"item": 1, "x": [4, 5, 6]}])["x"].tolist() == [[4, 5]]


def test_an_integer_that_is_hashed_is_its_decimal_digits(schema):
    assert schema.examples([row(user=12), row(user=-3)])["user"].tolist() == [b"12", b"-3"]


def test_lists_that_are_all_empty_have_a_step_of_padding(schema):
    nothing = {"hist_items": [], "hist_categories": [], "hist_seconds": [], "tags": []}
    found = schema.examples([row(**nothing)])
    assert found["hist_items"].tolist() == [[0]]
    assert found["hist_categories"].tolist() == [[b""]]
    assert found["tags"].tolist() == [[b""]]


def test_a_very_long_string_does_not_make_the_others_as_wide(schema):
    found = schema.examples([row(user="x" * 10_000), row()])["user"]
    assert found.dtype == object
    assert found.tolist() == [b"x" * 10_000, b"u1"]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"item": 100001}, r"row 1, column 'item' is 100001; accepted: ids in \[0, 100001\)"),
        ({"item": -1}, "row 1, column 'item' is -1"),
        ({"item": "x"}, "column 'item' holds strings; accepted: whole numbers"),
        ({"item": 1.5}, "column 'item' holds float64; accepted: whole numbers"),
        ({"user": 1.5}, "row 1, column 'user' is 1.5; accepted: strings or integers"),
        ({"user": None}, "row 1, column 'user' is None; accepted: strings or integers"),
        ({"item": [1]}, r"row 1, column 'item' is \[1\]; accepted: one value"),
        ({"tags": "x"}, "row 1, column 'tags' is 'x'; accepted: a list"),
        ({"price": float("nan")}, "row 1, column 'price' is nan; accepted: finite"),
        ({"price": 1e300}, "row 1, column 'price' is 1e[+]300; accepted: finite float32"),
        ({"hist_items": [1, 0, 3, 4]}, "row 1, column 'hist_items' has 0 in a history"),
        (
            {"hist_seconds": [1.0]},
            "row 1, column 'hist_seconds' has 1 values where 'hist_items' has 4; accepted: as many",
        ),
    ],
)
def test_a_value_that_is_not_as_the_schema_says_is_refused_by_row_and_column(
    schema, changed, reason
):
    with pytest.raises(InputError, match=reason):
        schema.examples([row(), row(**changed)])


def test_a_vector_has_as_many_numbers_as_its_feature():
    schema = Schema([Id("item", size=9), Number("v", length=2)], target=["item"])
    assert schema.examples([{"item": 1, "v": [1, 2.5]}])["v"].tolist() == [[1.0, 2.5]]
    with pytest.raises(InputError, match=r"row 1, column 'v' is \[1\]; accepted: a list of 2"):
        schema.examples([{"item": 1, "v": [1, 2]}, {"item": 1, "v": [1]}])


def test_a_row_without_a_column_is_refused(schema):
    lacking = row()
    del lacking["price"]
    with pytest.raises(InputError, match="row 1 has no 'price'; accepted: 'user', 'item'"):
        schema.examples([row(), lacking])


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
    ("change", "reason"),
    [
        (lambda f: [f], "the schema is a list; accepted: an object"),
        (lambda f: {**f, "labels": "x"}, "the schema has the key 'labels'; accepted: 'features'"),
        (lambda f: {k: v for k, v in f.items() if k != "label"}, "the schema has no key 'label'"),
        (lambda f: {**f, "features": {}}, "features is {}; accepted: a list"),
        (lambda f: {**f, "target": "item"}, 'target is "item"; accepted: a list of names'),
        (lambda f: {**f, "features": [3]}, "feature 1 is 3; accepted: an object"),
        (lambda f: {**f, "features": [{"name": "a"}]}, "feature 'a': kind is null; accepted: 'id'"),
        (
            lambda f: {**f, "features": [{"kind": "id", "name": "a", "buckets": 3}]},
            "feature 'a' has the key 'buckets'; accepted: 'name', 'size'",
        ),
        (lambda f: {**f, "features": [{"kind": "id"}]}, "feature 1 has no key 'name'"),
        (
            lambda f: {**f, "features": [{"kind": "id", "name": "a", "size": "9"}]},
            "feature 'a': size is '9'",
        ),
        (
            lambda f: {
                **f,
                "features": [
                    {"kind": "history", "name": "h", "of": {"a": "b"}, "numbers": [{"named": "n"}]}
                ],
            },
            "feature 'h': numbers has the key 'named'",
        ),
    ],
)
def test_a_form_that_is_no_schema_is_refused_by_feature_and_key(change, reason):
    with pytest.raises(InputError, match=reason):
        Schema.from_dict(change(FORM))


def test_a_file_that_is_no_schema_is_named(tmp_path):
    path = tmp_path / "s.json"
    with pytest.raises(InputError, match=r"s\.json can't be read: No such file"):
        Schema.load(path)
    path.write_text("{")
    with pytest.raises(InputError, match=r"s\.json is not JSON"):
        Schema.load(path)
    path.write_text("{}")
    with pytest.raises(InputError, match=r"s\.json: the schema has no key 'features'"):
        Schema.load(path)
