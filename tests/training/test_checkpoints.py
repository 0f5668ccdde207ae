import keras
import numpy as np
import pytest

from tfnorm.errors import InputError
from tfnorm.training.checkpoints import Checkpoints

RECIPE = {"model": "din", "epochs": 4}


def make_model():
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    model.compile("adam", "mse", run_eagerly=True)
    model.optimizer.build(model.trainable_variables)
    return model


def make_stopping():
    return keras.callbacks.EarlyStopping(
        "val_auc", mode="max", patience=2, restore_best_weights=True
    )


def run(directory, values, *, recipe=RECIPE, start=0):
    """Epochs with these validation AUCs: the model, its early stopping, and the weights after each."""
    model, stopping = make_model(), make_stopping()
    callbacks = [stopping, Checkpoints(directory, recipe, stopping)]
    for callback in callbacks:
        callback.set_model(model)
        callback.on_train_begin()
    weights = []
    for epoch, value in enumerate(values, start=start):
        model.fit(np.ones((4, 2)), np.ones(4), verbose=0)
        weights.append(model.get_weights())
        for callback in callbacks:
            callback.on_epoch_end(epoch, {"loss": 1.0, "val_auc": value})
    return model, stopping, weights


def assert_equal(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_weights_optimizer_history_and_early_stopping_come_back(tmp_path):
    model, _, weights = run(tmp_path, [0.6, 0.8, 0.7])
    again, stopping, _ = run(tmp_path, [])
    kept = Checkpoints(tmp_path, RECIPE, None)
    assert kept.epoch == 3
    assert kept.history == {"loss": [1.0] * 3, "val_auc": [0.6, 0.8, 0.7]}
    assert_equal(again.get_weights(), model.get_weights())
    assert_equal(*([v.numpy() for v in m.optimizer.variables] for m in (again, model)))
    assert (float(stopping.best), stopping.wait, stopping.best_epoch) == (0.8, 1, 1)
    stopping.on_train_end()
    assert_equal(again.get_weights(), weights[1])


def test_early_stopping_counts_across_the_interruption(tmp_path):
    run(tmp_path, [0.8, 0.7])
    model, _, _ = run(tmp_path, [0.6], start=2)
    assert model.stop_training


def test_only_the_newest_checkpoint_is_kept_and_a_half_written_one_is_not_taken(tmp_path):
    run(tmp_path, [0.6, 0.8])
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-00002"]
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "state.json").write_text("{")
    assert Checkpoints(tmp_path, RECIPE, None).epoch == 2
    run(tmp_path, [0.9], start=2)
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-00003"]


def test_a_checkpoint_of_another_training_is_refused_and_stays(tmp_path):
    run(tmp_path, [0.6])
    with pytest.raises(InputError, match="is of a training with epochs 4, not epochs 9; accepted"):
        Checkpoints(tmp_path, {**RECIPE, "epochs": 9}, None)
    assert Checkpoints(tmp_path, RECIPE, None).epoch == 1


def test_nothing_but_checkpoints_is_removed(tmp_path):
    run(tmp_path, [0.6])
    (tmp_path / "notes.txt").write_text("mine")
    Checkpoints(tmp_path, RECIPE, None).remove()
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
