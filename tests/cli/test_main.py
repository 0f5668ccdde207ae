import contextlib
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import requests

from tfnorm.cli import main
from tfnorm.layers import BatchNormalization


def run(*arguments):
    with pytest.raises(SystemExit) as stopped:
        main([str(a) for a in arguments])
    return stopped.value.code


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="module")
def examples(folder):
    path = folder / "examples.npz"
    np.savez(path, x=np.random.default_rng(0).standard_normal((40, 4)).astype(np.float32))
    return path


def save_model(path, training):
    inputs = keras.Input((4,), name="x")
    normalized = BatchNormalization()(keras.layers.Dense(3)(inputs), training=training)
    model = keras.Model(inputs, keras.layers.Dense(1, name="score")(normalized))
    model(np.random.default_rng(1).standard_normal((64, 4)), training=True)
    model.save(path)
    return path


@pytest.fixture(scope="module")
def clean(folder):
    return save_model(folder / "clean.keras", None)


@pytest.fixture(scope="module")
def dependent(folder):
    return save_model(folder / "dependent.keras", True)


@pytest.fixture(scope="module")
def exported(folder, clean, examples):
    directory = folder / "exports"
    assert run("export", clean, directory, "--examples", examples) == 0
    return directory


def test_help_shows_an_example_of_each_command(capsys):
    for command in ("demo", "train", "export", "verify", "inspect", "serve"):
        assert run(command, "--help") == 0
        assert f"Example:\n    tfnorm {command}" in capsys.readouterr().out


def test_verify_exits_with_0_where_scores_do_not_depend_on_the_batch(exported, folder, capsys):
    report = folder / "report.json"
    assert run("verify", exported, "--json", report) == 0
    assert "PASSED" in capsys.readouterr().out
    assert json.loads(report.read_text())["passed"] is True


def test_an_export_can_be_asked_for_the_same_bits_in_every_batch(clean, examples, exported, folder):
    directory = folder / "bitwise"
    options = ["--examples", examples, "--batch-invariance", "bitwise"]
    assert run("export", clean, directory, *options) == 0
    assert run("verify", directory, "--bitwise") == 0
    assert run("verify", exported, "--bitwise") == 1


def test_verify_exits_with_1_where_they_do(dependent, examples, capsys):
    assert run("verify", dependent, "--examples", examples) == 1
    assert "FAILED" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["verify", "nowhere"], "nowhere does not exist"),
        (["verify", "http://127.0.0.1:9/v1/models/din"], "127.0.0.1:9"),
        (["verify"], "Missing argument 'TARGET'"),
        (["verify", "x", "--batch-size", "many"], "'many' is not a valid integer"),
        (["train", "--output", "model.h5"], "accepted: a file that ends in .keras"),
        (["train", "--dataset", "amazon"], "needs --data-dir"),
        (["train", "--dataset", "amazon", "--data-dir", "nowhere"], "needs --category"),
        (["demo", "--epochs", "0"], "0 is not in the range x>=1"),
        (["demo", "--json", "nowhere/report.json"], "nowhere/report.json can't be written"),
        (["export", "nowhere.keras", "exports"], "nowhere.keras"),
        (["export", "m.keras", "exports", "--batch-invariance", "exact"], "'exact' is not one of"),
        (["serve", "nowhere", "--name", "din", "--port", "0", "--rest-port", "0"], "nowhere"),
        (["serve", "x", "--name", "din", "--batching-parameters", "none"], "none can't be read"),
        (["nonesuch"], "No such command 'nonesuch'"),
    ],
)
def test_bad_input_gets_one_line_and_exit_status_2(
    arguments, reason, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("tfnorm: ")
    assert len(error.strip().splitlines()) == 1
    assert reason in error
    assert not list(tmp_path.iterdir())


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.slow
def test_serve_answers_until_ctrl_c(exported, tmp_path):
    port, rest_port = free_port(), free_port()
    command = [sys.executable, "-c", "from tfnorm.cli import main; main()", "serve", str(exported)]
    parameters = tmp_path / "batching.config"
    parameters.write_text("max_batch_size { value: 8 }")
    options = ["--name", "clean", "--port", str(port), "--rest-port", str(rest_port)]
    options += ["--batching-parameters", str(parameters)]
    server = subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True)
    url = f"http://127.0.0.1:{rest_port}/v1/models/clean"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                assert requests.get(url, timeout=5).status_code == 200
                break
            except requests.ConnectionError:
                assert server.poll() is None and time.monotonic() < deadline
                time.sleep(0.1)
        answer = requests.post(
            f"{url}:predict", json={"instances": [[1.0, 2.0, 3.0, 4.0]]}, timeout=5
        )
        assert len(answer.json()["predictions"]) == 1
        refused = requests.post(f"{url}:predict", json={"instances": [[0.0] * 4] * 9}, timeout=5)
        assert "larger than maximum input batch size 8" in refused.json()["error"]
        server.send_signal(signal.SIGINT)
        _, log = server.communicate(timeout=20)
        assert server.returncode == 0, log
        assert "stand-in for TensorFlow Serving" in log
    finally:
        server.kill()
        server.wait()


@pytest.mark.slow
def test_ctrl_c_during_the_demo_leaves_no_process_behind(tmp_path):
    terminal, end = pty.openpty()
    demo = subprocess.Popen(
        [sys.executable, "-c", "from tfnorm.cli import main; main()", "demo"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=end,
        start_new_session=True,
    )
    os.close(end)
    shown = b""
    while b"train" not in shown:
        shown += os.read(terminal, 4096)
    os.killpg(demo.pid, signal.SIGINT)
    # What it still writes must be read, or it waits for room.
    with contextlib.suppress(OSError):
        while os.read(terminal, 4096):
            pass
    assert demo.wait(timeout=60) == 130
    with pytest.raises(ProcessLookupError):
        os.killpg(demo.pid, 0)
    os.close(terminal)
