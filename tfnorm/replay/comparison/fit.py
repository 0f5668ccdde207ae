"""A logged request as a model takes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.examples.formats.records import example_row
from tfnorm.examples.table import stacked
from tfnorm.protocol.tensor_proto import fits
from tfnorm.replay.log.call import Call
from tfnorm.scorers.inputs import dimensions
from tfnorm.scorers.scorer import Scorer


class Unfit(InputError):
    """A request that the model can't be given, in words that are the same for all alike."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a model is fed for a call.

    Attributes:
        feeds: input name -> array.
        batched: the inputs that have a row for each example.
        count: how many rows.
        notes: what had to be done to fit it, in words that are the same for all alike.
    """

    feeds: dict[str, np.ndarray]
    batched: tuple[str, ...]
    count: int
    notes: tuple[str, ...]

    def rows(self, chosen: np.ndarray | slice) -> dict[str, np.ndarray]:
        """The feeds of some of the rows."""
        return {
            name: array[chosen] if name in self.batched else array
            for name, array in self.feeds.items()
        }


def fit(call: Call, scorer: Scorer) -> Fitted:
    """What the scorer is fed for a call.

    Values are cast where that keeps them; what the model doesn't take is left out, and what has a default
    may be missing.

    Raises:
        Unfit: the log lacks an input, or has one of another type or shape.
    """
    arrays = _arrays(call, scorer)
    notes: list[str] = []
    feeds = arrays if scorer.inputs is None else {}
    for name, spec in (scorer.inputs or {}).items():
        if name in arrays:
            feeds[name] = _cast(arrays[name], name, spec, notes if call.typed else [])
        elif name in scorer.defaults:
            notes.append(f"the log lacks {name!r}, for which the model's default is taken")
        else:
            raise Unfit(f"the log lacks {name!r}, {spec.dtype.name} {dimensions(spec)}")
    if scorer.inputs is not None:
        notes += [
            f"the log has {name!r}, which the model does not take"
            for name in arrays.keys() - scorer.inputs.keys()
        ]
    batched = tuple(name for name in feeds if _is_batched(name, feeds[name], scorer))
    counts = {len(feeds[name]) for name in batched}
    if len(counts) != 1:
        sizes = ", ".join(f"{name!r} {len(feeds[name])}" for name in batched)
        raise Unfit(f"a request has not as many rows of each input: {sizes or 'none at all'}")
    return Fitted(feeds, batched, counts.pop(), tuple(notes))


def _arrays(call: Call, scorer: Scorer) -> dict[str, np.ndarray]:
    if not call.records:
        return dict(call.inputs)
    try:
        return stacked(
            [example_row(record, scorer.inputs) for record in call.records], scorer.inputs
        )
    except InputError as error:
        raise Unfit(f"its tf.Examples do not fit: {error}") from error


def _is_batched(name: str, array: np.ndarray, scorer: Scorer) -> bool:
    spec = None if scorer.inputs is None else scorer.inputs[name]
    if spec is None or spec.shape.rank is None:
        return array.ndim > 0
    return spec.shape.rank > 0 and spec.shape[0] is None


def _cast(array: np.ndarray, name: str, spec: tf.TensorSpec, notes: list[str]) -> np.ndarray:
    if not fits(array.shape, spec):
        # A column of single values is one number a row to who writes a table.
        if array.ndim == 1 and fits([len(array), 1], spec):
            array = array[:, None]
        else:
            raise Unfit(
                f"the log has {name!r} of the shape {list(array.shape[1:])} a row; "
                f"the model takes {dimensions(spec)}"
            )
    if spec.dtype == tf.string:
        if array.dtype.kind in "OSU":
            return array
        raise _other_type(array, name, spec)
    wanted = np.dtype(spec.dtype.as_numpy_dtype)
    if array.dtype == wanted:
        return array
    if array.dtype.kind not in "biufV":
        raise _other_type(array, name, spec)
    with np.errstate(over="ignore", invalid="ignore"):
        cast = array.astype(wanted)
        kept = np.array_equal(cast.astype(array.dtype), array, equal_nan=array.dtype.kind == "f")
    if not kept and not (array.dtype.kind in "fV" and spec.dtype.is_floating):
        raise _other_type(array, name, spec)
    digits = "" if kept else ", which loses digits"
    notes.append(
        f"the log has {name!r} as {array.dtype.name}, the model takes {spec.dtype.name}{digits}"
    )
    return cast


def _other_type(array: np.ndarray, name: str, spec: tf.TensorSpec) -> Unfit:
    return Unfit(
        f"the log has {name!r} as {array.dtype.name if array.dtype.kind != 'O' else 'strings'}, of which "
        f"no {spec.dtype.name} can be made"
    )
