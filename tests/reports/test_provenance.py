import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfnorm
from tfnorm.reports import provenance as provenance_module
from tfnorm.reports.provenance import Provenance, Stopwatch, fingerprint, with_provenance
from tfnorm.terminal import plain_text

ROWS = {"x": np.arange(6.0).reshape(3, 2), "name": np.array([b"a", b"bc", b""], object)}


class Named:
    def __init__(self, name, model=None):
        self.name, self._model = name, model

    def keras_model(self):
        return None if self._model is None else (self._model, None)


def prints(models=(), examples=None):
    return Stopwatch().provenance(dict(models), examples).fingerprints


def test_it_has_the_versions_the_time_and_how_long_it_took():
    before = datetime.now(timezone.utc)
    found = Stopwatch().provenance({})
    assert found.versions == {
        "tfnorm": tfnorm.__version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
    }
    started = datetime.fromisoformat(found.started)
    assert started.utcoffset() == timedelta(0)
    assert abs(started - before) < timedelta(seconds=2)
    assert 0 <= found.seconds < 2 and found.fingerprints == {}


def test_examples_are_told_from_others_in_any_way_but_the_order_of_their_names():
    (kept,) = prints(examples=ROWS).values()
    assert re.fullmatch("[0-9a-f]{12}", kept)
    assert prints(examples=dict(reversed(ROWS.items()))) == {"examples": kept}
    others = (
        {"x": ROWS["x"]},
        {**ROWS, "y": ROWS["x"]},
        {**ROWS, "x": ROWS["x"].astype(np.float32)},
        {**ROWS, "x": ROWS["x"].reshape(3, 2, 1)},
        {**ROWS, "x": ROWS["x"][::-1]},
        {**ROWS, "name": np.array([b"ab", b"c", b""], object)},
    )
    found = {prints(examples=other)["examples"] for other in others}
    assert len(found) == len(others) and kept not in found


def test_a_saved_model_is_its_graph_its_variables_and_its_assets(tmp_path):
    def write(folder, **files):
        for name, text in files.items():
            path = tmp_path / folder / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return fingerprint(tmp_path / folder)

    kept = {"saved_model.pb": "graph", "variables__data": "1", "assets__words__a.txt": "a"}
    one = write("one", **kept)
    assert re.fullmatch("[0-9a-f]{12}", one)
    assert write("two", **kept, **{"assets.extra__examples": "more"}) == one
    changed = [write(f"{n}", **{**kept, name: "other"}) for n, name in enumerate(kept)]
    assert len({one, *changed}) == 4
    assert fingerprint(tmp_path) is None and fingerprint(tmp_path / "none") is None


def test_a_model_is_its_file_or_its_weights_and_a_server_is_neither(tmp_path):
    file = tmp_path / "m.keras"
    file.write_bytes(b"weights")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    of_file = prints({"model": Named(str(file), model)}.items())["model"]
    assert of_file == fingerprint(file)
    of_weights = prints({"model": Named("Keras model m", model)}.items())["model"]
    assert of_weights != of_file
    model.layers[0].bias.assign([1.0])
    assert prints({"model": Named("Keras model m", model)}.items())["model"] != of_weights
    relus = [keras.Sequential([keras.Input((2,)), keras.layers.ReLU(n)]) for n in (1, 2)]
    assert len({prints([("model", Named("Keras model r", m))])["model"] for m in relus}) == 2
    for name in ("grpc://127.0.0.1:8500/din", "http://h/v1/models/din", "a\0b", "n" * 5000):
        assert prints({"model": Named(name), "against": None}.items()) == {}


def test_a_table_has_the_same_fingerprint_in_any_parts(monkeypatch):
    layer = keras.layers.Embedding(50, 3)
    model = keras.Sequential([keras.Input((2,)), layer, keras.layers.Dense(1)])
    scorer = tfnorm.load_scorer(model)

    def found():
        return Stopwatch().provenance({"model": scorer}, {"x": np.arange(40.0)}).fingerprints

    whole = found()
    monkeypatch.setattr(provenance_module, "_BLOCK", 64)
    assert found() == whole


def test_a_log_is_its_file(tmp_path):
    log = Path(tmp_path / "log")
    log.write_bytes(b"x" * 3_000_000)
    assert prints(examples=log) == {"log": fingerprint(log)}


@pytest.mark.parametrize("fingerprints", [{}, {"model": "0123", "examples": "4567"}])
def test_it_is_one_line_below_a_report(fingerprints):
    made = Provenance({"tfnorm": "0.1.0"}, "2026-01-02T03:04:05+00:00", 1.25, fingerprints)
    after = "; model 0123, examples 4567" if fingerprints else ""
    text = plain_text(with_provenance("PASSED", made), 200)
    assert text == f"PASSED\n\n  tfnorm 0.1.0; 2026-01-02T03:04:05Z, in 1.2 s{after}"
    assert plain_text(with_provenance("PASSED", None), 200) == "PASSED"
