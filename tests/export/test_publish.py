import multiprocessing
import time
from pathlib import Path

import pytest

from tfnorm.errors import InputError
from tfnorm.export.publish import check_place, publish

FORK = multiprocessing.get_context("fork")


def write(path):
    (path / "saved_model.pb").write_text("whole")
    (path / "variables").mkdir()
    (path / "variables" / "data").write_text("weights")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def start_export(folder, seconds):
    """A process that has written half of a version, and writes for so much longer."""
    writing = FORK.Event()

    def write_half(path):
        (path / "saved_model.pb").write_text("half")
        writing.set()
        time.sleep(seconds)

    process = FORK.Process(target=publish, args=(folder, None, write_half))
    process.start()
    assert writing.wait(20)
    return process


def test_a_version_appears_only_when_it_is_whole(tmp_path):
    def write_and_look(path):
        write(path)
        assert not [name for name in names(tmp_path) if not name.startswith(".")]

    assert publish(tmp_path, None, write_and_look) == tmp_path / "1"
    assert names(tmp_path) == ["1"]
    assert names(tmp_path / "1") == ["saved_model.pb", "variables"]


def test_the_next_version_is_above_every_number_that_is_there(tmp_path):
    for name in ("2", "0041", "x9", "7.tmp"):
        (tmp_path / name).mkdir()
    assert publish(tmp_path, None, write).name == "42"


@pytest.mark.parametrize("version", [0, -1, 2**63, True, 1.0, "1", "../1"])
def test_a_version_that_is_no_positive_int_is_refused(tmp_path, version):
    with pytest.raises(InputError, match="accepted: a positive int"):
        check_place(tmp_path, version)


@pytest.mark.parametrize("name", ["3", "003"])
def test_a_version_that_exists_is_refused_and_left_alone(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match="has a version 3, and a version is never overwritten"):
        check_place(tmp_path, 3)
    with pytest.raises(InputError, match="has a version 3, and a version is never overwritten"):
        publish(tmp_path, 3, write)
    assert names(tmp_path) == [name]
    assert names(tmp_path / name) == []


def test_a_version_that_appears_meanwhile_is_not_overwritten(tmp_path):
    def late(path):
        write(path)
        (tmp_path / "1").mkdir()
        (tmp_path / "1" / "theirs").touch()

    with pytest.raises(InputError, match="has a version 1"):
        publish(tmp_path, 1, late)
    assert names(tmp_path) == ["1"]
    assert names(tmp_path / "1") == ["theirs"]


@pytest.mark.parametrize(
    ("directory", "message"),
    [
        ("", "directory is ''"),
        (None, "directory is None"),
        (7, "directory is 7"),
        ("gs://bucket/models", "a path on this machine"),
        ("a\0b", "a path on this machine"),
    ],
)
def test_a_directory_that_is_no_local_path_is_refused(directory, message):
    with pytest.raises(InputError, match=message):
        check_place(directory, None)


def test_a_directory_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for directory in (tmp_path / "file", tmp_path / "file" / "below" / "it"):
        with pytest.raises(InputError, match=r"file is not a folder"):
            check_place(directory, None)


def test_a_directory_that_is_a_saved_model_is_refused(tmp_path):
    write(tmp_path)
    with pytest.raises(InputError, match="is a SavedModel itself"):
        check_place(tmp_path, None)


def test_an_error_while_writing_leaves_nothing(tmp_path):
    def fail(path):
        write(path)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish(tmp_path, None, fail)
    assert names(tmp_path) == []


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(tmp_path):
    def fill(path):
        write(path)
        with Path("/dev/full").open("wb") as disk:
            disk.write(b"weights")

    with pytest.raises(InputError, match="none is there: No space left on device"):
        publish(tmp_path, None, fill)
    assert names(tmp_path) == []


def test_a_folder_without_the_right_to_write_is_one_clear_error(tmp_path):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    with pytest.raises(InputError, match="none is there: Permission denied"):
        publish(tmp_path, None, refuse)


def test_what_a_killed_export_left_is_removed_by_the_next(tmp_path):
    process = start_export(tmp_path, 60)
    process.kill()
    process.join()
    left = names(tmp_path)
    assert len(left) == 2
    assert all(name.startswith(".") for name in left)

    publish(tmp_path, None, write)
    assert names(tmp_path) == ["1"]


def test_an_export_that_still_runs_is_left_alone_by_another(tmp_path):
    process = start_export(tmp_path, 1)
    assert publish(tmp_path, None, write).name == "1"
    assert len(names(tmp_path)) == 3
    process.join()
    assert process.exitcode == 0
    assert names(tmp_path) == ["1", "2"]
    assert (tmp_path / "2" / "saved_model.pb").read_text() == "half"


def test_exports_at_once_get_a_version_each(tmp_path):
    start = FORK.Event()

    def export():
        start.wait()
        for _ in range(10):
            publish(tmp_path, None, write)

    processes = [FORK.Process(target=export) for _ in range(4)]
    for process in processes:
        process.start()
    start.set()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert names(tmp_path) == sorted(str(number) for number in range(1, 41))
    assert all((tmp_path / name / "variables" / "data").exists() for name in names(tmp_path))
