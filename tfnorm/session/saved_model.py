"""Run a SavedModel's signatures in TensorFlow's C++ session, as TensorFlow Serving does."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from tfnorm._tensorflow import load_into_session, session_callable
from tfnorm.errors import InputError
from tfnorm.session.checkpoint import restore
from tfnorm.session.paths import find_saved_model, without_patterns
from tfnorm.session.signature import DEFAULT_SIGNATURE, Signature, read_signatures

# What TensorFlow raises on a file whose bytes or names are not what it expects.
_DAMAGED = (
    RuntimeError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    DecodeError,
    tf.errors.OpError,
)
_Call = Callable[[list[np.ndarray]], list[np.ndarray]]

_MANY_ROWS = 1024
"""From so many on, ops are worth a thread each, as DIEN's are by the clock (benchmarks/scoring.py). In a
small batch each op would wait for its thread, and the graph is optimized once more for it."""


class SavedModel:
    """A SavedModel loaded into a session of its own; `run` may be called from any thread.

    The ops of a call run one after another in the thread that makes it; in batches of 1,024 rows or more,
    ops that don't need each other run at once. One op may use more threads.

    Args:
        directory: a folder with `saved_model.pb`, or the folder of its versions (the newest is taken).
        config: session options, such as the number of threads; None for TensorFlow's defaults.
        held: arrays in memory. A variable that has one's bytes in the file takes that memory in the place of
            its own, but for TensorFlow 2.18, which copies it; the model must be one that assigns to no
            variable.

    Raises:
        InputError: there is no SavedModel, it is damaged, or it has nothing to serve.

    Example:

        with SavedModel("exports/ranker") as model:
            scores = model.run({"x": np.zeros((2, 3), np.float32)})["score"]
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        config: tf.compat.v1.ConfigProto | None = None,
        held: Sequence[np.ndarray] = (),
    ):
        self.path = find_saved_model(directory)
        self.held = held
        self._session = tf.compat.v1.Session(graph=tf.Graph(), config=config)
        try:
            with without_patterns(self.path) as path:
                prefix = path / "variables" / "variables"
                sharing = functools.partial(restore, self._session, prefix=prefix, held=held)
                meta_graph = load_into_session(self._session, str(path), sharing if held else None)
            self.signature_defs = dict(meta_graph.signature_def)
            self.signatures = read_signatures(self.signature_defs)
        except _DAMAGED as error:
            self._session.close()
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(f"{self.path} can't be loaded as a SavedModel: {reason}") from error
        self._callables: dict[tuple[str, tuple[str, ...], bool], _Call] = {}
        self._lock = threading.Lock()

    @property
    def graph(self) -> tf.Graph:
        """The loaded graph."""
        return self._session.graph

    @property
    def session(self) -> tf.compat.v1.Session:
        """The session, for those who look inside the graph."""
        return self._session

    def signature(self, name: str = DEFAULT_SIGNATURE) -> Signature:
        """The signature called `name`.

        Raises:
            InputError: there is none of that name.
        """
        if name not in self.signatures:
            raise InputError(
                f"{self.path} has no signature {name!r}; "
                f"it has {', '.join(map(repr, self.signatures)) or 'none'}"
            )
        return self.signatures[name]

    def defaults(self, name: str = DEFAULT_SIGNATURE) -> dict[str, np.ndarray]:
        """What the inputs of a signature are where they are not given, of those that need not be.

        The signature itself has defaults, or the graph has: `tf.compat.v1.placeholder_with_default`.

        Raises:
            InputError: there is no such signature.
        """
        signature, definition = self.signature(name), self.signature_defs[name]
        found = {key: tf.make_ndarray(value) for key, value in definition.defaults.items()}
        for key in signature.inputs:
            try:
                operation = self.graph.get_tensor_by_name(definition.inputs[key].name).op
            except (KeyError, ValueError):
                continue  # The call that misses it tells.
            if operation.type == "PlaceholderWithDefault" and key not in found:
                # One that is computed from what is fed has no value before.
                with contextlib.suppress(tf.errors.InvalidArgumentError):
                    found[key] = np.asarray(self._session.run(operation.inputs[0]))
        return found

    def run(
        self,
        feeds: Mapping[str, np.ndarray],
        *,
        signature: str = DEFAULT_SIGNATURE,
        outputs: Sequence[str] | None = None,
    ) -> dict[str, np.ndarray]:
        """Run a signature.

        Args:
            feeds: input name -> array, of the signature's dtypes and shapes.
            signature: its name.
            outputs: the outputs wanted; None for all.

        Returns:
            Output name -> array.

        Raises:
            InputError: `feeds`, `signature` or `outputs` don't fit the SavedModel, or it refuses the
                values (an id outside its embedding table).
        """
        called = self.signature(signature)
        arrays = called.check(feeds)
        names = tuple(called.outputs if outputs is None else outputs)
        if unknown := set(names) - called.outputs.keys():
            raise InputError(
                f"there is no output {', '.join(map(repr, sorted(unknown)))}; "
                f"signature {signature!r} gives {', '.join(map(repr, called.outputs))}"
            )
        try:
            rows = next((len(array) for array in arrays if array.ndim), 0)
            values = self._callable(called, names, one_thread=rows < _MANY_ROWS)(arrays)
        except tf.errors.InvalidArgumentError as error:
            raise InputError(
                f"{signature!r} refuses these inputs: {_reason(str(error.message))}"
            ) from error
        except UnicodeDecodeError as error:
            # An op quotes what it refuses, such as a record that is no tf.Example: that may be no text.
            reason = _reason(error.object.decode(errors="replace"))
            raise InputError(f"{signature!r} refuses these inputs: {reason}") from error
        return {
            name: np.asarray(value, called.outputs[name].dtype.as_numpy_dtype)
            for name, value in zip(names, values, strict=True)
        }

    def close(self) -> None:
        """Free the session and its variables."""
        self._session.close()

    def __enter__(self) -> SavedModel:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _callable(
        self, signature: Signature, outputs: tuple[str, ...], *, one_thread: bool
    ) -> _Call:
        key = (signature.name, outputs, one_thread)
        if key not in self._callables:
            with self._lock:
                if key not in self._callables:
                    self._callables[key] = self._made(signature, outputs, one_thread)
        return self._callables[key]

    def _made(self, signature: Signature, outputs: tuple[str, ...], one_thread: bool) -> _Call:
        definition = self.signature_defs[signature.name]
        fed = [definition.inputs[name].name for name in signature.inputs]
        fetched = [definition.outputs[name].name for name in outputs]
        for name in (*fed, *fetched):
            try:
                self.graph.get_tensor_by_name(name)
            except (KeyError, ValueError) as error:
                raise InputError(
                    f"{self.path} can't be run: its graph has no {name!r}, "
                    f"which signature {signature.name!r} names"
                ) from error
        # The session takes each tensor once, and gives none of those that it is given.
        given = {name: index for index, name in enumerate(fed)}
        computed = [name for name in fetched if name not in given]
        run = (
            session_callable(self._session, list(given), computed, one_thread=one_thread)
            if computed
            else None
        )

        def call(arrays: list[np.ndarray]) -> list[np.ndarray]:
            values = iter(run(*(arrays[index] for index in given.values())) if run else ())
            return [arrays[given[name]] if name in given else next(values) for name in fetched]

        return call


def _reason(message: str) -> str:
    """The line of the op that failed, without the graph's frame around it."""
    lines = (line.strip() for line in message.splitlines())
    return next(line for line in lines if line and line != "Graph execution error:")
