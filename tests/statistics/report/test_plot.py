"""A report as a picture."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.statistics import StatisticsReport


@pytest.fixture
def report(layer_statistics) -> StatisticsReport:
    off = layer_statistics(name="b", mean_difference=np.array([np.nan, 1, np.inf, -2]))
    return StatisticsReport("ranker", 1, [layer_statistics(name="a_dice"), off])


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_the_plot_has_a_dot_a_channel_that_is_finite(report, tmp_path, ending):
    path = tmp_path / f"statistics.{ending}"
    report.plot(path)
    if ending == "png":
        assert tf.image.decode_png(path.read_bytes()).shape[0] > 100
    else:
        assert path.read_text().count("<use") >= 4 + 4 + 2 + 4


@pytest.mark.parametrize("name", ["statistics.nothing", "no/such/folder.png"])
def test_a_plot_that_can_not_be_written_is_one_clear_error(report, tmp_path, name):
    with pytest.raises(InputError, match="the plot can't be written to"):
        report.plot(tmp_path / name)


def test_a_plot_without_matplotlib_says_how_to_get_it(report, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(InputError, match="pip install matplotlib"):
        report.plot(tmp_path / "statistics.png")
