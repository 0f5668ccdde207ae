import pytest

from tfnorm.server.running.local import LocalModel
from tfnorm.server.versions.loaded import LoadedVersion


@pytest.fixture(scope="session")
def loaded(everything_directory):
    """The SavedModel with every kind of signature, in memory."""
    version = LoadedVersion(3, LocalModel(everything_directory / "3"), None, 10**6)
    yield version
    version.close()
