"""The kinds of feature that a click log has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfnorm.errors import InputError

LARGEST_TABLE = 2**31 - 1
Statistic = float | Sequence[float]
"""Of a number, or of each number of a vector."""

SCALES = (None, "log", "standard")

_LARGEST_ID = 2**63 - 2
"""Of a vocabulary: another integer stands for those that it lacks."""

_LARGEST_NUMBER = (2 - 2**-23) * 2.0**127
"""That float32 has, in which numbers are scaled."""


@dataclass(frozen=True)
class Id:
    """An id, of which a model learns an embedding.

    The row of the table is the id itself where only `size` is given; 1 + hash(id) mod `size` where
    it is `hashed`, by FarmHash of the id or of an integer's decimal digits; 2 + its place in the
    `vocabulary`, and 1 for an id that isn't there. Row 0 is for what is missing and for padding: the
    id 0, or the empty string.

    Args:
        name: the name of the feature, and of its column.
        size: ids are in [0, size), or they are hashed into this many buckets. None with a vocabulary.
        width: how many numbers an embedding has.
        hashed: any id is taken, and those that share a bucket share an embedding.
        vocabulary: the ids there are, all strings or all integers, or the path of a file with one string on
            each line; None for no vocabulary.
        many: whether a row has a list of ids.
        combine: `mean` or `sum` of the embeddings of a list.
        table: the name of the embedding table; features that name the same table share it. None for a table
            of its own, named after the feature.
        dtype: the dtype of the input, `int64`, `int32` or `string`; None for `string` where the ids are
            hashed or the vocabulary has strings, else `int64`.

    Raises:
        InputError: an argument is not as said here; the message names the feature.

    Example:

        >>> Id("user", size=1000, hashed=True).rows, Id("shelf", vocabulary=["a", "b"]).rows
        (1001, 4)
    """

    name: str
    size: int | None = None
    width: int = 16
    hashed: bool = False
    vocabulary: Sequence[str] | Sequence[int] | str | Path | None = None
    many: bool = False
    combine: str = "mean"
    table: str | None = None
    dtype: str | None = None

    def __post_init__(self) -> None:
        _check_name(self.name, "id")
        where = f"feature {self.name!r}"
        _check_whole(where, "width", self.width)
        for key in ("hashed", "many"):
            if not isinstance(getattr(self, key), bool):
                raise InputError(f"{where}: {key} is {getattr(self, key)!r}; accepted: true, false")
        if self.combine not in ("mean", "sum"):
            raise InputError(f"{where}: combine is {self.combine!r}; accepted: 'mean', 'sum'")
        if self.table is not None:
            _check_name(self.table, f"table of {where}")
        if self.vocabulary is None:
            _check_whole(where, "size", self.size)
        else:
            object.__setattr__(self, "vocabulary", _vocabulary(where, self.vocabulary))
            if self.size is not None or self.hashed:
                raise InputError(
                    f"{where}: a vocabulary and {'hashed' if self.hashed else 'size'} exclude each other; "
                    "accepted: size, size and hashed, or vocabulary"
                )
        if self.dtype is None:
            object.__setattr__(self, "dtype", self._own_dtype())
        self._check_dtype(where)

    @property
    def rows(self) -> int:
        """How many rows its table has."""
        if self.vocabulary is not None:
            return len(self.known) + 2
        assert self.size is not None
        return self.size + 1 if self.hashed else self.size

    @property
    def known(self) -> tuple[str, ...] | tuple[int, ...]:
        """The ids of the vocabulary; none where there is no vocabulary."""
        assert not isinstance(self.vocabulary, (str, Path))
        return () if self.vocabulary is None else tuple(self.vocabulary)  # type: ignore[return-value]

    @property
    def table_name(self) -> str:
        """The table that it looks up."""
        return self.table or self.name

    @property
    def encoding(self) -> tuple[object, ...]:
        """What must be the same of features that share a table."""
        return self.size, self.width, self.hashed, self.vocabulary

    def _own_dtype(self) -> str:
        strings = any(isinstance(value, str) for value in self.known[:1])
        return "string" if self.hashed or strings else "int64"

    def _check_dtype(self, where: str) -> None:
        accepted = ["int64", "int32", "string"]
        if not self.hashed:
            accepted = ["string"] if self._own_dtype() == "string" else ["int64", "int32"]
        if self.dtype not in accepted:
            raise InputError(
                f"{where}: dtype is {self.dtype!r}; accepted: {', '.join(map(repr, accepted))}"
            )


@dataclass(frozen=True)
class Number:
    """A number, or a vector of them.

    Args:
        name: the name of the feature, and of its column.
        length: how many numbers a row has; None for one.
        scale: None to take it as it is; `log` for sign(x) log(1 + |x|); `standard` for
            (x - mean) / deviation.
        mean: the mean over the training log, for `standard`: a number, or one for each of the vector;
            None where it isn't known yet: `tfnorm.datasets.standardize` finds it.
        deviation: the standard deviation, likewise; None where it isn't known yet. Where it is 0, x -
            mean is not divided.

    Raises:
        InputError: an argument is not as said here; the message names the feature.

    Example:

        >>> Number("price", scale="log").length is None
        True
    """

    name: str
    length: int | None = None
    scale: str | None = None
    mean: Statistic | None = None
    deviation: Statistic | None = None

    def __post_init__(self) -> None:
        _check_name(self.name, "number")
        where = f"feature {self.name!r}"
        if self.length is not None:
            _check_whole(where, "length", self.length)
        if self.scale not in SCALES:
            raise InputError(f"{where}: scale is {self.scale!r}; accepted: null, 'log', 'standard'")
        for key in ("mean", "deviation"):
            if (value := getattr(self, key)) is None:
                continue
            if self.scale != "standard":
                raise InputError(
                    f"{where}: {key} is given; accepted with the scale 'standard' alone"
                )
            object.__setattr__(self, key, self._statistic(where, key, value))
        if (self.mean is None) != (self.deviation is None):
            raise InputError(
                f"{where}: one of mean and deviation is given; accepted: both or neither"
            )

    @property
    def is_fitted(self) -> bool:
        """Whether nothing is missing that its scale needs."""
        return self.scale != "standard" or self.mean is not None

    def _statistic(self, where: str, key: str, value: Any) -> Statistic:
        values = value if isinstance(value, (list, tuple)) else [value]
        fine = all(_is_number(x) and (key == "mean" or x >= 0) for x in values)
        if self.length is None:
            fine = fine and not isinstance(value, (list, tuple))
        else:
            fine = fine and len(values) in (1, self.length)
        if not fine:
            raise InputError(
                f"{where}: {key} is {value!r}; accepted: a finite number"
                f"{'' if key == 'mean' else ' from 0'}"
                f"{'' if self.length is None else f', or {self.length} in a list'}"
            )
        return tuple(map(float, values)) if isinstance(value, (list, tuple)) else float(values[0])


@dataclass(frozen=True)
class History:
    """What a user did before: columns of lists, oldest first, that hold what the target has.

    A list ends where its first column does; what follows is padding: the id 0, or the empty string.

    Args:
        name: the name of the feature.
        of: an id feature of the target -> the column with the earlier ids of its kind; the first column
            tells where a list ends.
        numbers: the columns with what else is known of each step, such as how long it lasted; a `Number`
            for a column that is to be scaled.
        length: the most steps that are kept, by the reader of a log and in the graph of a model.
        keep: which steps of a longer history are kept, `newest` or `oldest`.

    Raises:
        InputError: an argument is not as said here; the message names the feature.

    Example:

        >>> History("history", of={"item": "hist_items"}, numbers=["hist_seconds"]).columns
        ('hist_items', 'hist_seconds')
    """

    name: str
    of: Mapping[str, str]
    numbers: Sequence[str | Number] = field(default=())
    length: int = 50
    keep: str = "newest"

    def __post_init__(self) -> None:
        _check_name(self.name, "history")
        where = f"feature {self.name!r}"
        _check_whole(where, "length", self.length)
        if not isinstance(self.of, Mapping) or not self.of:
            raise InputError(
                f"{where}: of is {self.of!r}; accepted: the target's feature -> the history's column"
            )
        for target, column in self.of.items():
            _check_name(target, f"target of {where}")
            _check_name(column, f"column of {where}")
        if not isinstance(self.numbers, (list, tuple)):
            raise InputError(f"{where}: numbers is {self.numbers!r}; accepted: a list of columns")
        numbers = tuple(Number(n) if isinstance(n, str) else n for n in self.numbers)
        for number in numbers:
            if not isinstance(number, Number) or number.length is not None:
                raise InputError(
                    f"{where}: numbers has {number!r}; accepted: columns of one number a step"
                )
        object.__setattr__(self, "of", dict(self.of))
        object.__setattr__(self, "numbers", numbers)
        if len(set(self.columns)) < len(self.columns):
            raise InputError(f"{where}: a column is there twice in {', '.join(self.columns)}")
        if self.keep not in ("newest", "oldest"):
            raise InputError(f"{where}: keep is {self.keep!r}; accepted: 'newest', 'oldest'")

    @property
    def side_numbers(self) -> tuple[Number, ...]:
        """The numbers of each step."""
        return tuple(n for n in self.numbers if isinstance(n, Number))

    @property
    def columns(self) -> tuple[str, ...]:
        """Its columns, the one that tells where a list ends first."""
        return (*self.of.values(), *(number.name for number in self.side_numbers))


Feature = Id | Number | History


def _check_name(name: object, kind: str) -> None:
    if not isinstance(name, str) or not name:
        raise InputError(f"the name of a feature ({kind}) is {name!r}; accepted: a string")


def _check_whole(where: str, key: str, value: object) -> None:
    if type(value) is not int or not 1 <= value <= LARGEST_TABLE:
        raise InputError(
            f"{where}: {key} is {value!r}; accepted: a whole number from 1 to {LARGEST_TABLE}"
        )


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) <= _LARGEST_NUMBER


def _vocabulary(where: str, given: object) -> tuple[str, ...] | tuple[int, ...]:
    if isinstance(given, (str, Path)):
        try:
            text = Path(given).read_text(encoding="utf-8-sig")
        except (OSError, ValueError) as error:
            not_utf_8 = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error
            reason = getattr(error, "strerror", None) or not_utf_8
            raise InputError(f"{where}: vocabulary {given} can't be read: {reason}") from error
        # Not `splitlines`: a string may have what Unicode counts as the end of a line.
        given = text.removesuffix("\n").split("\n")
    accepted = (
        "accepted: a list of strings, or of whole numbers, each once and none of them empty or 0"
    )
    if not isinstance(given, (list, tuple)) or not given:
        raise InputError(f"{where}: vocabulary is {given!r}; {accepted}")
    kinds = {type(value) for value in given}
    if kinds not in ({str}, {int}):
        raise InputError(
            f"{where}: vocabulary holds {' and '.join(sorted(k.__name__ for k in kinds))}; {accepted}"
        )
    values = tuple(given)
    if not all(values):
        raise InputError(f"{where}: vocabulary holds {min(values)!r}; {accepted}")
    if kinds == {int} and (wide := [v for v in values if abs(v) > _LARGEST_ID]):
        raise InputError(f"{where}: vocabulary holds {wide[0]}; accepted: what fits into int64")
    if len(set(values)) < len(values):
        twice = next(value for value in values if values.count(value) > 1)
        raise InputError(f"{where}: vocabulary holds {twice!r} more than once; {accepted}")
    return values
