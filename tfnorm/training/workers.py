"""The workers of a `tf.distribute` strategy: which this one is, and what they tell each other."""

from __future__ import annotations

import json
import os
import pickle
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.training.recipe import STRATEGIES, StrategyName

_T = TypeVar("_T")
_WORD = 8
_ADDRESS = re.compile(r".+:[0-9]+")
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
    tf.errors.FailedPreconditionError,
)
"""What TensorFlow raises where another worker has gone."""


@contextmanager
def strategy_scope(name: StrategyName | None) -> Iterator[bool]:
    """Train on several devices, or on several workers, as long as this lasts.

    It must come before anything else of TensorFlow runs. At its end the workers wait for each other, so that
    none goes before the first has written what was trained.

    Args:
        name: `mirrored` for all devices of this machine, `multi-worker` for the workers that the
            environment variable TF_CONFIG names; None for one device.

    Returns:
        A context manager that gives whether this worker is the one that writes.

    Raises:
        InputError: there is no such strategy, or TF_CONFIG doesn't say which worker this is.

    Example:

        with tfnorm.training.strategy_scope("multi-worker") as writes:
            trained = tfnorm.training.train(tfnorm.datasets.synthetic())
            if writes:
                trained.model.save("din.keras")
    """
    if name is None:
        yield True
        return
    with _strategy(name).scope():
        yield place()[0] == 0
        of_all(None)


def _strategy(name: StrategyName) -> tf.distribute.Strategy:
    if name not in STRATEGIES:
        raise InputError(f"strategy is {name!r}; accepted: {', '.join(map(repr, STRATEGIES))}")
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    place = _configured_place(os.environ.get("TF_CONFIG", ""))
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    # TensorFlow has no more to say of a port that it can't listen on.
    except tf.errors.UnknownError as error:
        raise InputError(
            f"this worker can't listen at {place}, which TF_CONFIG gives it: {error.message}; accepted: a "
            "port of this machine on which nothing listens"
        ) from error


def check_strategy() -> None:
    """Raise InputError where the strategy in scope does not keep its replicas in step."""
    strategy = tf.distribute.get_strategy()
    if isinstance(strategy, tf.distribute.ParameterServerStrategy):
        raise InputError(
            f"the strategy is {type(strategy).__name__}; accepted: one whose replicas keep in step, such as "
            "MirroredStrategy or MultiWorkerMirroredStrategy"
        )


def place() -> tuple[int, int]:
    """Which worker this is, and how many there are; (0, 1) where there is no other."""
    strategy = tf.distribute.get_strategy()
    if strategy.num_replicas_in_sync == 1:
        return 0, 1
    numbers = strategy.experimental_distribute_values_from_function(
        lambda context: context.replica_id_in_sync_group
    )
    local = strategy.experimental_local_results(numbers)
    return int(local[0]) // len(local), strategy.num_replicas_in_sync // len(local)


def of_all(value: _T) -> list[_T]:
    """What each worker gives, in their order; all must ask at the same time."""
    index, count = place()
    if count == 1:
        return [value]
    strategy = tf.distribute.get_strategy()
    data = np.frombuffer(pickle.dumps(value), np.uint8)
    words = np.pad(data, (0, -len(data) % _WORD)).view(np.int64)
    first = index * (strategy.num_replicas_in_sync // count)

    def gathered(array: np.ndarray) -> np.ndarray:
        # The other replicas of a worker give nothing.
        values = strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(
                array if int(context.replica_id_in_sync_group) == first else array[:0]
            )
        )
        found: np.ndarray = strategy.gather(values, 0).numpy()
        return found

    ends = np.cumsum(gathered(np.array([len(words)], np.int64)))
    # What is put behind a pickle to fill a word is not read.
    return [pickle.loads(part.tobytes()) for part in np.split(gathered(words), ends[:-1])]


def outside(function: Callable[[], _T]) -> _T:
    """What a function gives that runs in no strategy's scope, which is a thread's own."""
    if not tf.distribute.has_strategy():
        return function()
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(function).result()


@contextmanager
def loss_of_workers_told(next_step: str) -> Iterator[None]:
    """Say in a line what TensorFlow says at length where another worker has gone.

    Args:
        next_step: what to do about it.

    Raises:
        InputError: another worker has gone.
    """
    index, count = place()
    try:
        yield
    except _LOST as error:
        if count == 1:
            raise
        raise InputError(
            f"worker {index} of {count} has lost another in the middle; {next_step}"
        ) from error


def _configured_place(text: str) -> str:
    """HOST:PORT of this worker."""
    refusal = InputError(
        f"TF_CONFIG is {text[:80]!r}; "
        'accepted: {"cluster": {"worker": ["HOST:PORT", ...]}, "task": {"type": "worker", "index": 0}}, '
        "each address once, and no more than one chief"
    )
    try:
        config: Any = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        known, index = cluster[task["type"]], int(task["index"])
        addresses = [address for of_type in cluster.values() for address in of_type]
        fits = (
            set(cluster) <= {"chief", "worker"}
            and all(isinstance(of_type, list) for of_type in cluster.values())
            and len(cluster.get("chief", ())) <= 1
            and all(isinstance(x, str) and _ADDRESS.fullmatch(x) for x in addresses)
            and len(set(addresses)) == len(addresses)
            and 0 <= index < len(known)
            and str(index) == str(task["index"])
        )
    except (ValueError, KeyError, TypeError) as error:
        raise refusal from error
    if not fits:
        raise refusal
    return str(known[index])
