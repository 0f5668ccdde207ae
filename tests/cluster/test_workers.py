"""What becomes of files whose workers die, refuse or are not those that they should be, by a made-up Ray."""

from __future__ import annotations

from pathlib import Path

import pytest
from cluster.made_up import STARTED, Died, MadeUp, use
from ray import cloudpickle

from tfnorm._start.version import __version__
from tfnorm.cluster.worker import Worker
from tfnorm.cluster.workers import ATTEMPTS, Workers
from tfnorm.errors import InputError

FILES = [Path(f"{n}.parquet") for n in range(5)]


@pytest.fixture
def on(monkeypatch):
    """What gives workers of a made-up Ray."""

    def made(ray, **options):
        use(monkeypatch, ray)
        return Workers("somewhere", object, fingerprint="abc", **options)

    return made


def name_of(worker, file):
    return "done", file


def dies_once(of):
    """Dies the first time that it is given a file."""
    died = []

    def run(worker, file):
        if file in of and file not in died:
            died.append(file)
            return Died("the node died")
        return "done", file

    return run


def test_each_file_is_done_once_and_what_it_is_given_is_asked_for_each(on):
    ray, steps, numbers = MadeUp(name_of), [], iter(range(9))
    with on(ray) as pool:
        found = list(pool.map(FILES, lambda: (next(numbers),), lambda *step: steps.append(step)))
        assert sorted(found) == list(map(str, FILES))
        assert sorted(pool.map(FILES[:2], lambda: (0,))) == ["0.parquet", "1.parquet"]
    assert steps == [(n, 5) for n in range(1, 6)]
    assert [number for *_, number in ray.given[:5]] == [0, 1, 2, 3, 4]
    # They are kept for the next pass, and ended when all is done.
    assert ray.started == 2 and sorted(ray.killed) == [1, 2]


@pytest.mark.parametrize("of", [["0.parquet"], ["1.parquet", "4.parquet"], list(map(str, FILES))])
def test_a_worker_that_dies_is_replaced_and_its_file_is_done_again(on, of):
    ray = MadeUp(dies_once(of))
    with on(ray) as pool:
        assert sorted(pool.map(FILES)) == list(map(str, FILES))
    assert ray.started == 2 + len(of)


def test_a_file_on_which_every_worker_dies_is_named_and_skipped_by_choice(on):
    def run(worker, file):
        return Died("no memory") if file == "3.parquet" else ("done", file)

    with on(MadeUp(run)) as pool, pytest.raises(InputError, match=r"3\.parquet: 3 workers died on"):
        list(pool.map(FILES))
    with on(MadeUp(run), skip_damaged=True) as pool:
        assert len(list(pool.map(FILES))) == 4
        assert list(pool.skipped) == ["3.parquet"]


def test_a_damaged_file_is_named_or_by_choice_left_out_of_every_pass(on):
    def run(worker, file):
        return ("refused", f"{file}: row 7 is null") if file == "2.parquet" else ("done", file)

    with on(MadeUp(run)) as pool, pytest.raises(InputError, match=r"^2\.parquet: row 7 is null$"):
        list(pool.map(FILES))
    ray = MadeUp(run)
    with on(ray, skip_damaged=True) as pool:
        for _ in range(2):
            assert len(list(pool.map(FILES))) == 4
        assert pool.skipped == {"2.parquet": "2.parquet: row 7 is null"}
    assert [file for _, file in ray.given].count("2.parquet") == 1


@pytest.mark.parametrize(
    ("says", "message"),
    [
        (("refused", "din.keras does not exist"), "a worker can't start: din.keras does not exist"),
        (("done", ("0.0.1", "abc")), f"a worker has tfnorm 0.0.1; accepted: {__version__}"),
        (("done", (__version__, "def")), "another model by that path, def; accepted: abc"),
        (
            Died("task failed\nModuleNotFoundError: No module named 'tfnorm'\n"),
            "can't import what it needs: No module named 'tfnorm'; accepted",
        ),
        (
            Died("killed\nby the kernel"),
            f"{ATTEMPTS} workers died before one could begin.*: killed$",
        ),
    ],
)
def test_a_worker_that_can_not_start_is_one_line(on, says, message):
    with on(MadeUp(name_of, [says])) as pool, pytest.raises(InputError, match=message) as raised:
        list(pool.map(FILES))
    assert "\n" not in str(raised.value)


def test_a_worker_that_dies_as_it_starts_is_started_again(on):
    ray = MadeUp(name_of, [Died("gone"), STARTED])
    with on(ray) as pool:
        assert len(list(pool.map(FILES))) == 5


def test_no_worker_or_no_core_is_an_error(on, monkeypatch):
    with pytest.raises(InputError, match="workers is 0; accepted: 1 or more"):
        on(MadeUp(name_of), count=0)
    ray = MadeUp(name_of)
    monkeypatch.setattr(ray, "wait", lambda pending, timeout: ([], pending))
    with on(ray) as pool, pytest.raises(InputError, match="has placed no worker in 300 s"):
        list(pool.map(FILES))
    monkeypatch.setattr(ray, "cluster_resources", dict)
    with pytest.raises(InputError, match="'somewhere' has no core"):
        on(ray)


def test_a_worker_says_in_a_line_what_it_can_not_do():
    def fails(error):
        def work(file):
            raise error

        return work

    worker = Worker.__new__(Worker)
    for error, said in (
        (InputError("a.npz: damaged"), "a.npz: damaged"),
        (InputError("row 3 is null"), "a.npz: row 3 is null"),
        (MemoryError(), "a.npz: MemoryError: no more is said"),
        (OSError("stale\nhandle"), "a.npz: OSError: stale"),
    ):
        worker._work = fails(error)
        assert worker.run("a.npz", ()) == ("refused", said)
    worker._work = fails(KeyError("a mistake of tfnorm's"))
    with pytest.raises(KeyError):
        worker.run("a.npz", ())
    error = ModuleNotFoundError("No module named 'our_layers'")
    worker._pickled = cloudpickle.dumps(lambda: fails(error)(None))
    assert worker.start() == ("refused", "ModuleNotFoundError: No module named 'our_layers'")
