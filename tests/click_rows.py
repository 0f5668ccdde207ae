"""One small click log in every format."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import tensorflow as tf

from tfnorm.schema import History, Id, Number, Schema

COUNT = 30
SCHEMA = Schema(
    [
        Id("user", size=50, hashed=True),
        Id("item", size=101),
        Id("category", vocabulary=["books", "toys"]),
        Id("tags", size=20, hashed=True, many=True),
        Number("price", scale="log"),
        Number("embedding", length=2),
        History(
            "history",
            of={"item": "hist_items", "category": "hist_categories"},
            numbers=["hist_seconds"],
            length=4,
        ),
    ],
    target=["item", "category"],
    label="click",
    group="user",
    time="ts",
)


def rows(count, *, start=0, seed=0):
    rng = np.random.default_rng([seed, start])
    found = []
    for n in range(start, start + count):
        length = int(rng.integers(0, 7))
        found.append(
            {
                "user": f"u{n % 7}",
                "item": 1 + n % 100,
                "category": ["books", "toys", "new"][n % 3],
                "tags": [f"t{k}" for k in range(n % 3)],
                "price": float(n) / 4,
                "embedding": [float(n), -1.0],
                "hist_items": rng.integers(1, 101, length).tolist(),
                "hist_categories": rng.choice(["books", "toys"], length).tolist(),
                "hist_seconds": [float(k) for k in range(length)],
                "click": n % 2,
                "ts": 1000 + n,
            }
        )
    return found


def write_parquet(path, given, *, row_group_size=None):
    pa.parquet.write_table(pa.Table.from_pylist(given), path, row_group_size=row_group_size)


def write_jsonl(path, given):
    import json

    path.write_text("".join(json.dumps(row) + "\n" for row in given))


def write_csv(path, given):
    def cell(value):
        return "|".join(map(str, value)) if isinstance(value, list) else str(value)

    lines = [",".join(given[0])] + [",".join(cell(v) for v in row.values()) for row in given]
    path.write_text("\n".join(lines) + "\n")


def record(row):
    def feature(value):
        values = value if isinstance(value, list) else [value]
        if all(isinstance(v, str) for v in values):
            encoded = [v.encode() for v in values]
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=encoded))
        if all(isinstance(v, int) for v in values):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    features = {name: feature(v) for name, v in row.items() if v is not None and v != []}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def write_tfrecord(path, given):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for row in given:
            writer.write(record(row))


def as_arrays(given):
    def column(name):
        values = [row[name] for row in given]
        if isinstance(values[0], list) and name != "embedding":
            result = np.empty(len(values), object)
            result[:] = values
            return result
        return np.array(values)

    return {name: column(name) for name in given[0]}


def whole(log):
    """All rows of a small log."""
    return log.examples(1000)


def assert_same(found, expected):
    """The same inputs in the same order, of the same kinds."""
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype.kind == array.dtype.kind, name
        np.testing.assert_array_equal(found[name], array, err_msg=name)
