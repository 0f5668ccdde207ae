"""A model in a process of its own, and what ends it."""

import os
import pickle
import resource
import shutil
import signal
import struct
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.server import Server
from tfnorm.server.running import isolated
from tfnorm.server.running.isolated import IsolatedModel
from tfnorm.server.running.launcher import Launcher
from tfnorm.server.running.local import LocalModel

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere models run in the server"
)

HALVES = {"half": np.float16, "brain": tf.bfloat16.as_numpy_dtype}
MOST = 160 * 2**20
X = {"x": np.array([1, 2], np.float32)}
LONG = {"text": np.array([b"long" * 250] * 100, object), "times": np.array(10_000, np.int32)}
LARGE = {"values": np.array(10**10)}


@pytest.fixture(scope="module")
def hungry(hungry_directory, launcher):
    with closing(IsolatedModel(hungry_directory, launcher, MOST)) as model:
        yield model


def ask(model, feeds=X, signature="serving_default", max_bytes=10**6, outputs=None):
    return model.run(feeds, signature=signature, outputs=outputs, max_bytes=max_bytes)


def spin(model, steps=2**31 - 1):
    return ask(model, {"steps": np.array(steps, np.int32)}, "spin")


class Strange:
    """Makes a folder where it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.slow
def test_inputs_that_do_not_fit_are_never_taken_for_a_message(hungry, tmp_path):
    folder = tmp_path / "strange"
    message = pickle.dumps(Strange(folder))
    data = struct.pack("<QQ", 1, len(message)) + message
    x = np.zeros(MOST // 4, np.float32)
    x.view(np.uint8)[: len(data)] = np.frombuffer(data, np.uint8)
    with pytest.raises(tf.errors.ResourceExhaustedError, match="Python has no memory left"):
        ask(hungry, {"x": x})
    np.testing.assert_array_equal(ask(hungry)["y"], [2, 4])
    assert not folder.exists()


def test_it_answers_as_a_model_in_this_process_does(everything_directory, launcher):
    rows = {"x": np.float32([[1, 2], [3, 4]])}
    asked = [
        ("serving_default", rows),
        ("embed", {"id": np.array([1, 9]), **rows}),
        ("text", {"text": np.array([b"a", b"\xff"], object)}),
        ("halves", {name: np.ones(2, dtype) for name, dtype in HALVES.items()}),
        ("regress", {"inputs": np.array([tf.train.Example().SerializeToString()], object)}),
    ]
    with (
        closing(LocalModel(everything_directory)) as here,
        closing(IsolatedModel(everything_directory, launcher, MOST)) as there,
    ):
        assert there.path == here.path
        assert there.signature_defs == here.signature_defs
        assert there.signatures == here.signatures
        for signature, feeds in asked:
            expected = ask(here, feeds, signature)
            found = ask(there, feeds, signature)
            assert found.keys() == expected.keys()
            for name, array in expected.items():
                assert found[name].dtype == array.dtype
                np.testing.assert_array_equal(found[name], array)
        for refused in ({"y": np.ones(2)}, {"id": np.array([99]), "x": rows["x"][:1]}):
            reasons = []
            for model in (here, there):
                with pytest.raises(InputError) as caught:
                    ask(model, refused, "embed")
                reasons.append(str(caught.value))
            assert reasons[0] == reasons[1]
        for model in (here, there):
            with pytest.raises(tf.errors.ResourceExhaustedError, match="24 bytes"):
                ask(model, asked[1][1], "embed", 20, ["embedding"])


def test_what_can_not_be_loaded_is_refused_with_its_cause(constants, launcher, tmp_path):
    path = shutil.copytree(constants[1], tmp_path / "1")
    (path / "variables" / "variables.index").write_bytes(b"damaged")
    with pytest.raises(InputError, match="can't be loaded") as here:
        LocalModel(path)
    with pytest.raises(InputError) as there:
        IsolatedModel(path, launcher, MOST)
    assert str(there.value) == str(here.value)
    assert there.value.__cause__.error_code == here.value.__cause__.error_code


@pytest.mark.slow
@pytest.mark.parametrize(
    ("signature", "feeds"),
    [
        ("fill", LARGE),
        ("repeat", LONG),
        ("convolve", {"size": np.array(3000)}),
    ],
)
def test_what_takes_too_much_memory_fails_and_nothing_else_does(hungry, signature, feeds):
    done = threading.Event()

    def others():
        answers = []
        while not done.is_set():
            answers.append(ask(hungry)["y"].tolist())
        return answers

    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(others) for _ in range(2)]
        try:
            with pytest.raises(tf.errors.ResourceExhaustedError) as caught:
                ask(hungry, feeds, signature)
        finally:
            done.set()
        answers = [answer for one in running for answer in one.result(60)]
    assert "160 MB that requests may take at a time" in caught.value.message
    assert "--max-model-megabytes" in caught.value.message
    assert answers == [[2, 4]] * len(answers)
    assert ask(hungry, {"values": np.array(10**6)}, "fill")["sum"] == 10**6


def test_calls_on_a_process_that_is_ended_are_repeated(hungry, eventually):
    before = hungry._process
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(spin, hungry, 20_000) for _ in range(2)]
        eventually(lambda: all(call.running() for call in calls))
        os.kill(before._number, signal.SIGKILL)
        assert [call.result(60)["value"] for call in calls] == [20_000] * 2
    assert ask(hungry)["y"].tolist() == [2, 4]
    assert hungry._process is not before


@pytest.mark.parametrize(
    ("ended_by", "kind"),
    [
        (signal.SIGTERM, tf.errors.InternalError),
        # Convolutions end so, without a word, where there are processors enough for them to lack memory.
        (signal.SIGSEGV, tf.errors.ResourceExhaustedError),
    ],
)
def test_a_call_that_ends_its_process_again_is_an_error(hungry, eventually, ended_by, kind):
    ask(hungry)
    first, before = hungry._process, hungry._started
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(spin, hungry)
        eventually(call.running)
        os.kill(first._number, signal.SIGKILL)
        eventually(lambda: hungry._started[-1] not in before)
        os.kill(hungry._started[-1]._number, ended_by)
        error = call.exception(60)
    assert isinstance(error, kind)
    assert ended_by.name in error.message
    assert ask(hungry)["y"].tolist() == [2, 4]


def test_a_repeated_call_that_never_ends_is_ended(hungry, eventually, monkeypatch):
    ask(hungry)
    monkeypatch.setattr(isolated, "_MOST_SECONDS", 0.2)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(spin, hungry)
        eventually(call.running)
        os.kill(hungry._process._number, signal.SIGKILL)
        error = call.exception(60)
    assert isinstance(error, tf.errors.DeadlineExceededError)
    assert "took over 0.2 seconds" in error.message
    assert not hungry._one_by_one.locked()
    assert ask(hungry)["y"].tolist() == [2, 4]


@pytest.mark.parametrize("which", ["the server", "the model's process"])
def test_where_no_descriptors_are_left_a_call_is_unavailable_and_nothing_ends(
    hungry, monkeypatch, which
):
    ask(hungry)
    process = hungry._process
    number = os.getpid() if which == "the server" else process._number
    before = resource.prlimit(number, resource.RLIMIT_NOFILE)
    with monkeypatch.context() as patched:
        patched.setattr(process, "_free", [])
        try:
            resource.prlimit(number, resource.RLIMIT_NOFILE, (0, before[1]))
            with pytest.raises(tf.errors.UnavailableError) as caught:
                ask(hungry)
        finally:
            resource.prlimit(number, resource.RLIMIT_NOFILE, before)
    assert f"{which} has no file descriptors left" in caught.value.message
    assert ask(hungry)["y"].tolist() == [2, 4]
    assert hungry._process is process


def test_a_model_for_which_there_is_too_little_memory_is_refused_with_the_option(
    hungry_directory, launcher
):
    with pytest.raises(InputError, match="raise --max-model-megabytes"):
        IsolatedModel(hungry_directory, launcher, 0)


def test_a_model_that_is_closed_cancels_what_runs_and_leaves_no_process(
    hungry_directory, launcher, eventually
):
    model = IsolatedModel(hungry_directory, launcher, MOST)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(spin, model)
        eventually(call.running)
        model.close()
        assert isinstance(call.exception(60), tf.errors.CancelledError)
    with pytest.raises(tf.errors.CancelledError):
        ask(model)
    with pytest.raises(ProcessLookupError):
        os.kill(model._process._number, 0)
    model.close()


def test_a_model_whose_files_are_gone_is_unavailable_once_its_process_has_ended(
    hungry_directory, launcher, tmp_path
):
    path = shutil.copytree(hungry_directory / "1", tmp_path / "1")
    with closing(IsolatedModel(path, launcher, MOST)) as model:
        shutil.rmtree(path)
        assert ask(model)["y"].tolist() == [2, 4]
        os.kill(model._process._number, signal.SIGKILL)
        with pytest.raises(tf.errors.UnavailableError, match="no other process of it starts"):
            ask(model)


@pytest.mark.slow
def test_where_processes_come_from_is_replaced_as_well(hungry_directory, launcher):
    with closing(IsolatedModel(hungry_directory, launcher, MOST)) as before:
        os.kill(launcher._nursery.pid, signal.SIGKILL)
        with closing(IsolatedModel(hungry_directory, launcher, MOST)) as after:
            assert ask(before)["y"].tolist() == ask(after)["y"].tolist() == [2, 4]


@pytest.mark.slow
def test_nothing_is_started_to_end_what_is_left_of_a_process_that_was_killed(
    hungry_directory, eventually
):
    launcher = Launcher()
    model = IsolatedModel(hungry_directory, launcher, MOST)
    nursery, number = launcher._nursery, model._process._number
    nursery.kill()
    nursery.wait()
    began = time.monotonic()
    model.close()
    launcher.close()
    assert time.monotonic() - began < 2
    assert launcher._nursery is nursery
    eventually(lambda: not is_running(number))


def is_running(number):
    """Whether a process is there, and not only its exit status for a parent that never asks."""
    try:
        return Path(f"/proc/{number}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
def test_both_apis_say_that_a_request_takes_too_much(hungry_directory, launcher, connect):
    server = Server(hungry_directory, "ranker", port=0, rest_port=0)
    server.open_model = lambda path: IsolatedModel(path, launcher, MOST)
    with server:
        client = connect(server)
        with pytest.raises(grpc.RpcError) as caught:
            client.predict(LONG, signature="repeat")
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "--max-model-megabytes" in caught.value.details()
        response = client.post({"signature_name": "fill", "inputs": 10**10})
        assert response.status_code == 429
        assert "OOM when allocating tensor with shape[10000000000]" in response.json()["error"]
        assert client.post({"instances": [1, 2]}).json() == {"predictions": [2, 4]}
