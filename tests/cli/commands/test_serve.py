import signal
import subprocess
import sys
import time

import pytest
import requests
from command_line import free_port, run


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nowhere", "--name", "din", "--port", "0", "--rest-port", "0"], "nowhere"),
        (["x", "--name", "din", "--batching-parameters", "none"], "none can't be read"),
        (["x"], "Missing option '--name'"),
        (["x", "--name", "a", "--max-request-megabytes", "0"], "--max-request-megabytes"),
        (["x", "--name", "a", "--max-model-megabytes", "63"], "x>=64"),
    ],
)
def test_bad_input_gets_one_line_and_exit_status_2(
    arguments, reason, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert run("serve", *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("tfnorm: ") and reason in error
    assert len(error.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_serve_answers_until_ctrl_c(exported, tmp_path):
    port, rest_port = free_port(), free_port()
    command = [sys.executable, "-m", "tfnorm", "serve", str(exported)]
    parameters = tmp_path / "batching.config"
    parameters.write_text("max_batch_size { value: 8 }")
    options = ["--name", "clean", "--port", str(port), "--rest-port", str(rest_port)]
    options += ["--batching-parameters", str(parameters)]
    server = subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True)
    url = f"http://127.0.0.1:{rest_port}/v1/models/clean"
    try:
        deadline = time.monotonic() + 300
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
