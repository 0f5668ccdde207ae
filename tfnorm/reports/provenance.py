"""What a report comes from: the packages, when it was made, how long it took, the model and the examples."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from tfnorm._start.version import __version__

if TYPE_CHECKING:
    from rich.console import RenderableType

_DIGITS = 12
_BLOCK = 1 << 20
_GRAPHS, _FOLDERS = ("saved_model.pb", "saved_model.pbtxt"), ("variables", "assets")


@dataclass(frozen=True)
class Provenance:
    """What a report comes from.

    Attributes:
        versions: package -> its version.
        started: when it was begun, in UTC, as ISO 8601 has it.
        seconds: how long it took.
        fingerprints: what was looked at, such as "model" and "examples" -> SHA-256 of it, by 12 digits; of a
            file its bytes, of a SavedModel those of its graph, variables and assets, of a Keras model in
            memory its configuration and weights, of examples their arrays. A server has none.
    """

    versions: dict[str, str]
    started: str
    seconds: float
    fingerprints: dict[str, str]

    def __str__(self) -> str:
        """It in a line."""
        versions = ", ".join(f"{package} {version}" for package, version in self.versions.items())
        started = self.started.replace("+00:00", "Z")
        made = f"{versions}; {started}, in {self.seconds:.1f} s"
        prints = ", ".join(f"{what} {digits}" for what, digits in self.fingerprints.items())
        return f"{made}; {prints}" if prints else made


class Model(Protocol):
    """As much of a scorer as its fingerprint needs."""

    name: str

    def keras_model(self) -> tuple[keras.Model, Any] | None: ...


class Stopwatch:
    """Runs from when it is made until a report is."""

    def __init__(self) -> None:
        self._started = datetime.now(timezone.utc)
        self._begun = time.monotonic()

    def provenance(
        self,
        models: Mapping[str, Model | keras.Model | Path | None],
        examples: Mapping[str, np.ndarray] | Path | None = None,
    ) -> Provenance:
        """What a report comes from that is made now.

        Args:
            models: what each is in the report, such as "model" -> it, or its files.
            examples: input name -> array, or a log; None for none.
        """
        found = {what: None if one is None else _of_model(one) for what, one in models.items()}
        if isinstance(examples, Path):
            found["log"] = fingerprint(examples)
        elif examples is not None:
            found["examples"] = _digits(_parts_of(examples))
        return Provenance(
            versions=package_versions(),
            started=self._started.isoformat(timespec="seconds"),
            seconds=round(time.monotonic() - self._begun, 3),
            fingerprints={what: digits for what, digits in found.items() if digits is not None},
        )


def with_provenance(drawn: RenderableType, provenance: Provenance | None) -> RenderableType:
    """A report for the terminal, with what it comes from in a quiet line below."""
    if provenance is None:
        return drawn
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    return Group(drawn, Padding(Text(str(provenance), style="dim"), (1, 0, 0, 2)))


def package_versions() -> dict[str, str]:
    """What scored: package -> its version."""
    return {"tfnorm": __version__, "tensorflow": tf.__version__, "keras": keras.__version__}


def fingerprint(target: Path) -> str | None:
    """What tells a file, or a SavedModel's files, from others; None of what is neither."""
    if target.is_file():
        return _digits(_blocks(target))
    graphs = [path for path in map(target.joinpath, _GRAPHS) if path.is_file()]
    if not graphs:
        return None
    beside = (path for folder in _FOLDERS for path in sorted((target / folder).rglob("*")))
    files = [*graphs, *(path for path in beside if path.is_file())]
    return _digits(part for path in files for part in chain((path.name.encode(),), _blocks(path)))


def _of_model(model: Model | keras.Model | Path) -> str | None:
    if isinstance(model, Path):
        return fingerprint(model)
    if isinstance(model, keras.Model):
        return _of_weights(model)
    try:
        found = fingerprint(Path(model.name))
    except (OSError, ValueError):
        # A name of a scorer of one's own need not be one that a file can have.
        found = None
    loaded = model.keras_model() if found is None else None
    return found if loaded is None else _of_weights(loaded[0])


def _of_weights(model: keras.Model) -> str | None:
    """What tells a model in memory from others: its configuration and its weights."""
    weights = model.weights
    # One after the other: together they may be half of the memory.
    arrays = {str(number): weight for number, weight in enumerate(weights)}
    described = _described(model)
    return _digits(chain((described,), _parts_of(arrays))) if described or arrays else None


def _described(model: keras.Model) -> bytes:
    """What the model is, as its file would have it; nothing of a class that can't be saved."""
    try:
        return str(model.to_json()).encode()
    except (NotImplementedError, TypeError, ValueError):
        return b""


def _parts_of(arrays: Mapping[str, Any]) -> Iterable[bytes]:
    for name in sorted(arrays):
        array = arrays[name]
        described = True
        for part in _rows(array):
            if described:
                yield f"{name} {part.dtype.name} {tuple(array.shape)} ".encode()
                described = False
            if part.dtype == object:
                for item in part.flat:
                    encoded = item if isinstance(item, bytes) else str(item).encode()
                    yield f"{len(encoded)} ".encode() + encoded
            else:
                yield part.tobytes()


def _rows(array: Any) -> Iterable[np.ndarray]:
    """An array or a weight, so many rows at a time that a table is not copied whole; one part at least."""
    shape = tuple(array.shape)
    if not shape or not shape[0]:
        yield np.asarray(array)
        return
    rows = max(1, _BLOCK * shape[0] // max(1, math.prod(shape) * np.asarray(array[:1]).itemsize))
    for start in range(0, shape[0], rows):
        yield np.asarray(array[start : start + rows])


def _blocks(file: Path) -> Iterable[bytes]:
    with file.open("rb") as opened:
        while block := opened.read(_BLOCK):
            yield block


def _digits(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:_DIGITS]
