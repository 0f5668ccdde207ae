"""Attack the development server with requests and files that are wrong in some way, for some minutes.

    python benchmarks/fuzz.py --minutes 10

It serves a SavedModel with every kind of signature in a process of its own, on the loopback address, and
sends what `tests/server/fuzzing.py` makes over both APIs. Another server gets damaged versions and damaged
warm-up files, one after the other, and then a good one. A third is asked for more memory than requests may
take, for numbers and for strings, beside requests that need next to none. At last, versions roll out, a third
of them broken, while eight clients ask all the time, with batching and without.

Exit status 1 where a malformed request was answered with 5xx, INTERNAL, UNKNOWN or UNIMPLEMENTED, a server
died, a version kept the next from loading, a request for too much memory was not RESOURCE_EXHAUSTED or took
more than it may, a request beside it failed, a request had no answer after two minutes, more than 100 MB of
memory were not given back two minutes after the last one, or a rolled version's answer was wrong or missing.
A well-formed request with an input that JSON can't carry is 501, and a MultiInference of other tasks
UNIMPLEMENTED, here as in TensorFlow Serving.
"""

from __future__ import annotations

import contextlib
import http.client
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import click
import grpc
import numpy as np
import requests
import tensorflow as tf
from rich.console import Console
from rich.table import Table
from timing import with_children

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from server.clients import client_of  # noqa: E402
from server.fuzzing import Fuzzer, grpc_problem, rest_problem  # noqa: E402
from server.rolling import roll, scaled_models  # noqa: E402
from server.served_models import Constant, Everything, save_everything, save_hungry  # noqa: E402

from tfnorm.assets import warmup_file  # noqa: E402
from tfnorm.server import BatchingParameters  # noqa: E402
from tfnorm.server.running.isolated import IsolatedModel  # noqa: E402
from tfnorm.server.running.launcher import Launcher  # noqa: E402

CLIENTS = 2
BATCHING = BatchingParameters(
    max_batch_size=64, batch_timeout_micros=500, allowed_batch_sizes=(8, 64), num_batch_threads=2
)
SETTLE_SECONDS = 5
# A machine under load takes its time; what has no answer then, or is not given back, hangs.
MOST_SECONDS = 120
# Megabytes.
MOST_KEPT = 100
MODEL_MEGABYTES = 256
REQUEST_MEGABYTES = 64
# In the server's process all requests have four times one's bytes together, and one of them may go beyond it:
# its message, four times that once it is parsed, its inputs twice and its outputs four times are eleven.
OF_REQUESTS = (4 + 11) * REQUEST_MEGABYTES
# A request that failed is run once more, in another process, beside those that come meanwhile.
OF_MODELS = 3 * MODEL_MEGABYTES
SMALL_PICTURE = 300
WATCH_SECONDS = 0.1
SERVE = """
import sys
from tfnorm.server import Server, serve
server = Server(sys.argv[1], "ranker", port=int(sys.argv[2]), rest_port=int(sys.argv[3]), poll_seconds=0.2)
serve(server, int(sys.argv[4]))
"""


@dataclass
class Server:
    """A server in a process of its own."""

    process: subprocess.Popen[bytes]
    grpc_port: int
    rest_port: int

    host = "127.0.0.1"

    @property
    def rest_url(self) -> str:
        """Where its status is."""
        return f"http://127.0.0.1:{self.rest_port}/v1/models/ranker"

    def memory(self) -> int:
        """What it and its processes have in memory together, in bytes."""
        return sum(map(_proportional, with_children(self.process.pid)))


@dataclass
class Found:
    """What came of an attack."""

    answers: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, answer: str, problem: str | None) -> None:
        """Count an answer."""
        with self.lock:
            self.answers[answer] += 1
            if problem is not None:
                self.problems.append(problem)


@contextlib.contextmanager
def serving(directory: Path, log: Path) -> Iterator[Server]:
    """A server of the versions in a directory."""
    ports = [_free_port(), _free_port()]
    with log.open("wb") as stderr:
        command = [
            sys.executable,
            "-c",
            SERVE,
            str(directory),
            *map(str, ports),
            str(MODEL_MEGABYTES),
        ]
        process = subprocess.Popen(command, stderr=stderr)
    server = Server(process, *ports)
    try:
        while True:
            with contextlib.suppress(requests.ConnectionError):
                requests.get(server.rest_url, timeout=10)
                break
            if process.poll() is not None:
                raise SystemExit(log.read_text("utf-8"))
            time.sleep(0.2)
        yield server
    finally:
        process.terminate()
        process.wait()


def attack_rest(server: Server, fuzzer: Fuzzer, found: Found, end: float) -> None:
    """Send malformed requests to the REST API until then."""
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=MOST_SECONDS)
    while time.monotonic() < end:
        request = fuzzer.rest()
        request.send(connection)
        response = connection.getresponse()
        body = response.read()
        problem = (
            None if request.method == "OPTIONS" else rest_problem(response.status, body, request)
        )
        found.add(f"REST {response.status}", problem and f"{problem} to {request}"[:2_000])
    connection.close()


def attack_grpc(server: Server, fuzzer: Fuzzer, found: Found, end: float) -> None:
    """Send malformed messages to the gRPC API until then."""
    options = [("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}", options) as channel:
        while time.monotonic() < end:
            service, method, data = fuzzer.grpc()
            code, details = "OK", ""
            try:
                call = channel.unary_unary(f"/tensorflow.serving.{service}/{method}")
                call(data, timeout=MOST_SECONDS)
            except grpc.RpcError as error:
                code, details = error.code().name, error.details() or ""
            problem = grpc_problem(code, details, method)
            found.add(f"gRPC {code}", problem and f"{problem} to {method} {data[:200]!r}")


def attack_versions(
    server: Server, good: Path, served: Path, fuzzer: Fuzzer, found: Found, end: float
) -> None:
    """Publish damaged versions until then, and a good one at last."""
    number = 1
    while time.monotonic() < end:
        number += 1
        made = served.parent / "unfinished"
        shutil.copytree(good, made)
        files = sorted(file for file in made.rglob("*") if file.is_file())
        if fuzzer.random.random() < 0.3:
            file = warmup_file(made)
            file.parent.mkdir(exist_ok=True)
            fuzzer.warmup(file)
        else:
            file = fuzzer.random.choice(files)
            file.write_bytes(fuzzer.mutated(file.read_bytes()))
        made.rename(served / str(number))
        found.add(f"version {_settled(server, number, found)}", None)
        shutil.rmtree(served / str(number))
    shutil.copytree(good, served.parent / "unfinished")
    (served.parent / "unfinished").rename(served / str(number + 1))
    state = _settled(server, number + 1, found)
    if state != "AVAILABLE":
        found.problems.append(f"a good version after the damaged ones is {state}")


def attack_memory(server: Server, random: Random, found: Found, end: float) -> None:
    """Ask for too much memory until then.

    A convolution takes more the more processors there are. Of a small picture it may have enough, else the
    op ends its process; of a large one its output alone is too much.
    """
    client = client_of(server, opened := [], MOST_SECONDS)
    while time.monotonic() < end:
        signature, feeds = random.choice(
            [
                ("fill", {"values": np.array(random.choice([10**8, 10**10]))}),
                ("convolve", {"size": np.array(random.randint(3_000, 6_000))}),
                ("convolve", {"size": np.array(SMALL_PICTURE)}),
                (
                    "repeat",
                    {
                        "text": np.array(
                            [b"x" * random.choice([10, 1_000, 100_000])] * 100, object
                        ),
                        "times": np.array(10**8, np.int32),
                    },
                ),
            ]
        )
        try:
            client.predict(feeds, signature=signature)
            code, details = "OK", ""
        except grpc.RpcError as error:
            code, details = error.code().name, error.details()
        may_fit = feeds.get("size") == SMALL_PICTURE
        expected = code == "RESOURCE_EXHAUSTED" or (may_fit and code == "OK")
        problem = None if expected else f"{code} to {signature}: {details}"
        found.add(f"too much memory {code}", problem)
    for one in opened:
        one.close()


def ask_beside(server: Server, found: Found, end: float) -> None:
    """Ask for little until then."""
    client = client_of(server, opened := [], MOST_SECONDS)
    x = np.arange(3, dtype=np.float32)
    while time.monotonic() < end:
        try:
            (proto,) = client.predict({"x": x}).outputs.values()
            right = np.array_equal(tf.make_ndarray(proto), 2 * x)
            found.add("beside it OK", None if right else f"{proto} beside it")
        except grpc.RpcError as error:
            code = error.code().name
            found.add(f"beside it {code}", f"{code} beside it: {error.details()}")
    for one in opened:
        one.close()


def attack_while_rolling(work: Path, versions: int, found: Found) -> None:
    """Roll versions under clients, with batching and without."""
    models = scaled_models(work / "scaled")
    for name, batching in (("as they come", None), ("batched", BATCHING)):
        opened: list[requests.Session | grpc.Channel] = []
        directory = work / name
        directory.mkdir()
        try:
            with Launcher() as launcher:
                answers = roll(
                    models,
                    versions,
                    batching,
                    lambda one, to=opened: client_of(one, to),
                    directory,
                    lambda path, by=launcher: IsolatedModel(path, by, MODEL_MEGABYTES * 2**20),
                )
            found.answers[f"rolled, {name}"] += answers.total()
        except (AssertionError, grpc.RpcError, requests.RequestException) as error:
            found.problems.append(f"rolled versions, {name}: {error!r}")
        for client in opened:
            client.close()


def _settled(server: Server, number: int, found: Found) -> str:
    """The state of a version once it has ended or is available."""
    for _ in range(600):
        answer = requests.get(f"{server.rest_url}/versions/{number}", timeout=60)
        if answer.status_code == 200:
            (status,) = answer.json()["model_version_status"]
            if status["state"] in ("AVAILABLE", "END"):
                return str(status["state"])
        time.sleep(0.1)
    found.problems.append(f"version {number} did not settle")
    return "LOADING"


def _proportional(process: int) -> int:
    """What a process has in memory, of what it shares its part; none where it has ended."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text("ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _given_back(server: Server, before: int) -> int:
    """What a server has once it has given back what it took, or after two minutes."""
    end = time.monotonic() + MOST_SECONDS
    while server.memory() - before > MOST_KEPT * 1e6 and time.monotonic() < end:
        time.sleep(WATCH_SECONDS)
    return server.memory()


@contextlib.contextmanager
def _watched(servers: Sequence[Server]) -> Iterator[dict[int, int]]:
    """The most memory that each server has meanwhile, by its REST port."""
    most = {server.rest_port: server.memory() for server in servers}
    done = threading.Event()

    def watch() -> None:
        while not done.wait(WATCH_SECONDS):
            for server in servers:
                most[server.rest_port] = max(most[server.rest_port], server.memory())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield most
    finally:
        done.set()
        thread.join()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@click.command(help=__doc__)
@click.option("--minutes", type=float, default=10.0, show_default=True)
@click.option("--versions", type=int, default=20, show_default=True, help="How many roll out.")
@click.option("--seed", type=int, default=0, show_default=True)
def main(minutes: float, versions: int, seed: int) -> None:
    """Run the attacks and print what came of them."""
    console = Console()
    found = Found()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        work = Path(folder)
        save_everything(Everything(), work / "everything" / "3")
        constant = Constant(1.0)
        tf.saved_model.save(constant, str(work / "good"), signatures=constant.score)
        shutil.copytree(work / "good", work / "versions" / "1")
        save_hungry(work / "hungry" / "1")
        asked = stack.enter_context(serving(work / "everything", work / "asked.log"))
        rolled = stack.enter_context(serving(work / "versions", work / "rolled.log"))
        hungry = stack.enter_context(serving(work / "hungry", work / "hungry.log"))
        # So that what a first run needs for good is there.
        for attack in (attack_rest, attack_grpc):
            attack(asked, Fuzzer(seed - 1), Found(), time.monotonic() + SETTLE_SECONDS)
        ask_beside(hungry, Found(), time.monotonic() + 1)
        servers = (asked, hungry)
        before = [server.memory() for server in servers]
        end = time.monotonic() + 60 * minutes
        jobs: list[Callable[[], None]] = [
            lambda: attack_versions(
                rolled, work / "good", work / "versions", Fuzzer(seed), found, end
            )
        ]
        for client in range(CLIENTS):
            jobs.append(lambda n=client: attack_memory(hungry, Random(seed + n), found, end))
            jobs.append(lambda: ask_beside(hungry, found, end))
            jobs.append(lambda n=client: attack_rest(asked, Fuzzer(seed + n), found, end))
            jobs.append(lambda n=client: attack_grpc(asked, Fuzzer(seed + n), found, end))
        with ThreadPoolExecutor(len(jobs)) as pool, _watched(servers) as most:
            for job in [pool.submit(job) for job in jobs]:
                job.result()
        after = [_given_back(*one) for one in zip(servers, before, strict=True)]
        attack_while_rolling(work, versions, found)
    table = Table("answer", "times")
    for answer, times in sorted(found.answers.items()):
        table.add_row(answer, f"{times:,}")
    console.print(table)
    # What asks for too much memory is small, and so is what is answered beside it.
    attacks = {"malformed requests": OF_REQUESTS + OF_MODELS, "too much memory": OF_MODELS}
    figures = zip(attacks.items(), before, most.values(), after, strict=True)
    for (what, allowed), first, highest, last in figures:
        kept, taken = (last - first) / 1e6, (highest - first) / 1e6
        console.print(
            f"{what}: {first / 1e6:,.0f} MB before, {taken:+,.0f} MB at most, {kept:+,.0f} MB after"
        )
        if kept > MOST_KEPT:
            found.problems.append(f"{what}: {kept:,.0f} MB were not given back")
        if taken > allowed:
            found.problems.append(f"{what}: {taken:,.0f} MB were taken; {allowed:,} may be")
    for problem in found.problems[:20]:
        console.print(problem, style="red", markup=False)
    console.print(f"{len(found.problems)} problems in {found.answers.total():,} answers")
    sys.exit(1 if found.problems else 0)


if __name__ == "__main__":
    main()
