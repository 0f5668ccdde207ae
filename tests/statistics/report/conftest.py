"""Statistics as plain data, without a model."""

from __future__ import annotations

import numpy as np
import pytest

from tfnorm.statistics import LayerStatistics


@pytest.fixture
def layer_statistics():
    """Makes those of a layer with four channels; all is well, but for what is given."""

    def make(**given) -> LayerStatistics:
        well = {
            "name": "dice",
            "type": "tfnorm.Dice",
            "values": 500,
            "updated": True,
            "frozen": False,
            "by_batch": False,
            "mean_difference": np.zeros(4),
            "std_ratio": np.ones(4),
        }
        return LayerStatistics(**{**well, **given})

    return make
