import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from written_examples import ONE, example, write_lines, write_records

from tfnorm.errors import InputError
from tfnorm.examples.files import found
from tfnorm.examples.load import load


def test_labels_come_along(tmp_path):
    lines = [json.dumps({"x": [1, 2], "labels": i}) for i in (0, 1, 1)]
    assert load(write_lines(tmp_path / "x.jsonl", *lines), ONE).labels.tolist() == [0, 1, 1]
    np.savez(tmp_path / "x.npz", x=np.ones((2, 2)), labels=[0, 1])
    assert load(tmp_path / "x.npz", ONE).labels.tolist() == [0, 1]
    records = [example(x=[1.0, 2.0], labels=[i]) for i in (0, 1)]
    assert load(write_records(tmp_path / "x.tfrecord", records), ONE).labels.tolist() == [0, 1]
    spec = {"labels": tf.TensorSpec([None], tf.int64, "labels")}
    scorer = SimpleNamespace(
        name="a model", constants={}, places={}, signature=None, defaults={}, inputs=spec
    )
    loaded = load({"labels": np.arange(3)}, scorer)
    assert loaded.labels is None and loaded.rows["labels"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("limit", [2, 10, 999])
def test_of_a_large_file_some_rows_evenly_spread_are_kept(tmp_path, limit):
    count = 1000
    x = np.stack([np.arange(count), np.arange(count)], axis=1)
    np.savez(tmp_path / "x.npz", x=x.astype(np.float32))
    write_lines(tmp_path / "x.jsonl", *map(str, x.tolist()))
    write_records(tmp_path / "x.tfrecord", [example(x=list(map(float, row))) for row in x])
    for name in ("x.npz", "x.jsonl", "x.tfrecord"):
        loaded = load(tmp_path / name, ONE, limit)
        rows = loaded.rows["x"][:, 0]
        assert (len(rows), loaded.given, loaded.requests) == (limit, count, [])
        steps = np.diff(rows)
        assert steps.min() > 0 and steps.max() <= 2 * count / limit
        assert rows[0] == 0 and rows[-1] >= count * 0.45


@pytest.mark.parametrize("length", [0x5B, 0x7B, 0x8B1F, 0x4B50, 0x40A])
def test_a_tfrecord_is_one_whatever_the_length_of_its_first_record(tmp_path, length):
    made = (
        example(x=[1.0, 2.0], word=[b"-" * size]) for size in range(max(length - 60, 0), length)
    )
    record = next(one for one in made if len(one) == length)
    rows = load(write_records(tmp_path / "x", [record, record]), ONE).rows
    assert rows["x"].tolist() == [[1, 2], [1, 2]]


@pytest.mark.parametrize("name", ["x.npz", "x", "x.data"])
def test_arrays_are_told_by_how_the_file_begins(tmp_path, name):
    np.savez(tmp_path / "saved.npz", x=np.ones((3, 2), np.float32))
    (tmp_path / "saved.npz").rename(tmp_path / name)
    assert load(tmp_path / name, ONE).rows["x"].shape == (3, 2)


def test_a_file_that_is_not_there_says_what_is_accepted(tmp_path):
    with pytest.raises(InputError, match=r"nowhere does not exist; give an \.npz file"):
        load(tmp_path / "nowhere", ONE)


@pytest.mark.parametrize("name", [".", "*.npz"])
def test_a_folder_is_no_file_of_examples(tmp_path, name):
    with pytest.raises(InputError, match="stands for several files; accepted: one of them"):
        load(tmp_path / name, ONE)


def test_a_link_to_nothing_is_one_of_the_files_so_that_it_is_told(tmp_path):
    (tmp_path / "a.npz").touch()
    (tmp_path / "b.npz").symlink_to(tmp_path / "nowhere")
    (tmp_path / "c.npz").mkdir()
    expected = [tmp_path / "a.npz", tmp_path / "b.npz"]
    assert found(tmp_path) == found(tmp_path / "*.npz") == expected
    with pytest.raises(InputError, match=r"b\.npz does not exist"):
        load(tmp_path / "b.npz", ONE)


@pytest.mark.parametrize("place", ["s3://bucket/day", Path("gs://bucket/day/*.npz")])
def test_an_address_is_no_path(place):
    with pytest.raises(InputError, match="is an address; accepted: a path"):
        found(place)
