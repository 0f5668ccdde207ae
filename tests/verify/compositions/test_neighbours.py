import numpy as np
import tensorflow as tf

from tfnorm.examples.records import records
from tfnorm.verify.compositions.neighbours import OTHERS, OUTSIDE, neighbours

FLOATS = np.array([[1.0, -5.0], [3.0, 2.0], [-2.0, 0.5]], np.float32)
IDS = np.array([[4, 0], [9, 7], [6, 0]], np.int32)


def _rows(**examples):
    return {name: group.rows for name, group in neighbours(examples).items()}


def test_floats_go_to_the_extremes_seen_and_to_ten_times_those():
    rows = _rows(x=FLOATS)
    assert rows["the largest values"]["x"].tolist() == [[3.0, 2.0]]
    assert rows["the smallest values"]["x"].tolist() == [[-2.0, -5.0]]
    assert rows["10x the largest"]["x"].tolist() == [[30.0, 20.0]]
    assert rows["10x the smallest"]["x"].tolist() == [[-20.0, -50.0]]
    assert rows["zeros"]["x"].tolist() == [[0.0, 0.0]]
    assert rows["copies of one example"]["x"].tolist() == [[1.0, -5.0]]


def test_other_examples_come_first_and_then_they_with_other_numbers_alone():
    groups = neighbours({"x": FLOATS, "id": IDS})
    assert next(iter(groups)) == OTHERS
    np.testing.assert_array_equal(groups[OTHERS].rows["x"], FLOATS)
    for factor in (10, -10, 1000):
        group = groups[f"others at {factor}x"]
        np.testing.assert_array_equal(group.rows["x"], FLOATS * factor)
        np.testing.assert_array_equal(group.rows["id"], IDS)


def test_of_many_examples_some_are_neighbours():
    assert neighbours({"x": np.arange(10_000.0)})[OTHERS].rows["x"].tolist()[::63] == [0, 9999]


def test_ids_take_values_seen_in_the_examples_or_zero():
    rows = _rows(x=FLOATS, id=IDS)
    for row in rows.values():
        for place in range(2):
            assert set(row["id"][:, place]) <= {0, *IDS[:, place]}
    assert rows["10x the largest"]["id"].tolist() == [[9, 7]]
    assert rows["zeros"]["id"].tolist() == [[0, 0]]


def test_each_feature_by_itself_goes_to_its_extremes():
    row = _rows(x=FLOATS, id=IDS)["extremes of single features"]
    assert row["x"].tolist()[:4] == [[3.0, -5.0], [-2.0, -5.0], [1.0, 2.0], [1.0, -5.0]]
    assert row["id"].tolist()[4:] == [[9, 0], [4, 0], [4, 7], [4, 0]]
    assert row["x"].tolist()[4:] == [[1.0, -5.0]] * 4


def test_of_many_features_some_go_to_their_extremes():
    wide = np.random.default_rng(0).normal(size=(5, 1000)).astype(np.float32)
    row = _rows(x=wide)["extremes of single features"]["x"]
    assert 100 < len(row) <= 256
    assert ((row != wide[0]).sum(axis=1) <= 1).all()


def test_without_floats_nothing_is_larger_and_equal_rows_come_once():
    rows = _rows(id=IDS, flag=np.array([True, False, False]))
    assert not [name for name in rows if "10" in name]
    assert rows["the largest values"]["flag"].tolist() == [True]


def test_strings_are_those_of_an_example():
    words = np.array([b"b", b"a", b"c"], object)
    rows = _rows(x=FLOATS, word=words)
    assert rows["the largest values"]["word"].tolist() == [b"b"]
    assert all(set(row["word"]) <= set(words) for row in rows.values())


def test_nan_and_infinity_are_no_extremes():
    rows = _rows(x=np.array([np.nan, np.inf, 2.0, -np.inf], np.float32))
    assert rows["the largest values"]["x"].tolist() == [2.0]
    assert _rows(x=np.full(3, np.nan))["the largest values"]["x"].tolist() == [0.0]


def test_ten_times_the_largest_float_stays_finite():
    rows = _rows(x=np.array([1e38, 5.0], np.float32))
    assert all(np.isfinite(row["x"]).all() for row in rows.values())


def test_rows_have_the_dtype_of_their_input():
    examples = {"x": FLOATS, "half": FLOATS.astype(np.float16), "id": IDS}
    for row in _rows(**examples).values():
        for name, array in row.items():
            assert array.dtype == examples[name].dtype
            assert array.shape[1:] == examples[name].shape[1:]


def test_a_record_with_a_bad_id_is_made_for_each_input_that_it_has():
    examples = {"id": np.array([3, 4]), "other": np.array([1, 2])}
    serialized = np.array([record.SerializeToString() for record in records(examples)], object)
    groups = neighbours(
        {"examples": serialized}, outside={"id": 9, "missing": 5}, of_records="examples"
    )
    (bad,) = groups[OUTSIDE].rows["examples"]
    feature = tf.train.Example.FromString(bad).features.feature
    assert list(feature["id"].int64_list.value) == [9]
    assert list(feature["other"].int64_list.value) == [1]
    plain = neighbours({"examples": serialized}, outside={"missing": 5}, of_records="examples")
    assert OUTSIDE not in plain
