import contextlib
import os
import pty
import signal
import subprocess
import sys

import pytest
from command_line import run


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--epochs", "0"], "epochs is 0; it must be 1 or more"),
        (
            ["--json", "nowhere/report.json"],
            "nowhere/report.json can't be written: there is no folder nowhere",
        ),
    ],
)
def test_bad_input_gets_one_line_and_exit_status_2(
    arguments, reason, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert run("demo", *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("tfnorm: ") and reason in error
    assert len(error.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_ctrl_c_during_the_demo_leaves_no_process_behind(tmp_path):
    terminal, end = pty.openpty()
    demo = subprocess.Popen(
        [sys.executable, "-m", "tfnorm", "demo"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=end,
        start_new_session=True,
        # Where the tests run in the background, Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
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
