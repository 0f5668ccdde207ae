import errno
import fcntl
import importlib.util
import multiprocessing
import sys
import types

import pytest

from tfnorm.export import publish, workplace

FORK = multiprocessing.get_context("fork")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def killed(folder, purpose="export"):
    """Leave what a killed process does; the names of its folder and of its lock."""
    before = set(names(folder))
    working = FORK.Event()

    def work():
        with workplace.workplace(folder, purpose) as place:
            (place / "half").touch()
            working.set()
            FORK.Event().wait()

    process = FORK.Process(target=work)
    process.start()
    assert working.wait(20)
    process.kill()
    process.join()
    return sorted(set(names(folder)) - before)


@pytest.fixture
def no_locks(monkeypatch):
    """A file system without locks, such as some that are mounted over a network."""

    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)


def test_the_folder_and_its_lock_are_hidden_and_gone_afterwards(tmp_path):
    with workplace.workplace(tmp_path, "export") as work:
        (work / "file").touch()
        assert names(tmp_path) == [work.name, f"{work.name}.lock"]
        assert work.name.startswith(".tfnorm-export-")
    assert names(tmp_path) == []


def test_the_folder_may_be_renamed_away(tmp_path):
    with workplace.workplace(tmp_path, "export") as work:
        (work / "file").touch()
        work.rename(tmp_path / "1")
    assert names(tmp_path) == ["1"]
    assert names(tmp_path / "1") == ["file"]


def test_an_error_goes_on_and_leaves_nothing(tmp_path):
    with (
        pytest.raises(KeyboardInterrupt),
        workplace.workplace(tmp_path, "export") as work,
    ):
        (work / "file").touch()
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_what_a_killed_process_left_is_removed_by_the_next_for_the_same_purpose(tmp_path):
    folder, lock = killed(tmp_path)
    assert (lock, names(tmp_path / folder)) == (f"{folder}.lock", ["half"])
    with workplace.workplace(tmp_path, "serving"):
        assert {folder, lock} < set(names(tmp_path))
    with workplace.workplace(tmp_path, "export") as work:
        assert names(tmp_path) == [work.name, f"{work.name}.lock"]
        assert work.name != folder


def test_a_folder_that_has_lost_its_lock_file_is_removed(tmp_path):
    _, lock = killed(tmp_path)
    (tmp_path / lock).unlink()
    with workplace.workplace(tmp_path, "export") as work:
        assert names(tmp_path) == [work.name, f"{work.name}.lock"]


def test_a_lock_file_that_has_lost_its_folder_is_removed(tmp_path):
    folder, _ = killed(tmp_path)
    (tmp_path / folder / "half").unlink()
    (tmp_path / folder).rmdir()
    with workplace.workplace(tmp_path, "export") as work:
        assert names(tmp_path) == [work.name, f"{work.name}.lock"]


def test_folders_of_other_names_are_left_alone(tmp_path):
    (tmp_path / ".tfnorm-exports").mkdir()
    (tmp_path / "tfnorm-export-1").mkdir()
    with workplace.workplace(tmp_path, "export"):
        pass
    assert names(tmp_path) == [".tfnorm-exports", "tfnorm-export-1"]


def test_work_in_progress_is_left_alone(tmp_path):
    with workplace.workplace(tmp_path, "export") as theirs:
        (theirs / "file").touch()
        with workplace.workplace(tmp_path, "export") as ours:
            assert ours != theirs
        assert names(theirs) == ["file"]
        assert names(tmp_path) == [theirs.name, f"{theirs.name}.lock"]


def test_what_can_not_be_removed_keeps_nobody_from_working(tmp_path):
    in_the_way = tmp_path / ".tfnorm-export-0.lock"
    in_the_way.mkdir()
    with workplace.workplace(tmp_path, "export") as work:
        assert work.is_dir()
    assert names(tmp_path) == [in_the_way.name]


def test_another_process_that_takes_the_lock_for_abandoned_costs_no_more_than_a_try(
    tmp_path, monkeypatch
):
    lock, taken = workplace._lock, []

    def taken_away(file, *, wait):
        lock(file, wait=wait)
        if not taken:
            (path,) = tmp_path.glob("*.lock")
            path.unlink()
            taken.append(path.name)

    monkeypatch.setattr(workplace, "_lock", taken_away)
    with workplace.workplace(tmp_path, "export") as work:
        assert names(tmp_path) == [work.name, f"{work.name}.lock"]
        # Its own name again might be removed by the process that took it away.
        assert f"{work.name}.lock" not in taken
    assert names(tmp_path) == []


def test_without_locks_there_is_a_folder_and_what_others_have_is_left_alone(tmp_path, no_locks):
    with workplace.workplace(tmp_path, "export") as theirs, workplace.workplace(tmp_path, "export"):
        assert len(names(tmp_path)) == 4
        assert theirs.is_dir()
    assert names(tmp_path) == []


def test_a_lock_that_is_refused_for_another_reason_is_an_error(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", fail)
    with (
        pytest.raises(OSError, match="Input/output error"),
        workplace.workplace(tmp_path, "export"),
    ):
        pytest.fail("went on without its lock")


@pytest.fixture
def windows(monkeypatch):
    """The modules as Windows loads them: no fcntl, but msvcrt, played by the locks there are here."""
    flock, lock, unlock = fcntl.flock, fcntl.LOCK_EX, fcntl.LOCK_EX | fcntl.LOCK_NB

    def locking(descriptor, mode, count):
        assert count == 1
        try:
            flock(descriptor, lock if mode == 1 else unlock)
        except BlockingIOError as error:
            raise PermissionError(errno.EACCES, "Permission denied") from error

    played = types.SimpleNamespace(LK_LOCK=1, LK_NBLCK=2, locking=locking)
    monkeypatch.setitem(sys.modules, "msvcrt", played)
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setattr(sys, "platform", "win32")


def loaded_anew(module):
    spec = importlib.util.spec_from_file_location("anew", module.__file__)
    fresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fresh)
    return fresh


def test_on_windows_the_modules_load_and_locks_hold(tmp_path, windows):
    assert loaded_anew(publish).publish
    workplaces = loaded_anew(workplace).workplace
    (tmp_path / ".tfnorm-export-0").mkdir()
    (tmp_path / ".tfnorm-export-0.lock").touch()
    with workplaces(tmp_path, "export") as theirs, workplaces(tmp_path, "export") as ours:
        assert names(tmp_path) == sorted(
            [theirs.name, f"{theirs.name}.lock", ours.name, f"{ours.name}.lock"]
        )
    assert names(tmp_path) == []


def test_on_windows_a_lock_file_is_removed_though_it_can_not_be_while_it_is_open(
    tmp_path, windows, monkeypatch
):
    opened, unlink = {}, workplace.Path.unlink
    opens = workplace.Path.open

    def remembered(path, *args, **options):
        opened[path] = opens(path, *args, **options)
        return opened[path]

    def refused_while_open(path, **options):
        if path in opened and not opened[path].closed:
            raise PermissionError(errno.EACCES, "Permission denied")
        unlink(path, **options)

    monkeypatch.setattr(workplace.Path, "open", remembered)
    monkeypatch.setattr(workplace.Path, "unlink", refused_while_open)
    with workplace.workplace(tmp_path, "export") as work:
        assert names(tmp_path) == [work.name, f"{work.name}.lock"]
    assert names(tmp_path) == []
