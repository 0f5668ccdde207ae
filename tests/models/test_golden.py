"""Files that earlier versions wrote load, score and go on training as they did."""

from pathlib import Path

import keras
import numpy as np
import pytest
from models_of_tests import LABELS, make_features

from tfnorm.models import DIEN, DIN

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def scores():
    with np.load(GOLDEN / "scores.npz") as file:
        return dict(file)


@pytest.mark.parametrize(("name", "cls"), [("din", DIN), ("dien", DIEN)])
def test_a_file_of_the_first_version_loads_and_scores_as_it_did(name, cls, scores):
    model = keras.models.load_model(GOLDEN / f"{name}.keras")
    assert type(model).__name__ == cls.__name__
    found = model.predict(make_features(), verbose=0)
    np.testing.assert_allclose(found, scores[name], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_a_compiled_file_goes_on_training_as_it_did(scores):
    model = keras.models.load_model(GOLDEN / "dien.keras")
    history = model.fit(make_features(negatives=True), LABELS, verbose=0, shuffle=False).history
    np.testing.assert_allclose(history["loss"], scores["dien_next_loss"], rtol=1e-5)
