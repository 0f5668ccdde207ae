import sys

import keras
import numpy as np
import pytest

from tfnorm.errors import InputError
from tfnorm.verify import load_scorer


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("missing", "missing does not exist"),
        ("missing.keras", "missing.keras does not exist"),
        ("ftp://host/model", "the scheme 'ftp' is not known; accepted: a Keras model"),
        (3, "can't score int 3; accepted: a Keras model, a .keras file"),
        (None, "can't score NoneType None"),
    ],
)
def test_a_target_that_is_none_is_refused_with_what_is_accepted(target, message):
    with pytest.raises(InputError, match=message):
        load_scorer(target)


@pytest.fixture
def model():
    return keras.Sequential([keras.Input((3,), name="x"), keras.layers.Dense(1)])


def test_each_kind_of_target_gets_its_scorer(model, tmp_path):
    model.save(tmp_path / "m.keras")
    model.export(tmp_path / "exported" / "3", verbose=False)
    x = np.float32([[1, 2, 3], [4, 5, 6]])
    for target, name in (
        (model, f"Keras model {model.name}"),
        (tmp_path / "m.keras", str(tmp_path / "m.keras")),
        (tmp_path / "exported", str(tmp_path / "exported" / "3")),
    ):
        scorer = load_scorer(target)
        assert scorer.name == name
        (scores,) = scorer.score({"x": x}).values()
        np.testing.assert_allclose(scores, x @ model.get_weights()[0], rtol=1e-5)
        scorer.close()


@pytest.mark.parametrize("kind", ["model", "file"])
def test_what_has_no_signatures_is_asked_for_none(model, kind, tmp_path):
    model.save(tmp_path / "m.keras")
    target = model if kind == "model" else tmp_path / "m.keras"
    with pytest.raises(InputError, match=r"'classify' was given, but a .*has no signatures"):
        load_scorer(target, signature="classify")


@pytest.mark.parametrize(
    ("url", "module"),
    [
        ("grpc://127.0.0.1:1/ranker", "grpc_server"),
        ("http://127.0.0.1:1/v1/models/m", "rest_server"),
    ],
)
def test_without_the_packages_of_a_server_the_error_says_how_to_get_them(url, module, monkeypatch):
    monkeypatch.setitem(sys.modules, f"tfnorm.scorers.servers.{module}", None)
    with pytest.raises(InputError, match=r"pip install '\.\[serving\]'"):
        load_scorer(url)
