"""A schema's form as a file holds it."""

import json
from pathlib import Path

import pytest

from tfnorm.errors import InputError
from tfnorm.schema import History, Id, Number, Schema, json_form

ITEM = {"kind": "id", "name": "item", "size": 9, "width": 16}
FORM = {"features": [ITEM], "target": ["item"], "label": "click"}
FEATURES = [
    Id("item", size=5, table="items", dtype="int32"),
    Id("tags", vocabulary=[3, 4], many=True, combine="sum"),
    Number("v", length=2, scale="standard", mean=[0.1, 2.0], deviation=[1.0, 0.0]),
    History("h", of={"item": "x"}, numbers=["m", Number("n", scale="log")], keep="oldest"),
]


def test_what_is_as_by_default_is_left_out_but_for_the_width():
    roles = {"label": "click", "weight": None, "group": "user", "time": None}
    form = json_form.written(FEATURES, ["item"], roles)
    assert form == {
        "features": [
            {
                "kind": "id",
                "name": "item",
                "size": 5,
                "width": 16,
                "table": "items",
                "dtype": "int32",
            },
            {
                "kind": "id",
                "name": "tags",
                "width": 16,
                "vocabulary": [3, 4],
                "many": True,
                "combine": "sum",
            },
            {
                "kind": "number",
                "name": "v",
                "length": 2,
                "scale": "standard",
                "mean": [0.1, 2.0],
                "deviation": [1.0, 0.0],
            },
            {
                "kind": "history",
                "name": "h",
                "of": {"item": "x"},
                "numbers": ["m", {"name": "n", "scale": "log"}],
                "keep": "oldest",
            },
        ],
        "target": ["item"],
        "label": "click",
        "group": "user",
    }
    assert json_form.read(form, Path()) == {
        "features": FEATURES,
        "target": ["item"],
        "label": "click",
        "group": "user",
    }


def test_the_text_is_json_with_a_feature_a_line():
    form = json_form.written([*FEATURES, Id("größe", size=3)], ["item"], {"label": "click"})
    text = json_form.text(form)
    assert json.loads(text) == form
    assert len(text.splitlines()) == 7 and "größe" in text


def test_the_path_of_a_vocabulary_is_relative_to_the_folder(tmp_path):
    (tmp_path / "shelves.txt").write_text("a\nb\n")
    shelf = {"kind": "id", "name": "shelf", "vocabulary": "shelves.txt"}
    form = {"features": [shelf], "target": ["shelf"], "label": "y"}
    (feature,) = json_form.read(form, tmp_path)["features"]
    assert feature.vocabulary == ("a", "b")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda f: [f], "the schema is a list; accepted: an object"),
        (lambda f: {**f, "labels": "x"}, "the schema has the key 'labels'; accepted: 'features'"),
        (lambda f: {k: v for k, v in f.items() if k != "label"}, "the schema has no key 'label'"),
        (lambda f: {**f, "features": {}}, "features is {}; accepted: a list"),
        (lambda f: {**f, "target": "item"}, 'target is "item"; accepted: a list of names'),
        (lambda f: {**f, "target": [1]}, r"target is \[1\]; accepted: a list of names"),
        (lambda f: {**f, "features": [ITEM, 3]}, "feature 2 is 3; accepted: an object"),
        (lambda f: {**f, "features": [{"name": "a"}]}, "feature 'a': kind is null; accepted: 'id'"),
        (
            lambda f: {**f, "features": [{"kind": ["id"], "name": 3}]},
            r"feature 1: kind is \[\"id\"\]; accepted: 'id', 'number', 'history'",
        ),
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
        (
            lambda f: {
                **f,
                "features": [{"kind": "history", "name": "h", "of": {"a": "b"}, "numbers": [3]}],
            },
            "feature 'h': numbers has 3; accepted: columns",
        ),
    ],
)
def test_a_form_that_is_no_schema_is_refused_by_feature_and_key(change, reason):
    with pytest.raises(InputError, match=reason):
        json_form.read(change(FORM), Path())


def test_a_form_is_read_into_the_arguments_of_a_schema():
    assert Schema(**json_form.read(FORM, Path())) == Schema(
        [Id("item", size=9)], target=["item"], label="click"
    )
