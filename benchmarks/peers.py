"""What batch normalization does in its corner cases: tfnorm beside its peers, in one process.

    pip install torch dm-sonnet tf-keras
    python benchmarks/peers.py
    python benchmarks/peers.py --json peers.json

A peer that is not installed is left out. Figures are against NumPy in float64. The layer of TF 1 is what
tf-keras keeps of it.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import click
import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

import tfnorm

RNG = np.random.default_rng(0)
ERRORS = (ValueError, TypeError, RuntimeError, AttributeError, tf.errors.OpError)
NOT_THERE = "-"


class Absent(Exception):
    """The peer has no such argument or mode."""


class Trained(NamedTuple):
    """What is left after some batches, with nothing kept of the statistics before each."""

    y: np.ndarray
    mean: np.ndarray
    variance: np.ndarray


# (batches, mask, compiled, options) -> Trained
Train = Callable[..., Trained]


def keras_like(make: Callable[..., object]) -> Train:
    """Train a layer that is called as Keras's are."""

    def train(batches: Sequence[np.ndarray], *, mask=None, compiled=False, **options) -> Trained:
        layer = make(momentum=0.0, **options)
        layer.build(batches[0].shape)
        masked = {} if mask is None else {"mask": tf.constant(mask)}
        call = functools.partial(layer, training=True, **masked)
        if compiled:
            call = tf.function(call, jit_compile=True)
        for batch in batches:
            y = call(tf.constant(batch))
        return Trained(
            *(
                tf.convert_to_tensor(v).numpy()
                for v in (y, layer.moving_mean, layer.moving_variance)
            )
        )

    return train


def tf1() -> Train:
    from tf_keras.src.legacy_tf_layers.normalization import BatchNormalization

    return keras_like(BatchNormalization)


def sonnet() -> Train:
    import sonnet

    def train(batches, *, mask=None, compiled=False, **options) -> Trained:
        if mask is not None or options:
            raise Absent
        layer = sonnet.BatchNorm(True, True, decay_rate=0.0, eps=1e-3)
        layer(tf.constant(batches[0]), is_training=False)
        call = functools.partial(layer, is_training=True)
        if compiled:
            call = tf.function(call, jit_compile=True)
        for batch in batches:
            y = call(tf.constant(batch))
        return Trained(
            y.numpy(),
            layer.moving_mean.value.numpy().ravel(),
            layer.moving_variance.value.numpy().ravel(),
        )

    return train


def pytorch() -> Train:
    import torch

    def train(batches, *, mask=None, compiled=False, dtype="float32", **options) -> Trained:
        if mask is not None or compiled or options or batches[0].ndim != 2:
            raise Absent
        layer = torch.nn.BatchNorm1d(
            batches[0].shape[1], eps=1e-3, momentum=1.0, dtype=getattr(torch, dtype)
        )
        for batch in batches:
            y = layer(torch.tensor(batch))
        return Trained(y.detach().numpy(), layer.running_mean.numpy(), layer.running_var.numpy())

    return train


# Name -> the module it needs, and what makes it.
PEERS = {
    "tfnorm": ("tfnorm", lambda: keras_like(tfnorm.BatchNormalization)),
    "Keras 3": ("keras", lambda: keras_like(keras.layers.BatchNormalization)),
    "TF 1": ("tf_keras", tf1),
    "Sonnet 2": ("sonnet", sonnet),
    "PyTorch": ("torch", pytorch),
}


def error(found: np.ndarray, x: np.ndarray, ddof: int) -> float:
    expected = x.reshape(-1, x.shape[-1]).var(0, dtype=np.float64, ddof=ddof)
    return float(np.max(np.abs(found - expected) / expected))


def variance_error(x: np.ndarray, **options) -> Callable[[Train], str]:
    """The largest relative error of a variance, whether it is fed biased or unbiased."""

    def case(train: Train) -> str:
        variance = train([x], **options).variance
        return f"{min(error(variance, x, ddof) for ddof in (0, 1)):.0e}"

    return case


def far(ratio: float) -> np.ndarray:
    return (0.37 * (ratio + RNG.normal(size=(4096, 8)))).astype(np.float32)


def constant_column(train: Train) -> str:
    y = train([np.full((300, 1), -10_003.7, np.float32)]).y
    return f"{np.max(np.abs(y)):.0e}"


def which_variance(train: Train) -> str:
    x = RNG.normal(size=(5, 3)).astype(np.float32)
    variance = train([x]).variance
    return "m / (m - 1)" if error(variance, x, 1) < error(variance, x, 0) else "biased"


def kept(first: np.ndarray, after: Trained) -> str:
    """Whether the statistics are still those of the first batch."""
    if np.isnan(after.mean).any():
        return "NaN"
    return "kept" if np.allclose(after.mean, first.mean(0), atol=1e-4) else "moved to 0"


def empty_batch(train: Train) -> str:
    x = 3 + RNG.normal(size=(8, 2)).astype(np.float32)
    return kept(x, train([x, x[:0]]))


def one_row(train: Train) -> str:
    y = train([np.float32([[3.0, 4.0]])]).y
    return "beta" if np.allclose(y, 0, atol=1e-4) else f"{y}"


def all_masked(train: Train) -> str:
    x = 3 + RNG.normal(size=(8, 5, 2)).astype(np.float32)
    variance = train([x], mask=np.zeros((8, 5), bool)).variance
    return "kept" if np.all(variance == 1) else "moved to 0"


def masked(channels: int, axis: int) -> Callable[[Train], str]:
    def case(train: Train) -> str:
        x = RNG.normal(size=(8, 5, channels)).astype(np.float32)
        mask = RNG.random((8, 5)) < 0.5
        mean = train([x], mask=mask, axis=axis).mean
        counted = np.broadcast_to(mask[..., None], x.shape)
        expected = np.ma.array(x, mask=~counted).mean(tuple({0, 1, 2} - {axis % 3}))
        return "right" if np.allclose(mean, expected, atol=1e-6) else "wrong"

    return case


def float16(train: Train) -> str:
    x = (300 + RNG.normal(size=(64, 2))).astype(np.float16)
    return str(train([x], dtype="float16").variance.dtype)


def integers(train: Train) -> str:
    train([np.ones((4, 2), np.int32)])
    return "taken"


def ghost_batches(train: Train) -> str:
    x = RNG.normal(size=(10, 3)).astype(np.float32)
    train([x], virtual_batch_size=4)
    return "two of 4, one of 2"


CASES: dict[str, Callable[[Train], str]] = {
    "variance, mean / std = 1,000": variance_error(far(1000)),
    "variance, mean / std = 1,000, XLA": variance_error(far(1000), compiled=True),
    "variance, mean / std = 10,000": variance_error(far(10_000)),
    "variance, mean / std = 10,000, XLA": variance_error(far(10_000), compiled=True),
    "variance, mean / std = 1,000, images, XLA": variance_error(
        far(1000).reshape(16, 16, 16, 8), compiled=True
    ),
    "variance, mean / std = 1,000, synchronized": variance_error(far(1000), synchronized=True),
    "variance of 0/1 features": variance_error((RNG.random((4096, 8)) < 0.3).astype(np.float32)),
    "size of y for a constant -10,003.7": constant_column,
    "variance fed to the moving one": which_variance,
    "an empty batch": empty_batch,
    "one row": one_row,
    "a batch that is all masked": all_masked,
    "a mask and one channel": masked(1, -1),
    "a mask and axis=1": masked(3, 1),
    "statistics under dtype float16": float16,
    "integer inputs": integers,
    "virtual_batch_size=4 of 10 rows": ghost_batches,
}


def outcome(case: Callable[[Train], str], train: Train) -> str:
    try:
        return case(train)
    except Absent:
        return NOT_THERE
    except ERRORS as reason:
        return type(reason).__name__


@click.command()
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the table here.")
def main(json_path: Path | None) -> None:
    """Print what each peer makes of each corner case."""
    there = {
        name: make for name, (module, make) in PEERS.items() if importlib.util.find_spec(module)
    }
    trains = {name: make() for name, make in there.items()}
    table = Table("", *trains, box=None)
    results = {}
    for title, case in CASES.items():
        results[title] = {name: outcome(case, train) for name, train in trains.items()}
        table.add_row(title, *results[title].values())
    versions = {name: version_of(PEERS[name][0]) for name in trains}
    Console().print(table)
    Console().print(", ".join(f"{name} {version}" for name, version in versions.items()))
    if json_path:
        json_path.write_text(json.dumps({"versions": versions, "cases": results}, indent=2))


def version_of(module: str) -> str:
    return getattr(importlib.import_module(module), "__version__", "unknown")


if __name__ == "__main__":
    main()
