"""Examples per second of DIN's training, by the number of items: tfnorm beside Keras and PyTorch.

    python benchmarks/training.py --torch-python TORCH --parts --json benchmarks/results/training.json
    python benchmarks/training.py --report benchmarks/results/training.json

`TORCH` is the path of a Python that has torch. The first adds what it measures to the file, and may be given
`--items` and `--batch`, to do it in parts; the second makes the tables of it.

- tfnorm: `tfnorm.models.DIN`, `tfnorm.training.LazyAdam`, Keras's `fit`.
- keras: the same model of Keras's own layers, `keras.optimizers.Adam`, `fit`; its attention is Dense layers
  on [q, k, q - k, q k], as in the DIEN authors' code and as PyTorch's here.
- torch: the same model of PyTorch's layers, `SparseAdam` for the tables and `Adam` for the rest, a loop.
- torch.compile: dense gradients, `Adam` for all, the model compiled; for small tables.

Each contestant is a process of its own, since the threads of the libraries disturb each other; one that can
not start is left out, and that is said. The processes take turns: one runs some steps while the others
wait. Ids are uniform, histories have 20 places of which half are padding on average. A figure is the median
of the rounds, with the least and the most: examples per second of processor time, since on a machine that
others use a second of the clock is not always as long; those by the clock are in the JSON file too. On one
processor (`taskset -c 1`) both are the same where nothing else runs.

With `--parts`, what a step of tfnorm's is made of, one op behind the other.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

CATEGORIES = 1_000
HISTORY = 20
WIDTH = 18
UNITS, ATTENTION = (200, 80), (80, 40)
CLOCKS = ("processor", "wall")
CONTESTANTS = ("tfnorm", "keras", "torch", "torch.compile")
# A table of which every row is updated in each step takes a second a step at 1e7 items.
DENSE_MOST = 100_000


def examples(items: int, rows: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(0)
    there = np.arange(HISTORY) < rng.integers(HISTORY + 1, size=rows)[:, None]
    features = {
        "item": rng.integers(1, items, rows),
        "category": rng.integers(1, CATEGORIES, rows),
        "history_items": rng.integers(1, items, (rows, HISTORY)) * there,
        "history_categories": rng.integers(1, CATEGORIES, (rows, HISTORY)) * there,
    }
    labels = (rng.random(rows) < 0.3).astype(np.float32)
    return {name: column.astype(np.int32) for name, column in features.items()}, labels


def tfnorm_or_keras(who: str, items: int, batch: int, steps: int) -> Callable[[], None]:
    import keras

    import tfnorm
    from tfnorm.models import IdEmbedding, TargetAttention

    def of_keras(layer: keras.layers.Layer) -> keras.layers.Layer:
        from models import keras_layers

        if isinstance(layer, TargetAttention):
            return plain_attention(layer.units)
        if isinstance(layer, IdEmbedding):
            return keras.layers.Embedding(layer.input_dim, layer.output_dim, name=layer.name)
        return keras_layers(layer)

    model = tfnorm.models.DIN(item_count=items, category_count=CATEGORIES)
    optimizer = tfnorm.training.LazyAdam()
    if who == "keras":
        model = keras.models.clone_model(model, clone_function=of_keras)
        optimizer = keras.optimizers.Adam()
    model.compile(optimizer, "binary_crossentropy")
    model.optimizer.build(model.trainable_variables)
    features, labels = examples(items, batch * steps)
    data = tfnorm.datasets.Examples(features, labels).batches(batch)
    return lambda: model.fit(data, verbose=0, shuffle=False)


def plain_attention(units: tuple[int, ...]):
    """Target attention of Keras's layers."""
    import keras
    from keras import ops

    class Attention(keras.layers.Layer):
        def __init__(self):
            super().__init__(name="attention")
            hidden = [keras.layers.Dense(n, activation="sigmoid") for n in units]
            self.mlp = keras.Sequential([*hidden, keras.layers.Dense(1, use_bias=False)])

        def build(self, query_shape, keys_shape, valid_shape):
            self.mlp.build((*keys_shape[:-1], 4 * keys_shape[-1]))

        def call(self, query, keys, valid):
            wide = ops.broadcast_to(ops.expand_dims(query, 1), ops.shape(keys))
            scores = self.mlp(ops.concatenate([wide, keys, wide - keys, wide * keys], -1))[..., 0]
            scores = ops.softmax(ops.where(valid, scores, scores.dtype.min))
            return ops.einsum("nt,ntd->nd", ops.where(valid, scores, 0), keys)

        def compute_output_shape(self, query_shape, keys_shape, valid_shape):
            return query_shape

    return Attention()


def parts(items: int, batch: int, steps: int) -> dict[str, float]:
    """Milliseconds of processor time a step: each with what goes before it."""
    import keras
    import tensorflow as tf

    import tfnorm

    model = tfnorm.models.DIN(item_count=items, category_count=CATEGORIES)
    optimizer = tfnorm.training.LazyAdam()
    optimizer.build(model.trainable_variables)
    features, labels = examples(items, batch * steps)
    data = tfnorm.datasets.Examples(features, labels).batches(batch)
    loss_of = keras.losses.BinaryCrossentropy()

    @tf.function
    def forward(x, y):
        return loss_of(y[:, None], model(x, training=True))

    def gradients_of(x, y):
        variables = [v.value for v in model.trainable_variables]
        with tf.GradientTape() as tape:
            loss = loss_of(y[:, None], model(x, training=True))
        return tape.gradient(loss, variables)

    @tf.function
    def backward(x, y):
        found = tf.nest.flatten(gradients_of(x, y), expand_composites=True)
        return tf.add_n([tf.reduce_sum(tf.cast(g, tf.float32)) for g in found])

    @tf.function
    def step(x, y):
        optimizer.apply(gradients_of(x, y), model.trainable_variables)

    def over(call: Callable[..., object]) -> Callable[[], None]:
        def run() -> None:
            for x, y in data:
                call(x, y)

        return run

    calls = {
        "reading": over(lambda x, y: None),
        "and forward": over(forward),
        "and backward": over(backward),
        "and the optimizer": over(step),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(6):
        for name, call in calls.items():
            start = time.process_time()
            call()
            if turn:
                times[name].append((time.process_time() - start) / steps * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def torch(who: str, items: int, batch: int, steps: int) -> Callable[[], None]:
    import torch
    from torch import nn

    sparse = who == "torch"

    class Dice(nn.Module):
        def __init__(self, width: int):
            super().__init__()
            self.alpha = nn.Parameter(torch.zeros(width))
            self.norm = nn.BatchNorm1d(width, eps=1e-9, momentum=0.01, affine=False)

        def forward(self, x):
            p = torch.sigmoid(self.norm(x))
            return p * x + (1 - p) * self.alpha * x

    class DIN(nn.Module):
        def __init__(self):
            super().__init__()
            self.items = nn.Embedding(items, WIDTH, sparse=sparse)
            self.categories = nn.Embedding(CATEGORIES, WIDTH, sparse=sparse)
            sizes = [8 * WIDTH, *ATTENTION]
            hidden = [
                layer
                for i, o in itertools.pairwise(sizes)
                for layer in (nn.Linear(i, o), nn.Sigmoid())
            ]
            self.attention = nn.Sequential(*hidden, nn.Linear(sizes[-1], 1, bias=False))
            sizes = [8 * WIDTH, *UNITS]
            tower = [
                layer for i, o in itertools.pairwise(sizes) for layer in (nn.Linear(i, o), Dice(o))
            ]
            self.tower = nn.Sequential(
                nn.BatchNorm1d(sizes[0], eps=1e-3, momentum=0.01), *tower, nn.Linear(sizes[-1], 1)
            )

        def forward(self, item, category, history_items, history_categories):
            q = torch.cat([self.items(item), self.categories(category)], -1)
            k = torch.cat([self.items(history_items), self.categories(history_categories)], -1)
            there = history_items != 0
            wide = q[:, None].expand_as(k)
            s = self.attention(torch.cat([wide, k, wide - k, wide * k], -1))[..., 0]
            s = torch.softmax(s.masked_fill(~there, torch.finfo(s.dtype).min), -1) * there
            attended = (s[..., None] * k).sum(1)
            mean = (there[..., None] * k).sum(1) / there.sum(1, keepdim=True).clamp(min=1)
            return self.tower(torch.cat([q, attended, mean, q * mean], -1))[:, 0]

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = DIN().to(device)
    tables = [model.items.weight, model.categories.weight]
    others = [p for p in model.parameters() if all(p is not table for table in tables)]
    optimizers = (
        [torch.optim.SparseAdam(tables), torch.optim.Adam(others)]
        if sparse
        else [torch.optim.Adam(model.parameters())]
    )
    call = model if sparse else torch.compile(model)
    loss_of = nn.BCEWithLogitsLoss()
    features, labels = examples(items, batch * steps)
    columns = [torch.from_numpy(column).long().to(device) for column in features.values()]
    y = torch.from_numpy(labels).to(device)

    def epoch() -> None:
        for start in range(0, len(y), batch):
            rows = slice(start, start + batch)
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss = loss_of(call(*(column[rows] for column in columns)), y[rows])
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
        # A GPU is done once what it was told last is here.
        loss.item()

    return epoch


def serve_turns(who: str, items: int, batch: int, steps: int) -> None:
    """One contestant: for each line on stdin, one with a round's examples per second, by both clocks."""
    make = torch if who.startswith("torch") else tfnorm_or_keras
    epoch = make(who, items, batch, steps)
    epoch()
    epoch()
    print("ready", flush=True)
    for _ in sys.stdin:
        starts = time.process_time(), time.perf_counter()
        epoch()
        ends = time.process_time(), time.perf_counter()
        rates = (batch * steps / (end - start) for start, end in zip(starts, ends, strict=True))
        print(*rates, flush=True)


def steps_of(who: str, items: int) -> int:
    """Steps of a round: few where one takes long, else so many that the start of an epoch counts little."""
    if who == "keras" and items >= 1_000_000:
        return 20 if items < 10_000_000 else 8
    return 40


def compared(
    contestants: list[str], items: int, batch: int, rounds: int, torch_python: str
) -> dict[str, dict[str, dict[str, float]]]:
    running = {
        who: subprocess.Popen(
            [
                torch_python if who.startswith("torch") else sys.executable,
                __file__,
                "--turns",
                who,
                *map(str, (items, batch, steps_of(who, items))),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_FORCE_GPU_ALLOW_GROWTH": "true"},
        )
        for who in contestants
    }
    for who in contestants:
        if running[who].stdout.readline().strip() != "ready":
            status = running.pop(who).wait()
            print(f"{who} did not start: exit status {status}", file=sys.stderr)
    rates: dict[str, list[list[float]]] = {who: [] for who in running}
    for _ in range(rounds):
        for who, process in running.items():
            process.stdin.write("go\n")
            process.stdin.flush()
            rates[who].append(list(map(float, process.stdout.readline().split())))
    for process in running.values():
        process.stdin.close()
        process.wait()
    return {
        who: {
            clock: {"median": statistics.median(of), "least": min(of), "most": max(of)}
            for clock, of in zip(CLOCKS, zip(*found, strict=True), strict=True)
        }
        for who, found in rates.items()
    }


def measured(items: int, batch: int, rounds: int, torch_python: str, *, with_parts: bool) -> dict:
    """What a line of the results has."""
    from timing import versions

    contestants = [w for w in CONTESTANTS if w != "torch.compile" or items <= DENSE_MOST]
    found = {
        "items": items,
        "batch": batch,
        "examples per second": compared(contestants, items, batch, rounds, torch_python),
        "rounds": rounds,
        "processors": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "versions": versions("tensorflow", "keras", "numpy"),
    }
    if with_parts:
        # The tables go with the process.
        command = [sys.executable, __file__, "--parts-of", str(items), str(batch), "20"]
        found["parts"] = json.loads(subprocess.check_output(command, stderr=subprocess.DEVNULL))
    return found


def report(lines: list[dict]) -> str:
    """The tables of what has been measured, in Markdown."""
    lines = sorted(lines, key=lambda line: (line["items"], line["batch"]))
    peers = CONTESTANTS[1:]
    heads = ["items", "batch", *CONTESTANTS, *(f"of {who}" for who in peers), "processors, load"]
    text = [_row(heads), "|---" * len(heads) + "|"]
    for line in lines:
        rates = {who: clocks["processor"] for who, clocks in line["examples per second"].items()}
        shown = [
            "{median:,.0f} ({least:,.0f} to {most:,.0f})".format(**rates[who])
            if who in rates
            else "-"
            for who in CONTESTANTS
        ]
        ours = rates["tfnorm"]["median"]
        ratios = [f"{ours / rates[who]['median']:.2f}" if who in rates else "-" for who in peers]
        machine = f"{line['processors']}, {line['load']:.1f}"
        text.append(_row([f"{line['items']:,}", f"{line['batch']:,}", *shown, *ratios, machine]))
    lines = [line for line in lines if "parts" in line]
    if lines:
        heads = ["items", "batch", *lines[0]["parts"]]
        text += ["", _row(heads), "|---" * len(heads) + "|"]
    for line in lines:
        milliseconds = (f"{ms:.1f}" for ms in line["parts"].values())
        text.append(_row([f"{line['items']:,}", f"{line['batch']:,}", *milliseconds]))
    return "\n".join(text)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    import argparse

    if sys.argv[1:2] == ["--turns"]:
        who, *numbers = sys.argv[2:]
        serve_turns(who, *map(int, numbers))
        return
    if sys.argv[1:2] == ["--parts-of"]:
        print(json.dumps(parts(*map(int, sys.argv[2:]))))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, nargs="+", default=[10**4, 10**5, 10**6, 10**7])
    parser.add_argument("--batch", type=int, nargs="+", default=[256, 1024])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--torch-python", default=sys.executable)
    parser.add_argument("--parts", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--report", type=Path)
    given = parser.parse_args()
    if given.report is not None:
        print(report(json.loads(given.report.read_text())))
        return
    lines = []
    if given.json is not None and given.json.exists():
        lines = json.loads(given.json.read_text())
    for items, batch in itertools.product(given.items, given.batch):
        line = measured(items, batch, given.rounds, given.torch_python, with_parts=given.parts)
        print(report([line]), flush=True)
        lines.append(line)
        if given.json is not None:
            given.json.write_text(json.dumps(lines, indent=1) + "\n")


if __name__ == "__main__":
    main()
