import numpy as np
import pytest
import tensorflow as tf
from verify.made_scorers import FunctionScorer

from tfnorm.errors import InputError
from tfnorm.examples.bounds import UNBOUNDED, largest_ids
from tfnorm.scorers.servers.connection import Unreachable
from tfnorm.verify import load_scorer


def _plain(**dtypes):
    return {name: np.zeros((1,), dtype) for name, dtype in dtypes.items()}


def _tables(**rows):
    """A model that looks each input up in a table, and says like TensorFlow which id is too large."""

    def score(feeds):
        for name, ids in feeds.items():
            for offset, size in rows.get(name, ()):
                wrong = ids[ids + offset >= size]
                if wrong.size:
                    raise InputError(f"indices[0] = {wrong[0] + offset} is not in [0, {size})")
        return {"score": np.zeros(1)}

    return FunctionScorer(score)


def test_each_inputs_largest_id_is_found_by_one_call_a_table():
    sizes = {f"id{i}": [(0, 5 + 7 * i)] for i in range(200)}
    scorer = _tables(**sizes)
    plain = _plain(**dict.fromkeys(sizes, np.int64))
    found = largest_ids(scorer, plain, list(plain))
    assert found == {name: rows - 1 for name, ((_, rows),) in sizes.items()}
    assert len(scorer.asked) == 201


def test_several_tables_shared_ones_and_narrow_types_are_told_apart():
    scorer = _tables(
        twice=[(0, 100), (0, 50)],
        shared=[(1000, 1020)],
        too=[(1020, 1300)],
        small=[(0, 30)],
        tiny=[(0, 30)],
    )
    plain = _plain(
        twice=np.int32, shared=np.int64, too=np.int64, small=np.uint8, tiny=np.int8, any=np.int32
    )
    found = largest_ids(scorer, plain, list(plain))
    assert found == {
        "twice": 49,
        "shared": 19,
        "too": 279,
        "small": 29,
        "tiny": 29,
        "any": UNBOUNDED,
    }


def test_refusals_that_do_not_tell_are_narrowed_down_by_halves():
    sizes = {"a": 3, "h": 1, "n": 3_000_000}

    def score(feeds):
        if any(feeds[name].max() >= size for name, size in sizes.items()):
            raise InputError("an id is too large")
        return {"score": np.zeros(1)}

    plain = _plain(**dict.fromkeys("abcdefghijklmnop", np.int64))
    scorer = FunctionScorer(score)
    found = largest_ids(scorer, plain, list(plain))
    assert {name: found[name] + 1 for name in sizes} == sizes
    assert set(found.values()) == {2, 0, 2_999_999, UNBOUNDED}
    assert len(scorer.asked) < 150


def test_floats_are_left_alone_and_a_server_that_is_gone_sets_no_bound():
    plain = {"x": np.zeros((1, 3), np.float32), **_plain(id=np.int64)}
    assert largest_ids(_tables(id=[(0, 9)]), plain, ["id"]) == {"id": 8}
    assert largest_ids(_tables(), plain, []) == {}

    def gone(feeds):
        raise Unreachable("gone")

    with pytest.raises(Unreachable):
        largest_ids(FunctionScorer(gone), plain, ["id"])


def test_what_tensorflow_says_of_its_tables_is_understood(tmp_path):
    tables = {n: tf.Variable(np.zeros((rows, 2), np.float32)) for n, rows in _ROWS.items()}

    def serve(dense, sparse, other):
        pooled = tf.nn.safe_embedding_lookup_sparse(tables["sparse"], tf.sparse.from_dense(sparse))
        looked = tf.gather(tables["dense"], dense) + tf.gather(tables["other"], other[:, 0] + 2)
        return {"score": looked + pooled}

    module = tf.Module()
    module.tables = tables
    specs = [
        tf.TensorSpec([None], tf.int64, "dense"),
        tf.TensorSpec([None, 3], tf.int64, "sparse"),
        tf.TensorSpec([None, 1], tf.int32, "other"),
    ]
    module.serve = tf.function(serve, input_signature=specs)
    tf.saved_model.save(module, str(tmp_path), signatures=module.serve)
    scorer = load_scorer(tmp_path)
    plain = {
        "dense": np.zeros(1, np.int64),
        "sparse": np.ones((1, 3), np.int64),
        "other": np.zeros((1, 1), np.int32),
    }
    assert largest_ids(scorer, plain, list(plain)) == {"dense": 6, "sparse": 10, "other": 17}


_ROWS = {"dense": 7, "sparse": 11, "other": 20}
