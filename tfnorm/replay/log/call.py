"""What a log says of one call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class ModelSpec:
    """What a call says of the model that answered it; None where it doesn't say."""

    name: str | None = None
    version: int | None = None
    signature: str | None = None


@dataclass(frozen=True, eq=False)
class Call:
    """A request and the answer to it.

    Attributes:
        number: of the call in the log, from 0; of a JSON log, the line's, from 1.
        key: what the log itself calls it; None where it has no name for it.
        file: the one that it is in, of a log of several; None of a log of one.
        typed: whether its inputs have types, which text has not.
        inputs: input name -> array as it was logged; empty where `records` are given.
        records: serialized tf.Examples, of a request to classify or regress; empty for others.
        outputs: output name -> array as it was answered.
        spec: of the model that answered.
        labels: `[rows]`; None where the log has none.
    """

    number: int
    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    records: tuple[bytes, ...] = ()
    spec: ModelSpec = field(default_factory=ModelSpec)
    labels: np.ndarray | None = None
    key: str | None = None
    file: str | None = None
    typed: bool = True

    @property
    def rows(self) -> int:
        """How many rows it has, by what was answered."""
        return max((len(array) for array in self.outputs.values() if array.ndim), default=0)


@dataclass(frozen=True)
class Passed:
    """A call that has nothing to compare, and why, in words that are the same for all alike."""

    number: int
    reason: str


class Log(Protocol):
    """A file of calls, or several.

    Attributes:
        name: the file, or the first of them.
        batches_known: whether it says which rows were scored together.
        scores_known: whether what it has as outputs are known to be that, whatever their names.
    """

    name: str
    batches_known: bool
    scores_known: bool

    def entries(self) -> Iterator[tuple[int, Any]]:
        """The number of each call, and what there is of it before it is understood.

        Raises:
            InputError: the file is damaged; the message names it and the record.
        """
        ...

    def call(self, number: int, entry: Any) -> Call | Passed:
        """An entry, understood.

        Raises:
            InputError: it is no call; the message names the file and the record.
        """
        ...
