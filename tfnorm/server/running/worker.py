"""The process of a model, which ends rather than take more memory than it may."""

from __future__ import annotations

import os
import resource
import select
import socket
import threading
from pathlib import Path

import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.scorers.messages import one_line, raised_at
from tfnorm.server.bounds import check_outputs
from tfnorm.server.memory import GIVE_BACK_SECONDS, data, give_back, large_blocks_apart, resident
from tfnorm.server.running.channel import NOT_TAKEN, TAKEN, Channel
from tfnorm.server.running.local import load
from tfnorm.server.running.messages import Call, Loaded, Message, OutOfMemory, Raised
from tfnorm.session import SavedModel

# What a file's bytes may become while they are loaded.
_LOADED = 4
# TensorFlow starts so many threads for each processor when it loads the first model.
_THREADS = 2
_UNBOUNDED_STACK_BYTES = 2**23
# The kernel ends this process before the server where the machine has no memory left.
_FIRST_TO_GO = "1000"


def work(control: socket.socket, path: Path, max_bytes: int) -> None:
    """Load a SavedModel and answer calls, until the other end of `control` is closed.

    Args:
        control: takes `Loaded` or `Raised`, and gives the connections on which calls come; for each it
            takes whether this process has a file descriptor for it.
        path: the SavedModel.
        max_bytes: what all calls that run at a time may take, beyond what the process has when the model
            is loaded.
    """
    Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO, "ascii")
    large_blocks_apart()
    channel = Channel(control)
    try:
        files = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        _take_no_more_than(max_bytes + _LOADED * files + _stacks())
        model = load(path)
    except MemoryError:
        reason = (
            f"{path} can't be loaded: it takes over {_LOADED} times its files' size; "
            "raise --max-model-megabytes"
        )
        channel.send(Raised(InputError(reason)))
        return
    # Whatever it is, it is told.
    except Exception as error:
        channel.send(_raised(error))
        return
    definitions = {name: one.SerializeToString() for name, one in model.signature_defs.items()}
    channel.send(Loaded(definitions, resident()))
    _take_no_more_than(max_bytes)
    while True:
        if not select.select([control], [], [], GIVE_BACK_SECONDS)[0]:
            give_back()
            continue
        given, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not given:
            return
        control.sendall(TAKEN if descriptors else NOT_TAKEN)
        if not descriptors:
            continue
        calls = Channel(socket.socket(fileno=descriptors[0]))
        threading.Thread(target=_answer, args=(calls, model), daemon=True).start()


def _stacks() -> int:
    """What the system counts for the stacks of TensorFlow's threads."""
    size, _ = resource.getrlimit(resource.RLIMIT_STACK)
    if size == resource.RLIM_INFINITY:
        size = _UNBOUNDED_STACK_BYTES
    return _THREADS * len(os.sched_getaffinity(0)) * size


def _take_no_more_than(more: int) -> None:
    """Have the system refuse this process more than it has now, and so much."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = data() + more
    if hard != resource.RLIM_INFINITY:
        soft = min(soft, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _answer(calls: Channel, model: SavedModel) -> None:
    try:
        while True:
            try:
                call = calls.receive()
                assert isinstance(call, Call)
                calls.send(_run(model, call))
            except MemoryError as error:
                calls.send(_raised(error))
    except (EOFError, OSError):
        return
    finally:
        # Whoever waits for an answer is not to wait for ever.
        calls.close()


def _run(model: SavedModel, call: Call) -> Message:
    try:
        found = model.run(call.feeds, signature=call.signature, outputs=call.outputs)
    except tf.errors.ResourceExhaustedError as error:
        return Raised(OutOfMemory(one_line(error)))
    # Whatever it is, it is for the caller.
    except Exception as error:
        return _raised(error)
    try:
        check_outputs(found, call.max_bytes)
    except tf.errors.ResourceExhaustedError as error:
        return _raised(error)
    return found


def _raised(error: Exception) -> Raised:
    """An error as it can be sent."""
    if isinstance(error, MemoryError):
        return Raised(OutOfMemory("Python has no memory left"))
    if isinstance(error, tf.errors.OpError):
        return Raised(error)
    if isinstance(error, InputError):
        cause = error.__cause__
        return Raised(error, cause if isinstance(cause, tf.errors.OpError) else None)
    return Raised(RuntimeError(f"{type(error).__name__}: {one_line(error)}{raised_at(error)}"))
