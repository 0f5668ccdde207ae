"""Which output of a model belongs to which of another's, and the two as values of one type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from tfnorm.differences import is_floating
from tfnorm.errors import InputError

_CLASSES = "scores"
"""What the probabilities of a classification are called; the last class is the positive one of two."""


def matched(
    outputs: Mapping[str, np.ndarray],
    others: Mapping[str, np.ndarray],
    named: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The outputs that belong together: name -> the other's name, in the others' order; empty for none.

    Those that are named do, then those of the same name; where there are none of either, single ones do
    whatever their names, and the single one of numbers among several.

    Args:
        outputs: name -> what a model gives.
        others: name -> what the other gives.
        named: name -> the other's name.

    Raises:
        InputError: what is named is no output, or is named twice.
    """
    named = dict(named or {})
    for whose, names, known in (("", named.keys(), outputs), ("other ", named.values(), others)):
        for name in names:
            if name not in known:
                raise InputError(
                    f"output names {name!r}, which the {whose}model does not give; accepted: "
                    f"{listed(known)}"
                )
    if len(set(named.values())) < len(named):
        raise InputError(
            f"output names an output of the other model twice: {listed(named.values())}; accepted: "
            "each once"
        )
    same = outputs.keys() & others.keys() - set(named.values())
    pairs = {**{name: name for name in same}, **named}
    if pairs:
        order = list(others)
        return dict(sorted(pairs.items(), key=lambda pair: order.index(pair[1])))
    numbers = [name for name, array in outputs.items() if array.dtype.kind in "biufV"]
    for single in (list(outputs), numbers):
        if len(single) == len(others) == 1:
            return {single[0]: next(iter(others))}
    return {}


def alike(
    values: np.ndarray,
    others: np.ndarray,
    count: int,
    whose: tuple[str, str] = ("the answer", "the model's output"),
) -> tuple[np.ndarray, np.ndarray] | str:
    """The two as `[rows, values]` of one type, or why they can't be compared.

    Args:
        values: what is compared.
        others: with what.
        count: how many rows there are.
        whose: what each of the two is, in words.
    """
    for what, array in zip(whose, (values, others), strict=True):
        if not array.ndim or len(array) != count:
            return f"{what} has the shape {list(array.shape)} for {count} rows"
    if not count:
        return values.reshape(0, 1), others.reshape(0, 1)
    values, others = values.reshape(count, -1), others.reshape(count, -1)
    if {values.shape[1], others.shape[1]} == {1, 2}:
        # A score, and the probabilities of both classes.
        values, others = values[:, -1:], others[:, -1:]
    if values.shape != others.shape:
        return f"a row of {whose[0]} has {values.shape[1]} values, of {whose[1]} {others.shape[1]}"
    numbers = [array.dtype.kind in "biufcV" for array in (values, others)]
    if numbers[0] != numbers[1]:
        return f"one of {whose[0].removeprefix('the ')} and {whose[1]} is a string"
    if values.dtype != others.dtype and is_floating(values) and is_floating(others):
        coarser = min((values.dtype, others.dtype), key=lambda dtype: dtype.itemsize)
        with np.errstate(over="ignore"):
            return values.astype(coarser), others.astype(coarser)
    return values, others


def ranking_column(name: str, values: np.ndarray) -> np.ndarray | None:
    """The number of each row by which the rows are ranked; None where it has none."""
    if values.dtype.kind not in "iufV" or not is_floating(values):
        return None
    if values.shape[1] == 1 or (values.shape[1] == 2 and name == _CLASSES):
        return values[:, -1].astype(np.float64)
    return None


def listed(names: Iterable[str]) -> str:
    """The names as people read them."""
    return ", ".join(map(repr, sorted(names)))
