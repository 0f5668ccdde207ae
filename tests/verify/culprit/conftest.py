"""Models to look into, loaded once a module."""

import contextlib

import pytest
from hand_made import saved

from tfnorm.session import SavedModel
from tfnorm.verify.culprit.probe import Probe


@pytest.fixture(scope="module")
def probe_of(tmp_path_factory):
    """Lays a function open: `probe_of(call, *specs, **variables)`."""
    with contextlib.ExitStack() as loaded:

        def probe(call, *specs, **variables):
            directory = saved(tmp_path_factory.mktemp("model"), call, *specs, **variables)
            return Probe(loaded.enter_context(SavedModel(directory)), "serving_default")

        yield probe
