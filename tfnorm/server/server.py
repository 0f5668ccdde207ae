"""The development server: both APIs on two ports, started and stopped together."""

from __future__ import annotations

import contextlib
import logging
import re
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import uvicorn

from tfnorm.errors import InputError
from tfnorm.server.batching.parameters import BatchingParameters
from tfnorm.server.rest.api import RestApi
from tfnorm.server.rpc.api import GrpcApi
from tfnorm.server.versions.models import ServedModel

_log = logging.getLogger(__name__)
# Seconds that requests in flight have to end in when the server stops.
_GRACE = 1
# Requests that may wait for a batch, each in a thread.
_WAITING = 64


class Server:
    """A development server for a SavedModel's newest version, in place of TensorFlow Serving.

    Args:
        directory: holds the versions of a SavedModel, each a folder named by its number.
        name: the model's name in requests.
        host: the address to listen on.
        port: of the gRPC API; 0 for any free one.
        rest_port: of the REST API; 0 for any free one.
        poll_seconds: time between two looks for a newer version.
        max_request_bytes: the largest request accepted.
        batching: run requests of several clients together, as `BatchingParameters` says; None to run
            each by itself.

    Raises:
        InputError: the name or a port can't be one.

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
        max_request_bytes: int = 64 * 2**20,
        batching: BatchingParameters | None = None,
    ):
        if not re.fullmatch(r"[\w.~-]+", name, re.ASCII):
            raise InputError(
                f"the model's name is {name!r}; accepted: letters, digits and any of ._~-"
            )
        for number in (port, rest_port):
            if not 0 <= number <= 65535:
                raise InputError(f"port {number} does not exist; accepted: 0 to 65535")
        self.directory = Path(directory)
        self.name = name
        self.host = host
        self.grpc_port = port
        self.rest_port = rest_port
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
        with contextlib.ExitStack() as stack:
            # Left in reverse: closing the model cancels what still runs in these threads.
            executor = stack.enter_context(
                ThreadPoolExecutor(
                    None if self._batching is None else _WAITING,
                    thread_name_prefix="tfnorm-request",
                )
            )
            model = stack.enter_context(
                contextlib.closing(
                    ServedModel(
                        self.name,
                        self.directory,
                        poll_seconds=self._poll_seconds,
                        batching=self._batching,
                    )
                )
            )
            listener = stack.enter_context(_listen(self.host, self.rest_port))
            self.rest_port = listener.getsockname()[1]
            rpc = self._rpc_server(model, executor)
            web = self._web_server(model, executor)
            thread = threading.Thread(
                target=web.run, args=([listener],), name="tfnorm-rest", daemon=True
            )
            rpc.start()
            thread.start()
            stack.callback(_drain, rpc, web, thread)
            self._running = stack.pop_all()
        _log.info(
            "tfnorm's development server, a stand-in for TensorFlow Serving: %s and %s serve %s",
            self.grpc_url,
            self.rest_url,
            self.directory,
        )

    def stop(self) -> None:
        """Stop listening, give requests in flight a second, and free everything."""
        self._running.close()
        self._stopped.set()

    def wait(self) -> None:
        """Block until another thread calls `stop`."""
        self._stopped.wait()

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *exception) -> None:
        self.stop()

    def _rpc_server(self, model: ServedModel, executor: ThreadPoolExecutor) -> grpc.Server:
        server = grpc.server(
            executor,
            handlers=GrpcApi(model, self._max_request_bytes).handlers(),
            options=[
                # Else another server could share the port, and take a part of the requests.
                ("grpc.so_reuseport", 0),
                # gRPC itself answers RESOURCE_EXHAUSTED without a reason: leave room to say why.
                ("grpc.max_receive_message_length", min(4 * self._max_request_bytes, 2**31 - 1)),
                ("grpc.max_send_message_length", -1),
            ],
        )
        # Tried first: where it fails, gRPC logs lines of its own and doesn't say why.
        _listen(self.host, self.grpc_port).close()
        self.grpc_port = server.add_insecure_port(_address(self.host, self.grpc_port))
        return server

    def _web_server(self, model: ServedModel, executor: ThreadPoolExecutor) -> uvicorn.Server:
        return uvicorn.Server(
            uvicorn.Config(
                RestApi(model, executor, self._max_request_bytes).app(),
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


def serve(server: Server) -> None:
    """Run `server` until SIGINT or SIGTERM, in the main thread, with its log on stderr.

    Args:
        server: one that is not started.

    Raises:
        InputError: as `Server.start`.
    """
    log = logging.getLogger("tfnorm.server")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    level = log.level
    handlers = {
        number: signal.signal(number, signal.default_int_handler)
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        with server, contextlib.suppress(KeyboardInterrupt):
            server.wait()
    finally:
        log.setLevel(level)
        log.removeHandler(handler)
        for number, previous in handlers.items():
            signal.signal(number, previous)


def _drain(rpc: grpc.Server, web: uvicorn.Server, thread: threading.Thread) -> None:
    """Let requests in flight end, on both ports at once."""
    web.should_exit = True
    ended = rpc.stop(_GRACE)
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
