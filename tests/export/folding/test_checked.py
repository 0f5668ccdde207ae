import keras
import numpy as np
import pytest
from export.randomized import give_weights

from tfnorm.export import export_saved_model
from tfnorm.export.difference import Tried
from tfnorm.export.folding import checked
from tfnorm.export.structure import structure
from tfnorm.export.tracing.interface import interface
from tfnorm.layers import BatchNormalization, Dice
from tfnorm.session import SavedModel

RNG = np.random.default_rng(0)
X = RNG.normal(1.0, 2.0, (64, 3)).astype(np.float32)


class Towers(keras.Model):
    """Two towers; the code also calls a layer of the second, whose graph does not know it."""

    def __init__(self):
        super().__init__()
        self.straight, self.crossed = (
            keras.Sequential(
                [
                    keras.Input((3,)),
                    keras.layers.Dense(4, name=f"dense_{name}"),
                    BatchNormalization(name=f"bn_{name}"),
                    Dice(name=f"dice_{name}"),
                ]
            )
            for name in ("straight", "crossed")
        )

    def call(self, inputs):
        return self.straight(inputs) + self.crossed(inputs) * self.crossed.layers[0](inputs)


@pytest.fixture
def towers():
    model = Towers()
    model(X)
    give_weights([model], RNG)
    return model


def test_a_fold_that_would_move_a_score_is_left_out_and_the_others_stay(towers, tmp_path):
    report = export_saved_model(towers, tmp_path, examples={"x": X}, allow_misfit_statistics=True)
    assert dict(report.folded) == {
        "bn_straight": "dense_straight",
        "dice_straight": "one subtract, multiply and add",
        "dice_crossed": "one subtract, multiply and add",
    }
    assert dict(report.not_folded)["bn_crossed"].startswith("folded, it moves a score by up to")
    with SavedModel(report.path) as saved:
        np.testing.assert_allclose(
            saved.run({"x": X})["score"], towers(X), rtol=1e-5, atol=1e-5 * np.abs(towers(X)).max()
        )


def test_layers_that_move_a_score_only_together_all_stay(towers, monkeypatch):
    # All of them do, each of the four alone does not, and so all of them are tried once more.
    moves = iter([0.5, None, None, None, None, 0.3, None])
    monkeypatch.setattr(checked, "difference", lambda *_: next(moves))
    tried = Tried({"inputs": X}, {"score": towers(X).numpy()})
    folding, traced = checked.fold_and_trace(
        interface(towers, {"inputs": X}), structure(towers), tried, {}
    )
    assert {layer.name: why for layer, why in folding.not_folded.items()} == dict.fromkeys(
        ["bn_straight", "dice_straight", "bn_crossed", "dice_crossed"],
        "folded together, the layers move a score by up to 0.3",
    )
    assert folding.folded == {}
    np.testing.assert_array_equal(traced.score(tried.features)["score"], tried.scores["score"])


def test_without_fold_the_graph_is_the_models_own(towers, tmp_path):
    report = export_saved_model(
        towers, tmp_path, examples={"x": X}, fold=False, allow_misfit_statistics=True
    )
    assert report.folded == report.not_folded == ()
    assert report.compared == 64
    with SavedModel(report.path) as saved:
        np.testing.assert_allclose(saved.run({"x": X})["score"], towers(X), rtol=1e-5, atol=1e-5)


def test_without_examples_random_inputs_are_compared_within_the_embedding_table(tmp_path):
    ids = keras.Input((None,), name="ids", dtype="int32")
    x = keras.layers.Embedding(3, 4)(ids)
    model = keras.Model(ids, BatchNormalization()(keras.layers.Dense(4)(x)))
    give_weights([model], RNG)
    report = export_saved_model(model, tmp_path)
    assert (report.examples, report.compared, len(report.folded)) == (0, 16, 1)


def test_inputs_that_can_not_be_guessed_are_not_compared(tmp_path):
    ids = keras.Input((), name="ids", dtype="int32")
    shifted = keras.layers.Embedding(3, 4)(keras.layers.Rescaling(1, -7, dtype="int32")(ids))
    model = keras.Model(ids, BatchNormalization()(keras.layers.Dense(4)(shifted)))
    give_weights([model], RNG)
    report = export_saved_model(model, tmp_path)
    assert (report.compared, len(report.folded)) == (0, 1)

    text = keras.Input((), name="text", dtype="string")
    lookup = keras.layers.StringLookup(vocabulary=["a"], output_mode="one_hot")
    model = keras.Model(text, lookup(text))
    assert export_saved_model(model, tmp_path).compared == 0
