"""Which ids no table has, and whether a row with one is kept from the rows beside it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfnorm.differences import is_floating
from tfnorm.errors import InputError
from tfnorm.export.difference import Arrays, Tried
from tfnorm.export.tables.lookups import NAN, Lookups, UnknownIds
from tfnorm.export.tracing.interface import Interface
from tfnorm.export.tracing.trace import Traced
from tfnorm.export.tracing.unknown import with_bad_id
from tfnorm.session import SavedModel

_ASKED = "asked"
_LARGEST = 2**31 - 1


@dataclass(frozen=True)
class Asking(Interface):
    """A model that tells of a batch whether a table is asked for an id that it lacks."""

    def score(self, features: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        assert self.unknown is not None
        self.unknown.begin()
        self.outputs(features)
        asked = tf.constant(False)
        for lookup in self.unknown.lookups:
            if lookup.unknown.graph is asked.graph:
                asked |= tf.reduce_any(lookup.unknown)
        return {_ASKED: asked}


def asking(called: Interface, tables: Lookups) -> Asking:
    """The model that tells whether these look-ups are asked for such an id."""
    return called.as_kind(Asking, unknown=tables.unknown)


def outside(asked: Traced, tables: Lookups, tried: Tried | None) -> dict[str, int]:
    """Input name -> an id that a table lacks, of the inputs that tables are asked for ids of.

    What lies between an input and a table, such as a hash, may leave it no such id.

    Args:
        asked: `asking`, traced with these look-ups.
        tables: the look-ups.
        tried: examples.

    Raises:
        InputError: there are none.
    """
    if tried is None:
        raise InputError(
            "unknown_ids needs examples, to see before it is published that such an id moves no other row; "
            "there are none, and the model takes no random inputs"
        )
    assert tables.unknown is not None
    rows = {name: array[:2] for name, array in tried.features.items()}
    sizes = sorted({layer.input_dim for layer in tables.calls})
    inside_loops = any(x.unknown.graph is not asked.function.graph for x in tables.unknown.lookups)
    found = {}
    for name, array in rows.items():
        numbers = [*_numbers(array, sizes)]
        lacked = (n for n in numbers if _asked(asked, with_bad_id(rows, name, 0, n)))
        # Of a look-up in a loop nothing is seen from outside.
        number = next(lacked, numbers[0] if inside_loops and numbers else None)
        if number is not None:
            found[name] = number
    return found


def _numbers(array: np.ndarray, sizes: Collection[int]) -> Iterator[int]:
    """Numbers that tables of these sizes may lack, as far as the array can hold them."""
    if array.dtype.kind not in "iu" and not is_floating(array):
        return
    low, high = -_LARGEST, _LARGEST
    if array.dtype.kind in "iu":
        low, high = np.iinfo(array.dtype).min, np.iinfo(array.dtype).max
    yield from (n for n in (*sizes, -1, high) if array[0].size and low <= n <= high)


def _asked(asked: Traced, rows: Arrays) -> bool:
    try:
        return bool(asked.score(rows)[_ASKED])
    except tf.errors.OpError:
        # What refuses the id is found when it is scored.
        return True


def check_bad_rows(
    saved: SavedModel,
    rows: Arrays,
    scores: Arrays,
    bad: Mapping[str, int],
    unknown_ids: UnknownIds,
) -> None:
    """Raise InputError if a row with an id that no table has moves another row's score, or keeps its own.

    Args:
        saved: what was written.
        rows: examples.
        scores: theirs by what was written.
        bad: as `outside` has them.
        unknown_ids: as `lookups` has it.
    """
    count = len(next(iter(rows.values())))
    alone, twice = ({n: x[chosen] for n, x in rows.items()} for chosen in ([0], [0, count // 2, 0]))
    # One that stands alone, one that stands twice, and one among all.
    for batch, expected, places in (
        (alone, saved.run(alone), [0]),
        (twice, saved.run(twice), [0, 1, 2]),
        (rows, scores, [count // 2]),
    ):
        numbers = np.arange(len(next(iter(batch.values()))))
        for name, number in bad.items():
            for place in places:
                said = f"unknown_ids is {unknown_ids!r}, but a row whose {name!r} is {number}"
                try:
                    found = saved.run(with_bad_id(batch, name, place, number))
                except InputError as error:
                    raise InputError(f"{said} is refused with all of its batch: {error}") from error
                for output, wanted in expected.items():
                    given = found[output]
                    beside = numbers != place
                    if given[beside].tobytes() != wanted[beside].tobytes():
                        raise InputError(
                            f"{said}, which its table does not have, moves {output!r} of the rows beside it; "
                            "accepted: a model in which rows depend on no other, or 'error'"
                        )
                    if unknown_ids == NAN and not np.isnan(given[place]).all():
                        raise InputError(
                            f"{said}, which its table does not have, has the {output!r} "
                            f"{float(given[place].ravel()[0]):g}; accepted: 'error', or the number of a row"
                        )
