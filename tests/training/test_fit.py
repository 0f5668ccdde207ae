import json
from dataclasses import replace

import click_rows as clicks
import numpy as np
import pytest
import tensorflow as tf

from tfnorm import datasets, training
from tfnorm.errors import InputError
from tfnorm.metrics import auc, gauc, log_loss
from tfnorm.statistics import recalibrate_statistics
from tfnorm.training import Recipe


def train(*arguments, recalibrate=False, **options):
    """Most of these look at nothing that recalibration changes, and it takes longer than their training."""
    return training.train(*arguments, recalibrate=recalibrate, **options)


def test_the_figures_are_those_of_the_model_on_the_test_split(log):
    trained = train(log, Recipe(model="base", epochs=1, batch_size=1200))
    scores = trained.model.predict(log.test.features, verbose=0)[:, 0]
    labels = log.test.labels
    assert trained.auc == pytest.approx(auc(labels, scores), abs=1e-6)
    assert trained.gauc == pytest.approx(gauc(labels, scores, log.test.users), abs=1e-2)
    assert trained.log_loss == pytest.approx(log_loss(labels, scores), abs=1e-6)
    assert trained.best_auc == log.best_auc


@pytest.mark.slow
def test_without_users_there_is_no_gauc(log):
    anonymous = replace(log, test=replace(log.test, users=None))
    trained = train(anonymous, Recipe(model="base", epochs=1, batch_size=1200))
    assert trained.gauc is None
    assert trained.auc == pytest.approx(
        auc(log.test.labels, trained.model.predict(log.test.features, verbose=0)[:, 0]), abs=1e-6
    )


def test_the_report_has_the_seed_the_recipe_and_the_versions(log):
    trained = train(log, Recipe(model="base", epochs=1, batch_size=1200, seed=5))
    found = json.loads(json.dumps(trained.to_dict(), allow_nan=False))
    assert found["seed"] == found["recipe"]["seed"] == 5
    assert found["recipe"]["model"] == "base"
    assert {"python", "tfnorm", "tensorflow", "keras", "numpy"} <= set(found["versions"])
    assert len(found["history"]["loss"]) == 1


@pytest.mark.parametrize("split", ["test", "validation"])
def test_what_is_wrong_with_a_row_that_is_scored_is_found_before_the_training(split):
    steps = []
    rows = clicks.rows(60)
    rows[50]["item"] = 5000
    good = datasets.arrays(clicks.as_arrays(clicks.rows(60)), clicks.SCHEMA)
    splits = datasets.Splits("clicks", good, good, good)
    splits = replace(splits, **{split: datasets.arrays(clicks.as_arrays(rows), clicks.SCHEMA)})
    with pytest.raises(InputError, match="row 50, column 'item' is 5000; accepted: ids"):
        train(splits, Recipe(epochs=1), progress=lambda *told: steps.append(told))
    assert not steps


@pytest.mark.slow
def test_training_stops_early_and_keeps_the_weights_before_the_worse_epoch(log):
    recipe = Recipe(
        model="base", epochs=30, batch_size=400, learning_rate=0.05, warmup=0, decay=False
    )
    splits = datasets.as_splits(log)
    examples, validation = splits.train.split_by_user(0.1)
    splits = replace(splits, train=examples, validation=validation)
    trained = train(splits, recipe)
    assert {"val_auc", "val_gauc", "val_log_loss"} <= set(trained.history)
    values = trained.history["val_auc"]
    assert len(values) < 30 and values[-1] < max(values)
    # The weights before the worse epoch are those of a training that ends there.
    best = train(splits, replace(recipe, epochs=len(values) - 1, patience=0))
    assert best.auc == pytest.approx(trained.auc, abs=1e-6)


@pytest.mark.slow
def test_some_users_are_kept_aside_unless_nothing_can_stop_early(log, monkeypatch):
    taken = []
    split = datasets.Log.split_by_user
    monkeypatch.setattr(
        datasets.Log,
        "split_by_user",
        lambda log, share, **options: taken.append(share) or split(log, share, **options),
    )
    for options in ({"epochs": 1}, {"patience": 0}):
        trained = train(log, Recipe(model="base", batch_size=1200, **options))
        assert "val_auc" not in trained.history and not taken
    trained = train(log, Recipe(model="base", batch_size=1200))
    assert len(trained.history["val_auc"]) == 2 and taken == [0.02]


def test_a_log_that_is_too_small_to_keep_some_aside_says_how_to_train_on_all_of_it(log):
    with pytest.raises(InputError, match="both parts need some; patience=0 trains on all"):
        train(replace(log, train=log.train[:2]), Recipe(model="base"))


def test_dien_is_trained_with_negatives(log):
    trained = train(log, Recipe(model="dien", epochs=1, batch_size=1200))
    # An untrained model's: log 2 of the scores, and 2 log 2 of the auxiliary loss.
    assert trained.history["loss"][0] == pytest.approx(3 * np.log(2), rel=0.05)


def test_a_click_counts_for_so_many_other_examples(log):
    light, heavy = (
        train(log, Recipe(model="base", epochs=1, batch_size=1200, positive_weight=weight))
        for weight in (1.0, 3.0)
    )
    added = heavy.history["loss"][0] - light.history["loss"][0]
    assert added == pytest.approx(2 * np.log(2) * log.train.labels.mean(), rel=0.1)


def test_the_same_seed_gives_the_same_model(log):
    first, second = (train(log, Recipe(epochs=1, batch_size=600, seed=3)).model for _ in range(2))
    for weight, expected in zip(second.get_weights(), first.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)


def tensors(examples):
    return tf.nest.map_structure(tf.constant, examples.features)


class Killed(Exception):
    """In the middle of an epoch."""


def kill_after(share):
    def progress(stage, done, total):
        if done > share * total:
            raise Killed

    return progress


@pytest.mark.slow
def test_a_training_that_was_killed_ends_with_the_model_of_an_undisturbed_one(log, tmp_path):
    recipe = Recipe(model="base", batch_size=400, warmup=0.5, dropout=0.2, patience=0)
    with pytest.raises(Killed):
        train(log, recipe, checkpoints=tmp_path, progress=kill_after(0.6))
    done = []
    trained = train(
        log, recipe, checkpoints=tmp_path, progress=lambda _, n, total: done.append((n, total))
    )
    assert done == [(1600, 2400), (2000, 2400), (2400, 2400)]
    assert int(trained.model.optimizer.iterations) == 6
    whole = train(log, recipe)
    assert trained.history == whole.history
    for weight, expected in zip(
        trained.model.get_weights(), whole.model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(weight, expected)


@pytest.mark.slow
def test_one_that_was_killed_before_the_model_was_saved_is_not_lost(log, tmp_path):
    recipe = Recipe(model="base", epochs=5, batch_size=1200, patience=1, learning_rate=0.05)
    first = train(log, recipe, checkpoints=tmp_path)
    steps = []
    again = train(log, recipe, checkpoints=tmp_path, progress=lambda *step: steps.append(step))
    assert not steps
    assert again.to_dict() == first.to_dict()


def test_a_checkpoint_of_another_log_is_refused(log, tmp_path):
    recipe = Recipe(model="base", epochs=1, batch_size=1200)
    train(log, recipe, checkpoints=tmp_path)
    other = replace(log, train=log.train[:600])
    with pytest.raises(InputError, match="is of a training with train "):
        train(other, recipe, checkpoints=tmp_path)


@pytest.mark.slow
def test_a_log_of_any_features_is_trained_on(tmp_path):
    clicks.write_parquet(tmp_path / "train.parquet", clicks.rows(96), row_group_size=32)
    clicks.write_parquet(tmp_path / "test.parquet", clicks.rows(40, start=96))
    train_log, test = (
        datasets.parquet(tmp_path / f"{name}.parquet", clicks.SCHEMA) for name in ("train", "test")
    )
    splits = datasets.Splits("clicks", train_log, test)
    trained = train(splits, Recipe(model="dien", epochs=1, batch_size=32, negatives="frequency"))
    scores = trained.model.predict(tensors(test.examples(40)), verbose=0)[:, 0]
    labels = test.examples(40).labels
    assert trained.auc == pytest.approx(auc(labels, scores), abs=1e-6)
    assert trained.gauc == pytest.approx(gauc(labels, scores, test.examples(40).users), abs=1e-6)
    assert trained.history["auxiliary_loss"][0] == pytest.approx(2 * np.log(2), rel=0.3)


def test_what_is_wrong_with_a_row_in_the_middle_of_an_epoch_is_told_in_a_line(tmp_path):
    """TensorFlow puts an error of its own around it, with the stack of its reader."""
    rows = clicks.rows(96)
    rows[90] |= {"hist_items": [10**9], "hist_categories": ["books"], "hist_seconds": [1.0]}
    clicks.write_parquet(tmp_path / "train.parquet", rows, row_group_size=16)
    log = datasets.parquet(tmp_path / "train.parquet", clicks.SCHEMA)
    with pytest.raises(InputError, match="row group 5, row 10, column 'hist_items' is 1000000000"):
        train(datasets.Splits("clicks", log, log), Recipe(model="base", epochs=1, batch_size=16))


@pytest.mark.slow
def test_statistics_are_those_of_the_training_log_unless_that_is_turned_off(log):
    recipe = Recipe(model="base", epochs=1, batch_size=1200)
    trained = training.train(log, recipe)
    weights = trained.model.get_weights()
    recalibrate_statistics(trained.model, log.train.batches(1000))
    for value, before in zip(trained.model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(value, before, rtol=1e-4, atol=1e-6)
    assert max(move.mean for move in trained.recalibrated.moves) > 0
    assert training.train(log, recipe, recalibrate=False).recalibrated is None
