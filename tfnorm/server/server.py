"""The development server: both APIs on two ports, started and stopped together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import uvicorn

from tfnorm.errors import InputError
from tfnorm.server.batching.parameters import BatchingParameters
from tfnorm.server.budget import Budget
from tfnorm.server.failures import described
from tfnorm.server.metrics import Metrics
from tfnorm.server.rest.api import RestApi
from tfnorm.server.rpc.api import GrpcApi
from tfnorm.server.rpc.receiving import THREADS, Receiving
from tfnorm.server.running.local import LocalModel, Model
from tfnorm.server.versions.models import Models
from tfnorm.server.versions.policy import NEWEST, VersionPolicy
from tfnorm.server.versions.reload import checked_name
from tfnorm.server.versions.served import MAX_REQUEST_BYTES, ServedModel

_log = logging.getLogger(__name__)
# Seconds that requests in flight have to end in when the server stops.
_GRACE = 1
# No proto is larger.
_LARGEST_MESSAGE = 2**31 - 1
# For a message that is a little too large, however low the bound.
_ROOM = 2**20
# Requests that may wait for a batch, each in a thread.
_WAITING = 64


class Server:
    """A development server for a SavedModel's newest version, in place of TensorFlow Serving.

    Args:
        directory: holds the versions of a SavedModel, each a folder named by its number.
        name: the model's name in requests.
        host: the address to listen on.
        port: the port of the gRPC API; 0 for any free one.
        rest_port: the port of the REST API; 0 for any free one.
        poll_seconds: how many seconds pass between two looks for a newer version.
        max_request_bytes: how many bytes a request, its tensors, its outputs and its answer may each have.
            What it is parsed into may have four times as many, so a request takes up to eleven times as many
            in all, beside what the model itself takes to work on its rows. All requests together may take
            four times as many, and one may go beyond it while the others wait.
        batching: run requests of several clients together, as `BatchingParameters` says; None to run
            each by itself.

    Attributes:
        open_model: loads the SavedModel of a version: in this process, where what it takes to run is not
            bounded; `serve` has each version run in a process of its own.

    Raises:
        InputError: the name, a port or the bound can't be one.

    Example:

        with Server("exports/ranker", "ranker", port=0, rest_port=0) as server:
            requests.post(f"{server.rest_url}:predict", json={"instances": [{"x": [1.0, 2.0]}]})

    Source:
        https://www.tensorflow.org/tfx/serving/api_rest
    """

    def __init__(
        self,
        directory: str | Path,
        name: str,
        *,
        host: str = "127.0.0.1",
        port: int = 8500,
        rest_port: int = 8501,
        poll_seconds: float = 1.0,
        max_request_bytes: int = MAX_REQUEST_BYTES,
        batching: BatchingParameters | None = None,
    ):
        checked_name(name)
        for number in (port, rest_port):
            if not 0 <= number <= 65535:
                raise InputError(f"port {number} does not exist; accepted: 0 to 65535")
        if not 1 <= max_request_bytes <= _LARGEST_MESSAGE:
            raise InputError(
                f"max_request_bytes is {max_request_bytes}; accepted: 1 to {_LARGEST_MESSAGE}"
            )
        self.directory = Path(directory)
        self.name = name
        self.host = host
        self.grpc_port = port
        self.rest_port = rest_port
        self.open_model: Callable[[Path], Model] = LocalModel
        self._poll_seconds = poll_seconds
        self._max_request_bytes = max_request_bytes
        self._batching = batching
        self._running = contextlib.ExitStack()
        self._stopped = threading.Event()

    @property
    def grpc_url(self) -> str:
        """Where the gRPC API has the model, as `tfnorm verify` takes it."""
        return f"grpc://{_address(self.host, self.grpc_port)}/{self.name}"

    @property
    def rest_url(self) -> str:
        """Where the REST API has the model."""
        return f"http://{_address(self.host, self.rest_port)}/v1/models/{self.name}"

    def start(self) -> None:
        """Load the newest version, then answer requests in threads of the server's own.

        Raises:
            InputError: the directory has no version, its newest can't be loaded, or a port can't be
                listened on.
        """
        self._stopped.clear()
        with contextlib.ExitStack() as stack:
            # Left in reverse: closing the models cancels what still runs in these threads.
            executor = stack.enter_context(
                ThreadPoolExecutor(
                    None if self._batching is None else _WAITING,
                    thread_name_prefix="tfnorm-request",
                )
            )
            threads = stack.enter_context(
                ThreadPoolExecutor(THREADS, thread_name_prefix="tfnorm-grpc")
            )
            receiving = stack.enter_context(Receiving())
            models = Models(self._load(self.name, self.directory, NEWEST))
            stack.callback(models.close, _GRACE)
            listener = stack.enter_context(_listen(self.host, self.rest_port))
            self.rest_port = listener.getsockname()[1]
            metrics = Metrics()
            budget = Budget(self._max_request_bytes)
            api = GrpcApi(
                models, executor, receiving, metrics, self._load, self._max_request_bytes, budget
            )
            rpc = self._rpc_server(api, threads)
            web = self._web_server(models, executor, metrics, budget)
            thread = threading.Thread(
                target=web.run, args=([listener],), name="tfnorm-rest", daemon=True
            )
            stack.callback(_drain, models, rpc, web, thread)
            # From here on `stop` ends all of it, whenever Ctrl-C comes.
            self._running = stack.pop_all()
        try:
            rpc.start()
            # Before the first answer, upon which somebody may end it.
            _log.info(
                "tfnorm's development server, a stand-in for TensorFlow Serving: %s and %s serve %s",
                self.grpc_url,
                self.rest_url,
                self.directory,
            )
            thread.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop listening, give requests in flight a second, and free everything."""
        self._running.close()
        self._stopped.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Block until another thread calls `stop`, or for so many seconds; whether it was stopped."""
        return self._stopped.wait(seconds)

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _load(self, name: str, directory: Path, policy: VersionPolicy) -> ServedModel:
        return ServedModel(
            name,
            directory,
            policy=policy,
            poll_seconds=self._poll_seconds,
            batching=self._batching,
            max_request_bytes=self._max_request_bytes,
            open_model=self.open_model,
        )

    def _rpc_server(self, api: GrpcApi, threads: ThreadPoolExecutor) -> grpc.Server:
        server = grpc.server(
            threads,
            handlers=api.handlers(),
            options=[
                # Else another server could share the port, and take a part of the requests.
                ("grpc.so_reuseport", 0),
                # gRPC itself answers RESOURCE_EXHAUSTED without a reason: leave room to say why.
                (
                    "grpc.max_receive_message_length",
                    min(2 * self._max_request_bytes + _ROOM, _LARGEST_MESSAGE),
                ),
                ("grpc.max_send_message_length", -1),
            ],
        )
        # Tried first: where it fails, gRPC logs lines of its own and doesn't say why.
        _listen(self.host, self.grpc_port).close()
        self.grpc_port = server.add_insecure_port(_address(self.host, self.grpc_port))
        return server

    def _web_server(
        self, models: Models, executor: ThreadPoolExecutor, metrics: Metrics, budget: Budget
    ) -> uvicorn.Server:
        api = RestApi(models, executor, metrics, self._max_request_bytes, budget)
        return _WebServer(
            uvicorn.Config(
                api.app(),
                # httptools, which uvicorn prefers where it is there, takes headers without end.
                http="h11",
                lifespan="off",
                ws="none",
                log_config=None,
                log_level=logging.WARNING,
                access_log=False,
                server_header=False,
                # A client that keeps a connection for its next request should find it open.
                timeout_keep_alive=75,
                timeout_graceful_shutdown=_GRACE,
            )
        )


class _WebServer(uvicorn.Server):
    """A web server that says in one line what fails outside of requests.

    asyncio would log the frames of it, two thousand times where it has no descriptor for a connection.
    """

    _told = ""

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().set_exception_handler(self._log)
        await super().serve(sockets)

    def _log(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        reason = f"{context['message']} ({described(error)})" if error else context["message"]
        # What was to be accepted later fails once nothing is.
        if reason != self._told and not self.should_exit:
            _log.warning("the REST API goes on after an error: %s", reason)
        self._told = reason


def _drain(models: Models, rpc: grpc.Server, web: uvicorn.Server, thread: threading.Thread) -> None:
    """Let requests in flight end, on both ports at once."""
    web.should_exit = True
    ended = rpc.stop(_GRACE)
    models.flush()
    # An interrupt may have come before it started.
    if thread.is_alive():
        thread.join()
    ended.wait(_GRACE)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address, family=family, backlog=2048)
    except OSError as error:
        raise InputError(
            f"can't listen on {_address(host, port)}: {error.strerror}; give another port or host"
        ) from error
    # Connections inherit it. Without it, an answer's body waits 40 ms for the client's ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
