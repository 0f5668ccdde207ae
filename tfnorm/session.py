"""Run a SavedModel's signatures in TensorFlow's C++ session, as TensorFlow Serving does."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from tfnorm._tensorflow import load_into_session
from tfnorm.errors import InputError

DEFAULT_SIGNATURE = "serving_default"
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


# The highest that TensorFlow Serving takes.
LAST_VERSION = 2**63 - 1
# TensorFlow looks for the variables by a pattern that the path is part of.
_OF_PATTERNS = set("*?[]\\") - {os.sep}


def version_number(name: str) -> int | None:
    """The version that a folder of this name is to TensorFlow Serving, if it is one."""
    number = int(name) if name.isascii() and name.isdecimal() else None
    return None if number is None or number > LAST_VERSION else number


def versions(directory: str | Path) -> dict[int, Path]:
    """The complete versions in `directory`, by number, lowest first."""
    found = {
        number: path
        for path in Path(directory).glob("[0-9]*")
        if (number := version_number(path.name)) is not None and (path / "saved_model.pb").is_file()
    }
    return dict(sorted(found.items()))


def check_path(path: str | os.PathLike[str]) -> Path:
    """The path, if TensorFlow can be told it.

    Raises:
        InputError: it is no UTF-8, or the system can't look for it.
    """
    text = os.fspath(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(
            f"the path {text!r} is no UTF-8, and TensorFlow takes no other; give another folder"
        ) from None
    try:
        Path(text, "saved_model.pb").stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise InputError(f"the path {text!r} can't be looked for: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"the path {text!r} can't be looked for: {error}") from error
    return Path(text)


def find_saved_model(directory: str | Path) -> Path:
    """The SavedModel at `directory`, or the newest of the versions in it.

    Raises:
        InputError: there is neither.
    """
    directory = check_path(directory)
    if (directory / "saved_model.pb").is_file():
        return directory
    if found := versions(directory):
        return found[max(found)]
    if not directory.exists():
        raise InputError(f"{directory} does not exist; give the directory of a SavedModel")
    raise InputError(
        f"{directory} holds no SavedModel: neither saved_model.pb nor a numbered version with one"
    )


@dataclass(frozen=True)
class Signature:
    """One way to call a SavedModel: named tensors in, named tensors out."""

    name: str
    method_name: str
    inputs: dict[str, tf.TensorSpec]
    outputs: dict[str, tf.TensorSpec]

    def check(self, feeds: Mapping[str, np.ndarray]) -> None:
        """Raise InputError unless `feeds` has each input, no other, with its dtype and shape."""
        self.check_names(feeds)
        for name, spec in self.inputs.items():
            array = feeds[name]
            dtype = tf.string if array.dtype.kind in "OSU" else tf.as_dtype(array.dtype)
            if dtype != spec.dtype or not spec.shape.is_compatible_with(array.shape):
                raise InputError(
                    f"input {name!r} has dtype {dtype.name} and shape {list(array.shape)}; "
                    f"accepted: dtype {spec.dtype.name} and shape {_shape(spec)}"
                )

    def check_names(self, feeds: Mapping[str, object]) -> None:
        """Raise InputError unless `feeds` has each input and no other."""
        if missing := self.inputs.keys() - feeds.keys():
            raise InputError(
                f"input {', '.join(map(repr, sorted(missing)))} is missing; {self._accepts()}"
            )
        if unknown := feeds.keys() - self.inputs.keys():
            raise InputError(
                f"there is no input {', '.join(map(repr, sorted(unknown)))}; {self._accepts()}"
            )

    def _accepts(self) -> str:
        return f"signature {self.name!r} takes {', '.join(map(repr, self.inputs))}"


def tensor_specs(
    infos: Mapping[str, tf.compat.v1.saved_model.TensorInfo],
) -> dict[str, tf.TensorSpec]:
    """The inputs or outputs of a signature as its SignatureDef has them, in the order of their names."""
    for name, info in infos.items():
        sizes = [dim.size for dim in info.tensor_shape.dim]
        if min(sizes, default=0) < -1:
            raise ValueError(f"{name!r} has shape {sizes}")
    return {
        name: tf.TensorSpec(tf.TensorShape(info.tensor_shape), tf.as_dtype(info.dtype), name)
        for name, info in sorted(infos.items())
    }


class SavedModel:
    """A SavedModel loaded into a session of its own; `run` may be called from any thread.

    Args:
        directory: a folder with `saved_model.pb`, or the folder of its versions (the newest is taken).
        config: session options, such as the number of threads; None for TensorFlow's defaults.

    Raises:
        InputError: there is no SavedModel, it is damaged, or it has nothing to serve.

    Example:

        with SavedModel("exports/ranker") as model:
            scores = model.run({"x": np.zeros((2, 3), np.float32)})["score"]
    """

    def __init__(self, directory: str | Path, *, config: tf.compat.v1.ConfigProto | None = None):
        self.path = find_saved_model(directory)
        self._session = tf.compat.v1.Session(graph=tf.Graph(), config=config)
        try:
            with without_patterns(self.path) as path:
                meta_graph = load_into_session(self._session, str(path))
            self.signature_defs = dict(meta_graph.signature_def)
            self.signatures = {
                name: Signature(
                    name,
                    definition.method_name,
                    tensor_specs(definition.inputs),
                    tensor_specs(definition.outputs),
                )
                for name, definition in self.signature_defs.items()
                if definition.method_name
            }
        except _DAMAGED as error:
            self._session.close()
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(f"{self.path} can't be loaded as a SavedModel: {reason}") from error
        self._callables: dict[tuple[str, tuple[str, ...]], Callable[..., list[np.ndarray]]] = {}
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
        called.check(feeds)
        names = tuple(called.outputs if outputs is None else outputs)
        if unknown := set(names) - called.outputs.keys():
            raise InputError(
                f"there is no output {', '.join(map(repr, sorted(unknown)))}; "
                f"signature {signature!r} gives {', '.join(map(repr, called.outputs))}"
            )
        try:
            values = self._callable(called, names)(*(feeds[name] for name in called.inputs))
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
        self, signature: Signature, outputs: tuple[str, ...]
    ) -> Callable[..., list[np.ndarray]]:
        key = (signature.name, outputs)
        with self._lock:
            if key not in self._callables:
                definition = self.signature_defs[signature.name]
                self._callables[key] = self._session.make_callable(
                    [definition.outputs[name].name for name in outputs],
                    [definition.inputs[name].name for name in signature.inputs],
                )
            return self._callables[key]


@contextlib.contextmanager
def without_patterns(path: Path) -> Iterator[Path]:
    """`path`, or a link to it for as long as this lasts where TensorFlow could take it for a pattern."""
    if not _OF_PATTERNS & set(str(path)):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder, "saved_model")
        link.symlink_to(path.resolve(), target_is_directory=True)
        yield link


def _reason(message: str) -> str:
    """The line of the op that failed, without the graph's frame around it."""
    lines = (line.strip() for line in message.splitlines())
    return next(line for line in lines if line and line != "Graph execution error:")


def _shape(spec: tf.TensorSpec) -> str:
    return str(spec.shape.as_list()) if spec.shape.rank is not None else "of any rank"
