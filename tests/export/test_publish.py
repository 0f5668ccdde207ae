import errno
import multiprocessing
import os
import sys
import time
from pathlib import Path

import pytest

from tfnorm.errors import InputError
from tfnorm.export import publish as publishing
from tfnorm.export import workplace
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


@pytest.mark.parametrize("name", ["9" * 20, str(2**63), "\u0664\u0662", "4\u0662"])
def test_a_name_that_is_no_version_to_tensorflow_serving_stops_no_export(tmp_path, name):
    (tmp_path / "2").mkdir()
    (tmp_path / name).touch()
    assert check_place(tmp_path, None) == tmp_path
    assert publish(tmp_path, None, write).name == "3"
    assert publish(tmp_path, 42, write).name == "42"


def test_after_the_highest_version_there_is_no_next_one(tmp_path):
    (tmp_path / str(2**63 - 1)).mkdir()
    with pytest.raises(InputError, match=f"has a version {2**63 - 1}, the highest that there is"):
        publish(tmp_path, None, write)
    assert publish(tmp_path, 2, write).name == "2"


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


def test_a_file_that_takes_the_next_number_meanwhile_is_left_alone(tmp_path, monkeypatch):
    taken = publishing._taken

    def late(directory):
        found = taken(directory)
        (tmp_path / "1").touch()
        return found

    monkeypatch.setattr(publishing, "_taken", late)
    assert publish(tmp_path, None, write).name == "2"
    assert (tmp_path / "1").is_file()


@pytest.mark.parametrize(
    ("directory", "message"),
    [
        ("", "directory is ''"),
        (None, "directory is None"),
        (7, "directory is 7"),
        ("gs://bucket/models", "a path on this machine"),
        ("a\0b", "a path on this machine"),
        (os.fsdecode(b"exports/\xff"), r"the path 'exports/\\udcff' is no UTF-8"),
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

    with pytest.raises(InputError, match=r"no version was added to .*: No space left on device"):
        publish(tmp_path, None, fill)
    assert names(tmp_path) == []


def test_a_folder_without_the_right_to_write_is_one_clear_error(tmp_path):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    with pytest.raises(InputError, match=r"no version was added to .*: Permission denied"):
        publish(tmp_path, None, refuse)


class Disk:
    """What is opened, synced and renamed, in this order, by the names of the files.

    Attributes:
        refused: the name of a folder -> the call that it refuses, and with what.
    """

    def __init__(self, patch):
        self.log = []
        self.refused = {}
        self._paths = {}
        self._calls = os.open, os.fsync, Path.rename
        for call in (self.open, self.fsync):
            patch.setattr(os, call.__name__, call)
        patch.setattr(Path, "rename", lambda path, target: self.rename(path, target))

    def open(self, path, *flags, **options):
        self._refuse("open", path)
        descriptor = self._calls[0](path, *flags, **options)
        self._paths[descriptor] = path
        return descriptor

    def fsync(self, descriptor):
        path = self._paths[descriptor]
        self._refuse("fsync", path)
        self._calls[1](descriptor)
        self.log.append(f"synced {Path(path).name}")

    def rename(self, path, target):
        renamed = self._calls[2](path, target)
        self.log.append(f"renamed to {Path(target).name}")
        return renamed

    def _refuse(self, call, path):
        for name, (refused, number) in self.refused.items():
            if refused == call and Path(path).match(name):
                raise OSError(number, os.strerror(number))


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


def test_a_version_is_on_the_disk_before_it_is_renamed_and_its_name_afterwards(tmp_path, disk):
    publish(tmp_path, 3, write)
    *before, renamed, last = disk.log
    *files, folder = before
    assert sorted(files) == ["synced data", "synced saved_model.pb", "synced variables"]
    assert folder.startswith("synced .tfnorm-export-")
    assert (renamed, last) == ("renamed to 3", f"synced {tmp_path.name}")


@pytest.mark.parametrize(
    ("call", "number"),
    [
        ("fsync", errno.EINVAL),
        ("fsync", errno.ENOTSUP),
        ("fsync", errno.EBADF),
        ("open", errno.EACCES),  # Windows
        ("open", errno.EISDIR),
    ],
)
def test_where_folders_can_not_be_synced_the_files_are_and_the_version_is_published(
    tmp_path, disk, recwarn, call, number
):
    for folder in ("variables", ".tfnorm-export-*", tmp_path.name):
        disk.refused[folder] = call, number
    assert publish(tmp_path, None, write) == tmp_path / "1"
    assert sorted(disk.log) == ["renamed to 1", "synced data", "synced saved_model.pb"]
    assert names(tmp_path) == ["1"]
    assert not recwarn


@pytest.mark.parametrize("name", ["data", "variables"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_what_can_not_be_written_through_to_the_disk_is_not_published(tmp_path, disk, name, number):
    disk.refused[name] = "fsync", number
    with pytest.raises(InputError, match=f"no version was added to .*: {os.strerror(number)}"):
        publish(tmp_path, None, write)
    assert names(tmp_path) == []


def test_a_file_that_is_refused_is_an_error_even_where_a_folder_would_not_be(tmp_path, disk):
    disk.refused["data"] = "fsync", errno.EINVAL
    with pytest.raises(InputError, match="Invalid argument"):
        publish(tmp_path, None, write)


def test_an_error_after_the_rename_does_not_hide_that_the_version_is_there(tmp_path, disk):
    disk.refused[tmp_path.name] = "fsync", errno.EIO
    with pytest.warns(UserWarning, match=r"/1 is there, but would be lost .*: Input/output error"):
        assert publish(tmp_path, None, write) == tmp_path / "1"
    assert names(tmp_path) == ["1"]


def test_a_lock_file_that_can_not_be_removed_does_not_hide_that_the_version_is_there(
    tmp_path, monkeypatch
):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    assert publish(tmp_path, None, write) == tmp_path / "1"


def test_on_windows_files_are_opened_to_be_written_or_fsync_would_refuse_them(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(workplace, "_lock", lambda *_, **__: None)
    opens, fsync, flags, synced = os.open, os.fsync, {}, []

    def refuse_folders(path, how):
        if Path(path).is_dir():
            raise PermissionError(errno.EACCES, "Permission denied")
        descriptor = opens(path, how)
        flags[descriptor] = how
        return descriptor

    def refuse_readers(descriptor):
        if not flags[descriptor] & os.O_RDWR:
            raise OSError(errno.EBADF, "Bad file descriptor")
        fsync(descriptor)
        synced.append(descriptor)

    monkeypatch.setattr(os, "open", refuse_folders)
    monkeypatch.setattr(os, "fsync", refuse_readers)
    assert publish(tmp_path, None, write) == tmp_path / "1"
    assert len(synced) == 2


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
