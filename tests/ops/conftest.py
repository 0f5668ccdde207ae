import numpy as np
import pytest


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(
    params=[
        pytest.param((shape, axis), id=f"rank {len(shape)}, axis {axis}")
        for shape in [(6, 3), (4, 2, 3), (3, 2, 3, 2), (2, 3, 2, 2, 3)]
        for axis in range(-len(shape), len(shape))
    ]
)
def shape_and_axis(request):
    """Every rank, with every axis that channels can be along."""
    return request.param
