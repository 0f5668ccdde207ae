"""A schema guessed from a log's files, for a person to correct."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tfnorm.datasets.logs.files import Files
from tfnorm.datasets.profile import Profile, profiles
from tfnorm.errors import InputError
from tfnorm.schema import History, Id, Number, Schema
from tfnorm.schema.features import Feature

_LABELS = frozenset(
    [
        "click",
        "clicked",
        "clicks",
        "is_click",
        "label",
        "labels",
        "y",
        "target",
        "buy",
        "bought",
        "purchase",
        "purchased",
        "convert",
        "converted",
        "conversion",
        "like",
        "liked",
    ]
)
_TIMES = frozenset(["ts", "time", "timestamp", "datetime", "date", "created"])
_USER = re.compile(r"user|customer|member|visitor|^uid$", re.IGNORECASE)
_AMOUNTS = frozenset(
    [
        "count",
        "counts",
        "num",
        "number",
        "n",
        "age",
        "price",
        "amount",
        "cost",
        "seconds",
        "minutes",
        "hours",
        "days",
        "duration",
        "dwell",
        "score",
        "rating",
        "length",
        "size",
    ]
)
_NOW = 1e8
"""Seconds since 1970 that are in 1973: a number from there on may be a time."""
_VOCABULARY = 1_000
_SPARSE = 20
"""How many times as large as its distinct values a table of integers may be."""


def draft(files: Files) -> Schema:
    """A schema for the files of a log, guessed from what they hold.

    Integers that are dense are ids in a range, others and strings are hashed, or a vocabulary where
    there are few; lists whose values a single column has too are histories of it, together with lists
    of the same lengths; a column that has both 0 and 1 and is called like one is the label. Columns that
    can be no feature are left out: those without a value, times, lists of numbers that differ in their
    lengths and go with no ids, and types such as structures. All of it is a guess, for a person to
    correct.

    Args:
        files: a path, a folder, a pattern, or a list of them: Parquet, JSON lines, TFRecord, or CSV, of which
            a column that has `|` in a cell is one of lists.

    Returns:
        The schema.

    Raises:
        InputError: a file can't be read, there are no rows, no column can be the label or the target,
            or the column that is called like a label has other values than 0 and 1.

    Example:

        tfnorm.datasets.draft("train/*.parquet").save("schema.json")
    """
    return drafted(files)[0]


def drafted(files: Files) -> tuple[Schema, dict[str, str]]:
    """The schema that `draft` gives, and which columns are in no part of it, and why.

    Raises:
        InputError: as `draft` does.
    """
    every = profiles(files)
    if not any(p.rows for p in every):
        raise InputError(f"{_named(files)} has no rows; accepted: one or more")
    left_out = {p.name: reason for p in every if (reason := _no_feature(p))}
    found = [p for p in every if p.name not in left_out]
    label = _label(found)
    rest = [p for p in found if p.name != label.name]
    time = _time(rest)
    for p in rest:
        if p is not time and p.kind == "time":
            left_out[p.name] = "a time"
    rest = [p for p in rest if p is not time and p.kind != "time"]
    singles = [p for p in rest if not p.is_list]
    ids = [p for p in singles if _is_id(p)]
    users = [p for p in ids if _USER.search(p.name)]
    group = max(users, key=lambda p: len(p.distinct), default=None)
    histories = _histories([p for p in rest if p.is_list], [p for p in ids if p is not group])
    of = {name: column for history in histories for name, column in history.of.items()}
    in_histories = {column for history in histories for column in history.columns}
    features: list[Feature] = []
    for p in rest:
        if p.name in in_histories:
            continue
        if p.is_list and p.kind == "float" and p.shortest != p.longest:
            left_out[p.name] = "lists of numbers of different lengths"
            continue
        held = [other for other in rest if other.name == of.get(p.name)]
        features.append(_feature(_together(p, held), is_id=p in ids, in_history=p.name in of))
    features += histories
    target = [p.name for p in ids if p.name in of] or [p.name for p in ids if p is not group]
    if not target:
        raise InputError(
            f"none of {', '.join(p.name for p in every)} looks like the id of what is shown; "
            "accepted: a log with one"
        )
    schema = Schema(
        features,
        target=target,
        label=label.name,
        group=None if group is None else group.name,
        time=None if time is None else time.name,
    )
    return schema, left_out


def _named(files: Files) -> str:
    return str(files) if isinstance(files, (str, Path)) else ", ".join(map(str, files))


def _no_feature(p: Profile) -> str | None:
    """Why a column can be nothing in a schema."""
    if not p.name:
        return "without a name"
    if p.kind == "other":
        return "of a type that is neither integers, numbers, strings nor lists of them"
    if not p.distinct:
        return "without a value"
    return "lists of times" if p.is_list and p.kind == "time" else None


def _label(found: Sequence[Profile]) -> Profile:
    named = [p for p in found if not p.is_list and _words(p.name) & _LABELS]
    binary = [p for p in found if not p.is_list and p.distinct == {0, 1}]
    binary.sort(key=lambda p: (p not in named, p.name.lower() not in _LABELS))
    if binary and binary[0] in named:
        return binary[0]
    others = [p for p in named if p.name.lower() in _LABELS or len(p.distinct) <= 2]
    if others:
        values = sorted(others[0].distinct, key=str)
        raise InputError(
            f"column {others[0].name!r}, which is called like a label, holds "
            f"{', '.join(map(repr, values[:3]))}{', ...' if len(values) > 3 else ''}; accepted: a "
            "label that has both 0 and 1, and nothing else"
        )
    if binary:
        return binary[0]
    raise InputError(
        f"none of {', '.join(p.name for p in found)} has 0 and 1 alone; accepted: a log with a label"
    )


def _time(rest: Sequence[Profile]) -> Profile | None:
    """The column of when it was: dates before numbers that are called so."""
    singles = [p for p in rest if not p.is_list]
    dates = [p for p in singles if p.kind == "time"]
    numbers = [p for p in singles if p.kind in ("integer", "float")]
    called = [p for p in numbers if p.name.lower() in _TIMES]
    called += [p for p in numbers if _words(p.name) & _TIMES and p.least >= _NOW]
    return next(iter([*dates, *called]), None)


def _is_id(p: Profile) -> bool:
    words = _words(p.name)
    if p.kind == "string":
        return True
    if p.kind != "integer" or words & _AMOUNTS:
        return False
    return p.least >= 0 or "id" in words


def _words(name: str) -> frozenset[str]:
    """The words of a column's name, and the name itself."""
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+|\d+", name)
    return frozenset([name.lower(), *(part.lower() for part in parts)])


def _histories(lists: list[Profile], ids: list[Profile]) -> list[History]:
    """Lists of the same lengths that hold what single columns have, and numbers beside them."""
    groups: dict[int, list[Profile]] = {}
    for p in lists:
        groups.setdefault(p.lengths, []).append(p)
    found: list[History] = []
    for members in groups.values():
        of: dict[str, str] = {}
        for p in sorted(members, key=lambda p: -len(p.distinct)):
            single = _held_too(p, [i for i in ids if i.name not in of])
            if single is not None:
                of[single.name] = p.name
        beside = [p for p in members if p.kind == "float" and p.shortest != p.longest]
        beside += [
            p
            for p in members
            if p.kind == "integer" and p.name not in of.values() and _words(p.name) & _AMOUNTS
        ]
        numbers = [Number(p.name, scale="log" if _is_wide(p) else None) for p in beside]
        if of:
            name = "history" if not found else f"history_{len(found) + 1}"
            length = min(50, max(p.longest for p in members))
            found.append(History(name, of=of, numbers=numbers, length=max(1, length)))
    return found


def _is_wide(p: Profile) -> bool:
    """Whether its numbers are told apart by their size, such as prices and times are."""
    return p.least >= 0 and p.greatest > 20


def _held_too(p: Profile, ids: list[Profile]) -> Profile | None:
    """The single column that has what the lists hold."""

    def shared(single: Profile) -> float:
        return len(p.distinct & single.distinct) / max(
            1, min(len(p.distinct), len(single.distinct))
        )

    def alike(single: Profile) -> float:
        return difflib.SequenceMatcher(None, p.name, single.name).ratio()

    candidates = [i for i in ids if i.kind == p.kind and shared(i) >= 0.5]
    return max(candidates, key=alike, default=None)


def _together(p: Profile, held: Sequence[Profile]) -> Profile:
    """A column and the histories that look into its table: which has rows for the values of all."""
    return replace(
        p,
        distinct=p.distinct.union(*(other.distinct for other in held)),
        least=min(other.least for other in (p, *held)),
        greatest=max(other.greatest for other in (p, *held)),
    )


def _feature(p: Profile, *, is_id: bool, in_history: bool) -> Feature:
    if p.kind == "float" or (p.kind == "integer" and not p.is_list and not is_id):
        length = p.longest if p.is_list else None
        return Number(p.name, length=length, scale="log" if _is_wide(p) else "standard")
    rows = len(p.distinct)
    width = 8 if rows < 1_000 else 16
    # An empty string is no word, and what stands for bytes that are no text is not what they are.
    words = p.kind == "string" and not any(not w or "\ufffd" in w for w in p.distinct)
    if words and rows <= min(_VOCABULARY, p.rows / 10):
        return Id(p.name, vocabulary=sorted(p.distinct), width=width, many=p.is_list)
    dense = p.kind == "integer" and p.greatest < max(1_000, _SPARSE * rows)
    # A history's padding is the id 0.
    if dense and p.least >= (1 if in_history or p.is_list else 0):
        return Id(p.name, size=int(p.greatest) + 1, width=width, many=p.is_list)
    return Id(p.name, size=_round(2 * rows), hashed=True, width=width, many=p.is_list)


def _round(count: int) -> int:
    """A round number from there on."""
    scale: int = 10 ** max(1, len(str(count)) - 1)
    return max(100, -(-count // scale) * scale)
