"""Whether candidates score as the same rows do one by one, those with ids that no table has among them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from tfnorm.errors import InputError
from tfnorm.export.difference import Arrays, difference
from tfnorm.export.tracing.unknown import with_bad_id
from tfnorm.session import CANDIDATES, SavedModel

_CHECKED = ((1, None), (2, None), (1, 1), (2, 3))
"""Users, and candidates of each, None for all, that are scored by both signatures before one is published."""


def request(
    rows: Arrays, candidates: Collection[str], users: np.ndarray, count: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Users of some rows with so many candidates of all, repeated where there are fewer.

    Args:
        rows: examples.
        candidates: the inputs of candidates.
        users: the numbers of the rows whose users they are.
        count: how many candidates each user gets.

    Returns:
        What the signature for candidates takes, and the same a row each, as `serving_default` does.
    """
    chosen = np.arange(count) % len(next(iter(rows.values())))
    owners, shown = np.repeat(users, count), np.tile(chosen, len(users))
    asked = {
        name: np.stack([array[chosen]] * len(users)) if name in candidates else array[users]
        for name, array in rows.items()
    }
    each = {name: array[shown if name in candidates else owners] for name, array in rows.items()}
    return asked, each


def check_candidates(
    saved: SavedModel, rows: Arrays, candidates: Collection[str], tolerance: float, *, bits: bool
) -> None:
    """Raise InputError if candidates score otherwise than the same rows by `serving_default`.

    Args:
        saved: what was written.
        rows: examples.
        candidates: the inputs of candidates.
        tolerance: as `difference` has it.
        bits: ask for the same bits.
    """
    there = len(next(iter(rows.values())))
    for users, count in _CHECKED:
        chosen = np.linspace(0, there - 1, users).astype(int)
        asked, each = request(rows, candidates, chosen, there if count is None else count)
        expected = saved.run(each)
        found = {
            name: scores.reshape(expected[name].shape)
            for name, scores in saved.run(asked, signature=CANDIDATES).items()
        }
        same = all(found[name].tobytes() == wanted.tobytes() for name, wanted in expected.items())
        moved = None if same else difference(found, expected, tolerance)
        if moved is None and bits and not same:
            moved = max(float(np.abs(found[n] - expected[n]).max(initial=0)) for n in expected)
        if moved is not None:
            raise InputError(
                f"signature {CANDIDATES!r} scores up to {moved:.2g} away from serving_default: does a layer "
                "compute one thing of a whole batch, or are inputs of a user among the candidates'?"
            )


def check_bad_candidates(
    saved: SavedModel,
    rows: Arrays,
    candidates: Collection[str],
    bad: Mapping[str, int],
    *,
    nan: bool,
) -> None:
    """Raise InputError if a bad id costs more than its candidate, or the candidates of its user.

    Args:
        saved: what was written.
        rows: examples.
        candidates: the inputs of candidates.
        bad: input name -> an id that a table lacks.
        nan: whether it costs these NaN.
    """
    last = len(next(iter(rows.values()))) - 1
    asked, _ = request(rows, candidates, np.array([0, last]), 3)
    expected = saved.run(asked, signature=CANDIDATES)
    for name, number in bad.items():
        place = (0, 1) if name in candidates else (0,)
        scores = saved.run(with_bad_id(asked, name, place, number), signature=CANDIDATES)
        for output, wanted in expected.items():
            spared = np.ones(wanted.shape[:2], bool)
            spared[place] = False
            if scores[output][spared].tobytes() != wanted[spared].tobytes():
                raise InputError(
                    f"an id of {name!r} that its table does not have moves {output!r} of other candidates in "
                    f"the signature {CANDIDATES!r}; accepted: a model in which rows depend on no other"
                )
            if nan and not np.isnan(scores[output][~spared]).all():
                raise InputError(
                    f"unknown_ids is 'nan', but an id of {name!r} that its table does not have leaves "
                    f"{output!r} a number in the signature {CANDIDATES!r}; accepted: 'error', or the number "
                    "of a row"
                )
