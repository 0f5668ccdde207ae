"""A schema guessed from a log's files, for a person to correct."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from tfnorm.datasets.logs.files import Files
from tfnorm.datasets.profile import Profile, profiles
from tfnorm.errors import InputError
from tfnorm.schema import History, Id, Number, Schema
from tfnorm.schema.features import Feature

_LABEL = re.compile(r"click|label|^y$|buy|purchase|convert|like", re.IGNORECASE)
_TIME = re.compile(r"^ts$|time|date", re.IGNORECASE)
_USER = re.compile(r"user|customer|member|visitor|^uid$", re.IGNORECASE)
_AMOUNT = re.compile(
    r"count|num|age$|price|amount|seconds|minutes|hours|days|score|rating|length|size|^n_",
    re.IGNORECASE,
)
_VOCABULARY = 1_000
_SPARSE = 20
"""How many times as large as its distinct values a table of integers may be."""


def draft(files: Files) -> Schema:
    """A schema for the files of a log, guessed from what they hold.

    Integers that are dense are ids in a range, others and strings are hashed, or a vocabulary where
    there are few; lists whose values a single column has too are histories of it, together with lists
    of the same lengths; a column of 0 and 1 that is called like one is the label. All of it is a
    guess, for a person to correct.

    Args:
        files: a path, a folder, a pattern, or a list of them: Parquet, CSV, JSON lines or TFRecord.

    Returns:
        The schema.

    Raises:
        InputError: a file can't be read, or no column can be the label or the target.

    Example:

        tfnorm.datasets.draft("train/*.parquet").save("schema.json")
    """
    found = profiles(files)
    label = _label(found)
    rest = [p for p in found if p.name != label.name]
    time = next((p for p in rest if not p.is_list and _is_time(p)), None)
    rest = [p for p in rest if p is not time and p.kind != "time"]
    singles = [p for p in rest if not p.is_list]
    ids = [p for p in singles if _is_id(p)]
    group = next((p for p in ids if _USER.search(p.name)), None)
    histories = _histories([p for p in rest if p.is_list], [p for p in ids if p is not group])
    of = {name: column for history in histories for name, column in history.of.items()}
    in_histories = {column for history in histories for column in history.columns}
    features: list[Feature] = []
    for p in rest:
        if p.name in in_histories:
            continue
        features.append(_feature(p, is_id=p in ids, in_history=p.name in of))
    features += histories
    target = [p.name for p in ids if p.name in of] or [p.name for p in ids if p is not group]
    if not target:
        raise InputError(
            f"none of {', '.join(p.name for p in found)} looks like the id of what is shown; "
            "accepted: a log with one"
        )
    return Schema(
        features,
        target=target,
        label=label.name,
        group=None if group is None else group.name,
        time=None if time is None else time.name,
    )


def _label(found: Sequence[Profile]) -> Profile:
    binary = [p for p in found if not p.is_list and p.kind != "time" and p.distinct <= {0, 1}]
    binary.sort(key=lambda p: not _LABEL.search(p.name))
    if not binary:
        raise InputError(
            f"none of {', '.join(p.name for p in found)} has 0 and 1 alone; accepted: a log with a label"
        )
    return binary[0]


def _is_time(p: Profile) -> bool:
    return p.kind == "time" or (p.kind in ("integer", "float") and bool(_TIME.search(p.name)))


def _is_id(p: Profile) -> bool:
    if p.kind == "string":
        return True
    return p.kind == "integer" and p.least >= 0 and not _AMOUNT.search(p.name)


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
            if p.kind == "integer" and p.name not in of.values() and _AMOUNT.search(p.name)
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


def _feature(p: Profile, *, is_id: bool, in_history: bool) -> Feature:
    if p.kind == "float" or (p.kind == "integer" and not p.is_list and not is_id):
        length = p.longest if p.is_list else None
        return Number(p.name, length=length, scale="log" if _is_wide(p) else "standard")
    rows = len(p.distinct)
    width = 8 if rows < 1_000 else 16
    if p.kind == "string" and 0 < rows <= min(_VOCABULARY, p.rows / 10) and "" not in p.distinct:
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
