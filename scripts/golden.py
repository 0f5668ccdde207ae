"""Write the golden files of this version: `python scripts/golden.py`, into `tests/golden/VERSION`.

They are one small file of each kind that a release writes, with the scores that it gave. Later releases
must read them and score the same (`tests/test_golden.py`). The folder of a version that is released is
never written to again; until then a change of what is written replaces it. Run it with the oldest
TensorFlow and Keras that are supported (`.matrix/3.12-oldest/bin/python`, which `make matrix
MATRIX_ARGS='--python 3.12 --versions oldest'` leaves): what they write, newer ones read.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import tfnorm

ROOT = Path(__file__).parents[1]
ROWS = 24


def layers_model() -> keras.Model:
    """Each layer of tfnorm, trained for a few steps so that its statistics are no initial values."""
    inputs = keras.Input((4,), name="x")
    white = tfnorm.Whitening(method="pca", components=3, name="white")
    white.adapt(dense_examples()["x"])
    hidden = tfnorm.BatchNormalization(momentum=0.5, renorm=True, name="renormalized")(
        white(inputs)
    )
    hidden = keras.layers.Dense(6, name="wide")(hidden)
    hidden = tfnorm.BatchNormalization(momentum=None, name="normalized")(hidden)
    hidden = tfnorm.Dice(momentum=0.5, momentum_warmup=True, name="dice")(hidden)
    return keras.Model(
        inputs, keras.layers.Dense(1, activation="sigmoid", name="score")(hidden), name="layers"
    )


def dense_examples() -> dict[str, np.ndarray]:
    """Numbers of several scales."""
    rng = np.random.default_rng(0)
    return {"x": (rng.normal(size=(ROWS, 4)) * [1, 5, 0.1, 2] + [0, 3, 1, -2]).astype("float32")}


def log_schema() -> tfnorm.Schema:
    """A feature of each kind, in a schema that is complete."""
    return tfnorm.Schema(
        [
            tfnorm.schema.Id("item", size=20, width=4),
            tfnorm.schema.Id("shop", size=8, hashed=True, width=3),
            tfnorm.schema.Id("shelf", vocabulary=["books", "toys"], width=2),
            tfnorm.schema.Number("price", scale="log"),
            tfnorm.schema.Number("age", scale="standard", mean=40.0, deviation=10.0),
            tfnorm.schema.History("history", of={"item": "seen"}, length=5),
        ],
        target=["item"],
        label="click",
        group="user",
    )


def log_examples() -> dict[str, np.ndarray]:
    """Rows of that schema, with histories of no, some and all steps."""
    rng = np.random.default_rng(1)
    shops, shelves = (
        np.array(["ann's", "bert's", "", "émile's"]),
        np.array(["books", "toys", "garden"]),
    )
    seen = rng.integers(1, 20, (ROWS, 5))
    seen[np.arange(5) >= rng.integers(0, 6, (ROWS, 1))] = 0
    return {
        "item": rng.integers(1, 20, ROWS),
        "shop": np.char.encode(shops[rng.integers(0, 4, ROWS)], "utf-8"),
        "shelf": np.char.encode(shelves[rng.integers(0, 3, ROWS)], "utf-8"),
        "price": rng.lognormal(size=ROWS).astype("float32"),
        "age": rng.normal(40, 10, ROWS).astype("float32"),
        "seen": seen,
    }


def trained(model: keras.Model, examples: dict[str, np.ndarray]) -> keras.Model:
    """The model after a few steps; negatives are what DIEN needs beside the examples."""
    labels = np.random.default_rng(2).integers(0, 2, ROWS).astype("float32")
    if isinstance(model, tfnorm.models.DIEN):
        examples = {**examples, "negative_seen": np.where(examples["seen"] > 0, 10, 0)}
    model.compile(tfnorm.training.LazyAdam(1e-2), "binary_crossentropy")
    data = tf.data.Dataset.from_tensor_slices((examples, labels[:, None])).batch(8)
    model.fit(data, epochs=3, verbose=0)
    return model


def by_batch() -> keras.Model:
    """A model whose scores depend on the batch, so that a report on it has all that reports may have."""
    inputs = keras.Input((4,), name="x")
    hidden = keras.layers.BatchNormalization(name="normalized")(inputs)
    hidden = keras.layers.Softmax(axis=0, name="over_the_batch")(hidden)
    return keras.Model(
        inputs, keras.layers.Dense(1, activation="sigmoid", name="score")(hidden), name="by_batch"
    )


def write_log(path: Path, x: np.ndarray, scores: np.ndarray, *, labelled: bool = False) -> None:
    """Requests of six rows and their answers, as JSON lines."""
    with path.open("w") as log:
        for rows, answers in zip(np.split(x, 4), np.split(scores, 4), strict=True):
            line = {
                "request": {"instances": [{"x": row.tolist()} for row in rows]},
                "response": {"predictions": answers.tolist()},
            }
            if labelled:
                line["labels"] = [int(row[0] > 0) for row in rows]
            print(json.dumps(line), file=log)


def write(folder: Path) -> None:
    """Write all golden files into a new folder."""
    folder.mkdir(parents=True)
    keras.utils.set_random_seed(0)
    dense, rows = dense_examples(), log_examples()
    schema = log_schema()
    schema.save(folder / "schema.json")
    models = {
        "layers": (trained(layers_model(), dense), dense),
        "din": (trained(tfnorm.models.DIN(schema, units=(6, 4), attention_units=(5,)), rows), rows),
        "dien": (trained(tfnorm.models.DIEN(schema, units=(6, 4)), rows), rows),
    }
    scores = {}
    for name, (model, examples) in models.items():
        tfnorm.recalibrate_statistics(model, tf.data.Dataset.from_tensors(examples))
        model.save(folder / f"{name}.keras")
        model.save_weights(folder / f"{name}.weights.h5")
        scores[name] = np.asarray(model(examples))
    np.savez_compressed(folder / "scores.npz", **scores)
    np.savez_compressed(folder / "log_examples.npz", **rows)

    layers = models["layers"][0]
    tfnorm.export_saved_model(layers, folder / "layers", examples=dense, signatures=["tf_example"])
    tfnorm.to_numpy(layers).save(folder / "predictor")

    write_log(folder / "requests.jsonl", dense["x"], scores["layers"])
    write_log(folder / "reversed.jsonl", dense["x"], 1 - scores["layers"], labelled=True)
    # Reports name what they are of: not a path of this machine.
    os.chdir(folder)
    bad, labels = by_batch(), dense["x"][:, 0] > 0
    verify = partial(tfnorm.verify_batch_invariance, examples=dense, batch_sizes=[2, 8])
    reports = {
        "verify": verify(layers),
        "verify-failed": verify(bad, labels=labels, against=layers),
        "statistics": tfnorm.verify_statistics("layers"),
        "replay": tfnorm.replay("requests.jsonl", layers),
        "replay-different": tfnorm.replay("reversed.jsonl", layers, bad),
    }
    for name, report in reports.items():
        Path(f"{name}.json").write_text(json.dumps(report.to_dict(), indent=1) + "\n")
    versions = {"tensorflow": tf.__version__, "keras": keras.__version__}
    Path("versions.json").write_text(json.dumps(versions) + "\n")


if __name__ == "__main__":
    place = ROOT / "tests" / "golden" / tfnorm.__version__
    if place.exists():
        changes = (ROOT / "CHANGELOG.md").read_text()
        if f"## {tfnorm.__version__} (unreleased)" not in changes:
            sys.exit(f"{place} is there: golden files of a release are never changed")
        shutil.rmtree(place)
    write(place)
    print(place)
