import json

import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.export import load_feature_spec
from tfnorm.schema import History, Id, Number, Schema


@pytest.fixture
def read(tmp_path):
    """The feature specification in a file with this text, or JSON of this form."""

    def read(form):
        path = tmp_path / "records.json"
        path.write_text(form if isinstance(form, str) else json.dumps(form))
        return load_feature_spec(path)

    return read


def test_each_kind_of_feature_is_read_with_its_arguments(read):
    fixed = {"kind": "FixedLenFeature", "shape": [], "dtype": "float32", "default_value": 0}
    sequence = {"kind": "FixedLenSequenceFeature", "shape": [2], "dtype": "string"}
    found = read(
        {
            "price": fixed,
            "words": {**sequence, "allow_missing": True},
            "clicks": {"kind": "RaggedFeature", "dtype": "int64", "value_key": "c"},
            "tags": {"kind": "VarLenFeature", "dtype": "int64"},
        }
    )
    assert found["price"] == tf.io.FixedLenFeature([], tf.float32, 0)
    assert found["words"] == tf.io.FixedLenSequenceFeature([2], tf.string, allow_missing=True)
    assert found["clicks"] == tf.io.RaggedFeature(tf.int64, value_key="c")
    assert found["tags"] == tf.io.VarLenFeature(tf.int64)


def test_a_schema_gives_the_features_of_its_columns(tmp_path):
    schema = Schema(
        [Id("item", size=9), Number("price"), History("history", of={"item": "seen"})],
        target=["item"],
    )
    schema.save(tmp_path / "schema.json")
    assert load_feature_spec(tmp_path / "schema.json") == schema.feature_spec


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("{", "is not JSON"),
        ([], "is a list; accepted: input name -> feature"),
        ({"x": 3}, "'x': kind is 3; accepted: FixedLenFeature"),
        ({"x": {"kind": "Fixed"}}, "'x': kind is 'Fixed'"),
        (
            {"x": {"kind": "VarLenFeature", "dtype": "int8"}},
            "'x': dtype is 'int8'; accepted: int64",
        ),
        (
            {"x": {"kind": "VarLenFeature", "dtype": "int64", "shape": []}},
            "'x' has 'shape'; VarLenFeature takes dtype",
        ),
        ({"x": {"kind": "FixedLenFeature", "dtype": "int64"}}, "'x': .*shape"),
    ],
)
def test_what_is_no_specification_is_named(read, form, message):
    with pytest.raises(InputError, match=message):
        read(form)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.json can't be read"):
        load_feature_spec(tmp_path / "nowhere.json")
