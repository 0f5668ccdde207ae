import importlib.util

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from tfnorm.errors import InputError
from tfnorm.training import Recipe, train


def read(directory):
    """(tag, step) -> the histogram's buckets."""
    return {
        (value.tag, event.step): tf.make_ndarray(value.tensor)
        for file in directory.iterdir()
        for event in EventFileLoader(str(file)).Load()
        for value in event.summary.value
    }


def test_every_layer_has_its_histograms_after_each_epoch(log, tmp_path):
    recipe = Recipe(epochs=2, batch_size=1200, patience=0)
    model = train(log, recipe, tensorboard=tmp_path, recalibrate=False).model
    found = read(tmp_path / "histograms")
    # What cuts histories has several outputs, and computes nothing.
    single = [layer for layer in model.layers if isinstance(layer.output, keras.KerasTensor)]
    floats = [layer for layer in single if "float" in layer.output.dtype]
    assert len(single) >= len(model.layers) - 1
    expected = {f"activations/{layer.name}" for layer in floats}
    expected |= {f"gradients/{v.path}" for v in model.trainable_variables}
    expected |= {
        f"moving_statistics/{v.path}"
        for v in model.non_trainable_variables
        if v.name.startswith("moving_")
    }
    assert set(found) == {(tag, step) for tag in expected for step in (0, 1)}
    scores = model.predict({k: c[:1024] for k, c in log.train.features.items()}, verbose=0)
    buckets = found["activations/score", 1]
    assert buckets[:, 2].sum() == len(scores)
    assert (buckets[0, 0], buckets[-1, 1]) == pytest.approx((scores.min(), scores.max()), abs=1e-6)
    moving = found["moving_statistics/dice_1/moving_variance", 1]
    values = model.get_layer("dice_1").moving_variance.numpy()
    assert (moving[0, 0], moving[-1, 1]) == pytest.approx((values.min(), values.max()), rel=1e-6)
    assert all(np.isfinite(buckets).all() for buckets in found.values())


def test_losses_and_validation_figures_are_scalars(log, tmp_path):
    train(log, Recipe(model="base", epochs=2, batch_size=1200), tensorboard=tmp_path)
    assert any("loss" in tag for tag, _ in read(tmp_path / "train"))
    assert any("auc" in tag for tag, _ in read(tmp_path / "validation"))


def test_without_tensorboard_there_is_one_clear_error(log, tmp_path, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "tensorboard" else find_spec(name, *rest),
    )
    with pytest.raises(InputError, match="pip install tensorboard"):
        train(log, Recipe(), tensorboard=tmp_path / "logs")
    assert not (tmp_path / "logs").exists()
