"""Which files a log is made of."""

import os

import pytest

from tfnorm.datasets.logs.files import find, mark
from tfnorm.errors import InputError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "day" / "hour").mkdir(parents=True)
    for name in ("b.pq", "a.parquet", "day/c.parquet", "day/hour/d.parquet", "notes.txt"):
        (tmp_path / name).write_text(name)
    return tmp_path


def found(files, folder):
    return [path.relative_to(folder).as_posix() for path in find(files, (".parquet", ".pq"))]


def test_files_are_a_path_a_folder_a_pattern_or_a_list(folder):
    every = ["a.parquet", "b.pq", "day/c.parquet", "day/hour/d.parquet"]
    assert found(folder, folder) == every
    assert found(str(folder / "*.parquet"), folder) == ["a.parquet"]
    assert found(str(folder / "**" / "*.parquet"), folder) == [every[0], *every[2:]]
    assert found([folder / "day", folder / "a.parquet"], folder) == [*every[2:], "a.parquet"]
    # A file that is named may end in anything.
    assert found(folder / "notes.txt", folder) == ["notes.txt"]


def test_a_file_that_is_found_twice_is_taken_once(folder):
    assert found([folder / "b.pq", str(folder / "*.pq"), folder], folder)[:2] == [
        "b.pq",
        "a.parquet",
    ]
    assert len(found([folder, folder], folder)) == 4


def test_a_path_that_looks_like_a_pattern_is_a_path(folder):
    (folder / "day=[1]").mkdir()
    (folder / "day=[1]" / "e.pq").touch()
    assert found(folder / "day=[1]", folder) == ["day=[1]/e.pq"]


def test_none_is_refused(folder):
    with pytest.raises(InputError, match=r"no\*\.parquet is no file; accepted: files, folders"):
        find([folder, str(folder / "no*.parquet")], (".parquet",))
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: none ends in \.parquet, \.pq; accepted: files"):
        find(folder / "empty", (".parquet", ".pq"))
    with pytest.raises(InputError, match=r"files: none ends in \.parquet"):
        find([], (".parquet",))


def test_a_mark_tells_files_by_name_size_beginning_and_end_wherever_they_are(tmp_path):
    content = os.urandom(200_000)

    def marked(name, content, folder="a"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).write_bytes(content)
        return mark(tmp_path / folder / name)

    own = marked("x", content)
    assert marked("x", content, "b") == own
    others = [
        marked("y", content),
        marked("x", content + b"\0"),
        marked("x", bytes([content[0] ^ 1]) + content[1:]),
        marked("x", content[:-1] + bytes([content[-1] ^ 1])),
        marked("x", b""),
    ]
    assert len({own, *others}) == 6
