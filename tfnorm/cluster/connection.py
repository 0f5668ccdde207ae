"""A Ray cluster: one that runs somewhere, or one that is started here."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TypeVar

from tfnorm.errors import InputError, optional

_T = TypeVar("_T")

LOCAL = "local"
OBJECT_STORE = 100 << 20
"""Bytes of the object store of a cluster that is started here, which only hands on partial results."""

_SECONDS = 15
"""That an address has for a connection, and again to answer as Ray does."""

_ASKED = {
    "": ("/ray.rpc.NodeInfoGcsService/GetClusterId", b""),
    "ray": ("/ray.rpc.RayletDriver/ClusterInfo", b"\x08\x06"),  # of the type PING
}
"""Scheme of an address -> what Ray answers there without more ado, and the request, as protobuf writes it."""

_STARTS = 3
"""How often it is tried to start a cluster here."""


def ray(part: str | None = None) -> ModuleType:
    """The module, or one of its parts.

    Raises:
        InputError: it isn't installed.
    """
    return optional("ray" if part is None else f"ray.{part}", "work on a cluster", "ray")


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Be connected to a cluster as long as this lasts; a program that is connected already stays so.

    Args:
        address: as `ray.init` takes it: "local" starts a cluster here, "auto" is the one that this machine
            is part of, `HOST:PORT` another, `ray://HOST:PORT` one that is reached through Ray's client.

    Raises:
        InputError: Ray isn't installed, or nothing answers there.
    """
    module = ray()
    if module.is_initialized():
        yield
        return
    quiet = {"log_to_driver": False, "logging_level": "ERROR", "include_dashboard": False}
    try:
        if address == LOCAL:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            cores = os.cpu_count() or 1
            options = {"num_cpus": cores, "object_store_memory": OBJECT_STORE, **quiet}
            started(lambda: module.init(LOCAL, **options), module.shutdown)
        else:
            _check_answers(os.environ.get("RAY_ADDRESS", address) if address == "auto" else address)
            del quiet["include_dashboard"]
            module.init(address, **quiet)
    # Ray raises Exception itself where its processes take too long to start.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"the Ray cluster {address!r} can't be reached: {reason}; accepted: local to start one here, "
            "auto, HOST:PORT or ray://HOST:PORT of one that runs"
        ) from error
    try:
        yield
    finally:
        module.shutdown()


def started(start: Callable[[], _T], end: Callable[[], object]) -> _T:
    """What starts here, again where a busy machine was too slow for the 30 s that Ray gives itself.

    Args:
        start: starts it.
        end: ends what there is of it.
    """
    left = _STARTS
    while True:
        try:
            return start()
        # Ray raises Exception itself.
        except Exception as error:
            end()
            left -= 1
            if not left or "timed out" not in str(error).lower():
                raise


def _check_answers(address: str) -> None:
    """Ray itself waits minutes for an address at which nothing is, or another than Ray."""
    import grpc

    if address == "auto":
        return
    scheme, _, place = address.rpartition("://")
    host, colon, port = place.rpartition(":")
    if not colon or not port.isdecimal() or scheme not in _ASKED:
        raise ValueError("it is no address")
    socket.create_connection((host, int(port)), _SECONDS).close()
    method, request = _ASKED[scheme]
    with ray("_private.gcs_utils").create_gcs_channel(place) as channel:
        try:
            channel.unary_unary(method)(request, timeout=_SECONDS)
        except grpc.RpcError as error:
            code = error.code().name
            reason = f"what listens there does not answer as Ray does ({code})"
            if code == "UNAUTHENTICATED":
                reason = "it asks for a token, which Ray sends where RAY_AUTH_MODE is token"
            raise ValueError(reason) from error
