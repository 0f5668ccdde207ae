import shutil

import keras
import numpy as np
import pytest

from tfnorm.errors import InputError
from tfnorm.training.resume import Resume

RECIPE = {"model": "din", "epochs": 4}


def make_model():
    inputs = keras.Input((2,))
    dropped = keras.layers.Dropout(0.5)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1)(dropped))
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
    callbacks = [stopping, Resume(directory, recipe, stopping)]
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
    kept = Resume(tmp_path, RECIPE, None)
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
    assert Resume(tmp_path, RECIPE, None).epoch == 2
    run(tmp_path, [0.9], start=2)
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-00003"]


def test_a_checkpoint_of_another_training_is_refused_and_stays(tmp_path):
    run(tmp_path, [0.6])
    with pytest.raises(InputError, match="is of a training with epochs 4, not epochs 9; accepted"):
        Resume(tmp_path, {**RECIPE, "epochs": 9}, None)
    assert Resume(tmp_path, RECIPE, None).epoch == 1


def test_nothing_but_checkpoints_is_removed(tmp_path):
    run(tmp_path, [0.6])
    (tmp_path / "notes.txt").write_text("mine")
    Resume(tmp_path, RECIPE, None).done()
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def fit(model, directory, epochs, *, patience=None, values=()):
    """A training of one step an epoch, gone on with, with these values to stop by."""
    stopping = None
    callbacks = []
    if patience is not None:
        stopping = keras.callbacks.EarlyStopping(
            "value", mode="max", patience=patience, restore_best_weights=True
        )
        told = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: logs.update(value=values[epoch])
        )
        callbacks = [told, stopping]
    resume = Resume(directory, RECIPE, stopping)
    x = np.random.default_rng(0).normal(size=(8, 2))
    return resume, model.fit(
        x,
        x[:, :1],
        initial_epoch=resume.epoch,
        epochs=resume.until(epochs),
        callbacks=[*callbacks, resume],
        shuffle=False,
        verbose=0,
    )


def seeded():
    keras.utils.set_random_seed(7)
    return make_model()


@pytest.mark.slow
def test_what_dropout_draws_goes_on_too(tmp_path):
    whole = seeded()
    fit(whole, tmp_path / "whole", 4)
    fit(seeded(), tmp_path / "killed", 2)
    again = seeded()
    fit(again, tmp_path / "killed", 4)
    assert_equal(again.get_weights(), whole.get_weights())
    assert_equal(*([v.numpy() for v in m.optimizer.variables] for m in (again, whole)))


@pytest.mark.slow
def test_after_the_last_epoch_nothing_is_trained_and_the_best_weights_are_there(tmp_path):
    model = seeded()
    fit(model, tmp_path, 3, patience=5, values=[0.5, 0.9, 0.1])
    again = seeded()
    resume, fitted = fit(again, tmp_path, 3, patience=5, values=[])
    assert fitted.history == {} and resume.history["value"] == [0.5, 0.9, 0.1]
    assert_equal(again.get_weights(), model.get_weights())
    assert int(again.optimizer.iterations) == 3


def test_a_training_that_stopped_early_takes_no_further_step(tmp_path):
    model = seeded()
    fit(model, tmp_path, 9, patience=1, values=[0.9, 0.8, 0.7])
    again = seeded()
    resume, _ = fit(again, tmp_path, 9, patience=1, values=[])
    assert resume.epoch == resume.until(9) == 2
    assert int(again.optimizer.iterations) == 2
    assert_equal(again.get_weights(), model.get_weights())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *((n, b"not it") for n in ("state.json", "model.weights.h5", "best.npz", "random.npz")),
        ("state.json", b"{}"),
        ("state.json", b"[]"),
    ],
)
def test_a_damaged_checkpoint_is_named(tmp_path, name, content):
    fit(seeded(), tmp_path, 1, patience=5, values=[0.5])
    (tmp_path / "epoch-00001" / name).write_bytes(content)
    with pytest.raises(InputError, match=r"epoch-00001 can't be read: .*remove the folder"):
        fit(seeded(), tmp_path, 2, patience=5, values=[0.5, 0.6])


def test_a_folder_that_can_not_be_made_is_told_before_the_training(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"directory .*file/in can't be made: Not a directory"):
        Resume(tmp_path / "file" / "in")


def test_until_it_is_done_the_last_checkpoint_stays(tmp_path):
    resume, _ = fit(seeded(), tmp_path, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-00002"]
    resume.done()
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_killed_while_the_checkpoint_is_removed_leaves_none_that_is_damaged(tmp_path, monkeypatch):
    resume, _ = fit(seeded(), tmp_path, 2)

    def killed(folder, **options):
        if folder.exists():
            (folder / "state.json").unlink()
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(shutil, "rmtree", killed)
        resume.done()
    again, _ = fit(seeded(), tmp_path, 1)
    assert again.epoch == 0
    again.done()
    assert not list(tmp_path.iterdir())


def test_a_worker_that_does_not_write_goes_on_from_what_another_has_written(tmp_path):
    model, _, _ = run(tmp_path, [0.6, 0.8])
    other = make_model()
    resume = Resume(tmp_path, RECIPE, make_stopping(), writes=False)
    resume.set_model(other)
    resume.on_train_begin()
    assert_equal(other.get_weights(), model.get_weights())
    resume.on_epoch_end(2, {"loss": 1.0, "val_auc": 0.5})
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-00002"]
