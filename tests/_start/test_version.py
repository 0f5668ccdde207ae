import re
from importlib import metadata
from pathlib import Path

import tfnorm
from tfnorm._start.version import __version__


def test_the_version_is_that_of_the_package_and_the_first_of_the_changes():
    assert tfnorm.__version__ == metadata.version("tfnorm") == __version__
    changes = (Path(__file__).parents[2] / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## (\S+)", changes, re.MULTILINE)[1] == __version__
