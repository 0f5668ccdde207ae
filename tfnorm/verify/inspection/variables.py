"""What the variables of a SavedModel hold: statistics never updated, NaN, infinities."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from tfnorm._keras import EXPORTED_AGAIN
from tfnorm.differences import epsilon
from tfnorm.errors import InputError
from tfnorm.session import without_patterns
from tfnorm.session.checkpoint import saved_names, values

# The reader raises one or the other, by the kind of damage.
_DAMAGES = (tf.errors.OpError, RuntimeError, IndexError, ValueError, DecodeError)
# Values that are looked at together.
_PART = 1 << 20
_MEANS = ("moving_mean", "running_mean")
_VARIANCES = ("moving_variance", "moving_var", "running_var", "running_variance")


@dataclass(frozen=True)
class Fault:
    """A variable that holds what it shouldn't; `initial` where it only was never updated."""

    variable: str
    message: str
    initial: bool = False


class Variables:
    """The variables of a SavedModel, read one at a time.

    Args:
        directory: of the SavedModel.
        held: large values that are in memory, which are not read once more.

    Raises:
        InputError: they are damaged.
    """

    def __init__(self, directory: Path, held: Sequence[np.ndarray] = ()):
        self._path = directory / "variables" / "variables"
        self.names: dict[str, str] = {}
        self._shapes: dict[str, list[int]] = {}
        self._types: dict[str, tf.DType] = {}
        if not self._path.with_suffix(".index").is_file():
            return
        try:
            # The reader opens files as they are needed, for as long as it is there.
            link = contextlib.ExitStack()
            weakref.finalize(self, link.close)
            path = link.enter_context(without_patterns(directory)) / "variables" / "variables"
            self._reader = tf.train.load_checkpoint(str(path))
            self._value = values(self._reader, path, held)
            self._shapes = self._reader.get_variable_to_shape_map()
            self._types = self._reader.get_variable_to_dtype_map()
            self.names = self._read_names()
        except _DAMAGES as error:
            raise self._damaged(error) from error

    @property
    def parameters(self) -> int:
        """How many numbers they hold."""
        return sum(int(np.prod(self._shapes[key])) for key in self.names)

    def scalar(self, name: str) -> np.ndarray | None:
        """What the variable of that name holds; None where it is no single number, or not the only one."""
        keys = [key for key, known in self.names.items() if known == name]
        return self._read(keys[0]) if len(keys) == 1 and not self._shapes[keys[0]] else None

    def faults(self) -> Iterator[Fault]:
        """What is wrong with them, in their own order."""
        mean: tuple[str, np.ndarray] | None = None
        for key, name in self.names.items():
            if not epsilon(self._types[key]):
                continue
            value = self._read(key)
            owner, _, kind = name.rpartition("/")
            if bad := value.size - _finite(value):
                yield Fault(name, f"{bad:,} of its {value.size:,} values are NaN or infinite")
            if not kind.startswith((*_MEANS, *_VARIANCES)):
                continue
            value = value if np.iscomplexobj(value) else value.astype(np.float64)
            if kind.startswith(_MEANS):
                mean = owner, value
            if kind.startswith(_VARIANCES):
                if negative := int((value < 0).sum()):
                    yield Fault(name, f"{negative:,} of its {value.size:,} variances are negative")
                if mean and mean[0] == owner and not mean[1].any() and (value == 1).all():
                    yield Fault(
                        name,
                        "the moving statistics still hold their initial values, mean 0 and "
                        "variance 1: training never updated them",
                        initial=True,
                    )

    def _read_names(self) -> dict[str, str]:
        """Key in the checkpoint -> the variable's name."""
        names = saved_names(self._reader)
        own = {key: name for key, name in names.items() if not key.startswith(EXPORTED_AGAIN)}
        return own or names

    def _read(self, key: str) -> np.ndarray:
        try:
            return self._value(key)
        except _DAMAGES as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> InputError:
        reason = str(error).strip().splitlines()[0]
        return InputError(f"the variables at {self._path} can't be read: {reason}")


def _finite(value: np.ndarray) -> int:
    """How many values are finite, of a table that is too large to be copied."""
    flat = value.reshape(-1)
    found = 0
    for start in range(0, flat.size, _PART):
        part = flat[start : start + _PART]
        part = part if np.iscomplexobj(part) else part.astype(np.float64)
        found += int(np.isfinite(part).sum())
    return found
