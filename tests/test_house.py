"""Rooms that a stranger finds: few files beside each other, none of them long."""

from pathlib import Path

import tfnorm

ROOT = Path(tfnorm.__file__).parent
MOST_FILES = 12
MOST_LINES = 350


def test_a_room_has_few_files():
    folders = [ROOT, *(path for path in ROOT.rglob("*") if path.is_dir())]
    files = {str(folder): len(list(folder.glob("*.py"))) for folder in folders}
    assert {folder: count for folder, count in files.items() if count > MOST_FILES} == {}


def test_a_file_is_short():
    lines = {str(path): len(path.read_text("utf-8").splitlines()) for path in ROOT.rglob("*.py")}
    assert {path: count for path, count in lines.items() if count > MOST_LINES} == {}
    assert len(lines) > MOST_FILES
