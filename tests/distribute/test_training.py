"""Training by the recipe on replicas and on workers gives what one device gives."""

import json
import socket

import click_rows
import numpy as np
import pytest
from apart import FORKS, SECONDS, apart
from distribute import replicas, training_worker
from distribute.test_multi_worker import free_ports

from tfnorm.errors import InputError
from tfnorm.training import fit, strategy_scope, train

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A log in several files."""
    folder = tmp_path_factory.mktemp("log")
    for split, files, start in (("train", 4, 0), ("validation", 2, 500), ("test", 2, 900)):
        (folder / split).mkdir()
        for n in range(files):
            rows = click_rows.rows(30 + n, start=start + 50 * n)
            click_rows.write_parquet(folder / split / f"{n}.parquet", rows, row_group_size=20)
    replicas.SCHEMA.save(folder / "schema.json")
    return folder


@pytest.fixture(scope="module")
def expected(folder):
    """What one device learns."""
    return replicas.outcome(train(replicas.splits(folder), replicas.RECIPE))


def assert_alike(found, expected, rtol):
    for name, value in expected.items():
        ours, theirs = ([x] if np.isscalar(x) else x for x in (found[name], value))
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol, err_msg=name)


def test_replicas_learn_what_one_device_learns(folder, expected):
    (found,) = apart(replicas.main, (folder,))
    assert_alike(found, expected, 1e-4)


@pytest.mark.timeout(2 * SECONDS)
def test_workers_of_which_one_is_killed_are_started_again_and_learn_what_one_process_learns(
    folder, expected
):
    configs = _configs()
    files = [f"--{split}={folder}/{split}/*.parquet" for split in ("train", "validation", "test")]
    recipe = replicas.RECIPE
    arguments = [
        *("train", "--strategy", "multi-worker"),
        *(f"--schema={folder}/schema.json", *files, f"--checkpoints={folder}/checkpoints"),
        *(f"--epochs={recipe.epochs}", f"--batch-size={recipe.batch_size}"),
        *(f"--patience={recipe.patience}", f"--embedding-l2={recipe.embedding_l2}"),
        f"--positive-weight={recipe.positive_weight}",
        f"--output={folder}/din.keras",
    ]
    other = FORKS.Process(target=training_worker.killed, args=(configs[1], folder))
    other.start()
    try:
        ((status, told),) = apart(training_worker.by_command, (configs[0], arguments))
    finally:
        other.kill()
        other.join()
    assert status == 2 and not (folder / "din.keras").exists()
    assert "worker 0 of 2 has lost another in the middle; start all of them again" in told
    # The first epoch is done, and the second was not.
    assert [place.name for place in folder.glob("checkpoints/epoch-*")] == ["epoch-00001"]

    first, second = apart(training_worker.main, *((config, folder) for config in _configs()))
    assert (first.pop("writes"), second.pop("writes")) == (True, False)
    blocks = [block.where for block in replicas.splits(folder).train.blocks]
    assert (first.pop("read"), second.pop("read")) == (set(blocks[2::2]), set(blocks[1::2]))
    for name in ("weights", "statistics"):
        for one, other in zip(first[name], second[name], strict=True):
            np.testing.assert_array_equal(one, other)
    assert len(first["loss"]) == recipe.epochs and "val_auc" in expected
    assert_alike(first, expected, 1e-4)
    assert_alike(second, expected, 1e-4)


def _configs():
    workers = [f"127.0.0.1:{port}" for port in free_ports(2)]
    task = {"type": "worker"}
    return [
        json.dumps({"cluster": {"worker": workers}, "task": {**task, "index": n}}) for n in (0, 1)
    ]


@pytest.mark.parametrize(
    "config",
    [
        "",
        "{",
        "[]",
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1"]}}',
        '{"cluster": ["a:1"], "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": [1]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": "a:1"}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0.5}}',
        '{"cluster": {"worker": ["a:1", "a:1"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"chief": ["a:1"], "worker": ["a:1"]}, "task": {"type": "chief", "index": 0}}',
        '{"cluster": {"chief": ["a:1", "b:1"]}, "task": {"type": "chief", "index": 0}}',
    ],
)
def test_a_config_that_names_no_worker_is_one_clear_error(monkeypatch, config):
    monkeypatch.setenv("TF_CONFIG", config)
    with (
        pytest.raises(InputError, match=r"TF_CONFIG is .*; accepted: "),
        strategy_scope("multi-worker"),
    ):
        pass


def test_a_port_that_is_taken_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        task = {"type": "worker", "index": 0}
        config = json.dumps({"cluster": {"worker": [place, "127.0.0.1:1"]}, "task": task})
        command = ("train", "--strategy", "multi-worker")
        ((status, told),) = apart(training_worker.by_command, (config, command))
    assert status == 2
    assert told.startswith(f"tfnorm: this worker can't listen at {place}, which TF_CONFIG gives")
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"batch_size": 16}, "batch_size 16, and worker 0 8"),
        ({"checkpoints": True}, "checkpoints True, and worker 0 False"),
        ({"train": "abc"}, "train abc, and worker 0 "),
    ],
)
def test_workers_that_are_given_different_things_are_told_before_they_wait_for_each_other(
    folder, monkeypatch, other, told
):
    monkeypatch.setattr(fit, "place", lambda: (1, 2))
    monkeypatch.setattr(fit, "of_all", lambda given: [given, {**given, **other}])
    with pytest.raises(
        InputError, match=f"worker 1 was given {told}.*; accepted: the same command"
    ):
        train(replicas.splits(folder), replicas.RECIPE)


def test_a_strategy_that_there_is_not_is_an_error():
    with pytest.raises(InputError, match="strategy is 'horovod'; accepted: 'mirrored', "):
        strategy_scope("horovod").__enter__()
    with strategy_scope(None) as writes:
        assert writes
