"""What a ranking request costs behind the development server: plain, batched, and with the user once.

    python benchmarks/serving.py --json serving.json

A request ranks 1, 50 or 500 candidates of one user with a history of 50, by DIN or DIEN, and is sent in three
ways:

- plain: by `serving_default`, which repeats the user's history for each candidate;
- batched: the same, to a server that puts requests together as `batching.config` says, of an export with a
  history of a fixed length;
- candidates: by the signature `candidates`, which takes the user once.

Both servers are processes of their own, and run their models in further ones. 1, 8 or 32 clients, threads
of this process, each send one request after the other for a while, over gRPC or REST; requests are made
before, and answers are not parsed. The three ways take turns, and each figure is the median over the
rounds, with the least and the most. Latencies are of all rounds together. All of it takes no longer than
`--minutes`: where a round takes longer than its share, as on a machine that others use, there are fewer
of them, and one at least. "server" is the server's processor time for a request, which holds where others
use the machine too; "of plain" is how many times as many requests that makes a processor serve. The exit
status is 1 if the candidates' signature misses a bar at 500 candidates: at least 5 times fewer bytes, and
at least 1.5 times as many requests a processor as plain for DIN, and 3 times for DIEN.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click
import grpc
import keras
import numpy as np
import tensorflow as tf
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from timing import versions, with_children

from tfnorm.export import export_saved_model, write_serving_config
from tfnorm.export.deployment.batching import BATCH_SIZES
from tfnorm.models import DIEN, DIN

HISTORY = 50
# The size that the DIEN authors train on Amazon's books.
ITEMS, CATEGORIES = 367_983, 1_601
MODELS = {"DIN": DIN, "DIEN": DIEN}
PLAIN, BATCHED, CANDIDATES = "plain", "batched", "candidates"
WAYS = (PLAIN, BATCHED, CANDIDATES)
LEAST_TIMES_FEWER_BYTES = 5
LEAST_TIMES_AS_MANY = {"DIN": 1.5, "DIEN": 3.0}
NAME = "ranker"
_SETTING_UP = 40
"""Seconds that are left for the exports and servers of the model that comes next."""
_ADDRESS = re.compile(r"(grpc|http)://([\w.]+:\d+)")
_METHOD = "/tensorflow.serving.PredictionService/Predict"

Arrays = Mapping[str, np.ndarray]
Send = Callable[[], None]


@dataclass(frozen=True)
class Cell:
    """What was measured of one way to send requests.

    Attributes:
        rates: requests a second, of each round.
        latencies: in milliseconds, of every request.
        processor: milliseconds of the server's processor time for a request, of each round.
        request_bytes: of one request, without headers.
    """

    rates: list[float]
    latencies: list[float]
    processor: list[float]
    request_bytes: int

    def to_dict(self) -> dict[str, float]:
        low, middle, high = min(self.rates), statistics.median(self.rates), max(self.rates)
        return {
            "requests_per_second": middle,
            "least": low,
            "most": high,
            "median_ms": float(np.median(self.latencies)),
            "p99_ms": float(np.percentile(self.latencies, 99)),
            "processor_ms": statistics.median(self.processor),
            "processor_least": min(self.processor),
            "processor_most": max(self.processor),
            "request_bytes": self.request_bytes,
        }


def rows(count: int) -> dict[str, np.ndarray]:
    """A user with a whole history, repeated for so many candidates."""
    rng = np.random.default_rng(count)
    history = {
        "history_items": rng.integers(1, ITEMS, (1, HISTORY), np.int32),
        "history_categories": rng.integers(1, CATEGORIES, (1, HISTORY), np.int32),
    }
    return {
        "item": rng.integers(1, ITEMS, count, np.int32),
        "category": rng.integers(1, CATEGORIES, count, np.int32),
        **{name: np.repeat(array, count, axis=0) for name, array in history.items()},
    }


def with_the_user_once(given: Arrays) -> dict[str, np.ndarray]:
    """The same request as the signature `candidates` takes it."""
    return {
        name: array[:1] if name.startswith("history") else array[None]
        for name, array in given.items()
    }


def export(model: keras.Model, folder: Path) -> tuple[Path, Path, Path]:
    """The folders of versions for plain requests and candidates, and for batches, and their configuration."""
    examples = {
        name: np.concatenate([rows(n)[name] for n in (7, 8, 9, 10)])
        for name in ("item", "category", "history_items", "history_categories")
    }
    settings = {"examples": examples, "allow_misfit_statistics": True}
    model({name: tf.constant(array) for name, array in examples.items()}, training=True)
    export_saved_model(model, folder / "plain", signatures=[CANDIDATES], **settings)
    batched = export_saved_model(
        model,
        folder / "batched",
        history_length=HISTORY,
        warmup_batch_sizes=BATCH_SIZES,
        **settings,
    )
    write_serving_config(batched.path, folder / "deploy", name=NAME)
    return folder / "plain", folder / "batched", folder / "deploy" / "batching.config"


@contextlib.contextmanager
def serving(versions_of: Path, *options: str) -> Iterator[tuple[dict[str, str], int]]:
    """API -> the address of a server in a process of its own, and the process's number."""
    command = [sys.executable, "-m", "tfnorm", "serve", str(versions_of), "--name", NAME]
    log = versions_of.with_suffix(".log")
    with log.open("w") as file:
        server = subprocess.Popen(
            [*command, "--port", "0", "--rest-port", "0", *options], stderr=file
        )
    try:
        while not {"grpc", "http"} <= (found := dict(_ADDRESS.findall(log.read_text()))).keys():
            if server.poll() is not None:
                raise RuntimeError(f"the server has ended: {log.read_text()}")
            time.sleep(0.1)
        yield {"gRPC": found["grpc"], "REST": found["http"]}, server.pid
    finally:
        server.terminate()
        server.wait()


def grpc_sender(address: str, given: Arrays, signature: str) -> tuple[Callable[[], Send], int]:
    """What makes a client that sends the request, and the request's bytes."""
    request = PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = NAME, signature
    for name, array in given.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
    body = request.SerializeToString()
    options = [("grpc.use_local_subchannel_pool", 1)]

    def client() -> Send:
        predict = grpc.insecure_channel(address, options).unary_unary(_METHOD)
        return lambda: predict(body, timeout=60)

    return client, len(body)


def rest_sender(address: str, given: Arrays, signature: str) -> tuple[Callable[[], Send], int]:
    """The same over REST."""
    inputs = {name: array.tolist() for name, array in given.items()}
    body = json.dumps({"signature_name": signature, "inputs": inputs}).encode()

    def client() -> Send:
        connection = http.client.HTTPConnection(address, timeout=60)

        def send() -> None:
            connection.request("POST", f"/v1/models/{NAME}:predict", body)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200:
                raise RuntimeError(text.decode())

        return send

    return client, len(body)


SENDERS = {"gRPC": grpc_sender, "REST": rest_sender}


def processor_seconds(process: int) -> float:
    """What a process and those that it has started have taken of the processor, on Linux."""
    ticks = 0
    for one in with_children(process):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def timed(senders: Sequence[Send], seconds: float) -> tuple[float, list[float]]:
    """Requests a second of all clients together, and the milliseconds of each request."""
    end = time.perf_counter() + seconds

    def run(send: Send) -> list[float]:
        took = []
        while (start := time.perf_counter()) < end:
            send()
            took.append((time.perf_counter() - start) * 1e3)
        return took

    start = time.perf_counter()
    with ThreadPoolExecutor(len(senders)) as pool:
        latencies = [one for took in pool.map(run, senders) for one in took]
    return len(latencies) / (time.perf_counter() - start), latencies


def measure(
    servers: Mapping[str, tuple[str, int]],
    api: str,
    clients: int,
    candidates: int,
    rounds: int,
    seconds: float,
    until: float,
) -> dict[str, Cell]:
    """What each way costs; the ways take turns. `servers` are an address and a process each.

    No round but the first begins after `until`, of `time.perf_counter`.
    """
    given = rows(candidates)
    cells, senders = {}, {}
    for way, (address, _) in servers.items():
        signature = CANDIDATES if way == CANDIDATES else "serving_default"
        asked = with_the_user_once(given) if way == CANDIDATES else given
        make, size = SENDERS[api](address, asked, signature)
        senders[way] = [make() for _ in range(clients)]
        senders[way][0]()
        cells[way] = Cell([], [], [], size)
    for done in range(rounds):
        if done and time.perf_counter() > until:
            break
        for way, (_, process) in servers.items():
            before = processor_seconds(process)
            rate, latencies = timed(senders[way], seconds)
            took = processor_seconds(process) - before
            cells[way].rates.append(rate)
            cells[way].latencies.extend(latencies)
            cells[way].processor.append(took / len(latencies) * 1e3)
    return cells


def missed(results: Sequence[Mapping[str, object]]) -> list[str]:
    """The bars that the candidates' signature misses."""
    found = []
    for result in results:
        if result["candidates"] != 500:
            continue
        ways = result["ways"]
        plain, once = ways[PLAIN], ways[CANDIDATES]
        where = f"{result['model']}, {result['api']}, {result['clients']} clients"
        fewer = plain["request_bytes"] / once["request_bytes"]
        if fewer < LEAST_TIMES_FEWER_BYTES:
            found.append(
                f"{where}: {fewer:.1f} times fewer bytes, {LEAST_TIMES_FEWER_BYTES} wanted"
            )
        times = plain["processor_ms"] / once["processor_ms"]
        least = LEAST_TIMES_AS_MANY[str(result["model"])]
        if times < least:
            found.append(f"{where}: {times:.2f} times the requests a processor, {least} wanted")
    return found


def table(results: Sequence[Mapping[str, object]]) -> Table:
    """A row for each way, and a section for each model, API and number of candidates."""
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("model", "API", "candidates", "clients", "way", "bytes", "requests/s"):
        drawn.add_column(column, justify="left" if column in ("model", "API", "way") else "right")
    for column in ("median", "99%", "server", "of plain"):
        drawn.add_column(column, justify="right")
    section = None
    for result in results:
        where = result["model"], result["api"], result["candidates"]
        if section not in (None, where):
            drawn.add_section()
        section = where
        plain = result["ways"][PLAIN]["processor_ms"]
        for way, cell in result["ways"].items():
            drawn.add_row(
                *map(str, where),
                str(result["clients"]),
                way,
                f"{cell['request_bytes']:,}",
                f"{cell['requests_per_second']:.1f} ({cell['least']:.1f} to {cell['most']:.1f})",
                f"{cell['median_ms']:.1f} ms",
                f"{cell['p99_ms']:.1f} ms",
                f"{cell['processor_ms']:.1f} ({cell['processor_least']:.1f} to "
                f"{cell['processor_most']:.1f}) ms",
                f"{plain / cell['processor_ms']:.2f}",
            )
    return drawn


@click.command()
@click.option("--model", "models", type=click.Choice([*MODELS]), multiple=True, default=[*MODELS])
@click.option("--api", "apis", type=click.Choice([*SENDERS]), multiple=True, default=[*SENDERS])
@click.option("--clients", type=int, multiple=True, default=[1, 8, 32])
@click.option("--candidates", type=int, multiple=True, default=[1, 50, 500])
@click.option("--rounds", type=int, default=3, show_default=True)
@click.option("--seconds", type=float, default=0.5, show_default=True, help="Of a round of a way.")
@click.option(
    "--minutes", type=float, default=8.0, show_default=True, help="The most that it takes."
)
@click.option("--json", "json_file", type=click.Path(path_type=Path))
def main(
    models: Sequence[str],
    apis: Sequence[str],
    clients: Sequence[int],
    candidates: Sequence[int],
    rounds: int,
    seconds: float,
    minutes: float,
    json_file: Path | None,
) -> None:
    """Measure what a ranking request costs behind the development server."""
    end = time.perf_counter() + 60 * minutes
    results: list[dict[str, object]] = []
    cells = [(a, n, c) for a in apis for n in candidates for c in clients]
    for model in models:
        keras.utils.set_random_seed(0)
        with tempfile.TemporaryDirectory() as folder:
            made = MODELS[model](item_count=ITEMS, category_count=CATEGORIES)
            plain, batched, parameters = export(made, Path(folder))
            options = ("--batching-parameters", str(parameters))
            with serving(plain) as by_row, serving(batched, *options) as in_batches:
                for api, count, asking in track(cells, model):
                    plainly = by_row[0][api], by_row[1]
                    servers = dict.fromkeys(WAYS, plainly)
                    servers[BATCHED] = in_batches[0][api], in_batches[1]
                    now, left = time.perf_counter(), len(models) * len(cells) - len(results)
                    until = now + (end - now - _SETTING_UP) / left
                    measured = measure(servers, api, asking, count, rounds, seconds, until)
                    ways = {way: cell.to_dict() for way, cell in measured.items()}
                    where = {"model": model, "api": api, "candidates": count, "clients": asking}
                    results.append({**where, "ways": ways})
    console = Console(width=140)
    console.print(table(results))
    bars = missed(results)
    if json_file is not None:
        found = {"versions": versions("tensorflow", "keras", "grpcio", "numpy"), "results": results}
        json_file.write_text(json.dumps({**found, "missed": bars}, indent=1) + "\n")
    for bar in bars:
        console.print(f"MISSED  {bar}")
    sys.exit(1 if bars else 0)


if __name__ == "__main__":
    main()
