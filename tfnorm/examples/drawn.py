"""Examples drawn from a signature, for a model that comes with none."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.examples.bounds import largest_ids
from tfnorm.examples.keys import Keys, table_keys
from tfnorm.scorers.inputs import dimensions
from tfnorm.scorers.scorer import Scorer, completed
from tfnorm.scorers.servers.connection import Unreachable
from tfnorm.session import DEFAULT_SIGNATURE

LENGTH = 8
"""How long an input of free length is drawn."""

_WORDS = [b"a", b"b", b"item", b"user", b"x1", b"query", b"red", b"blue"]


def random_examples(
    scorer: Scorer, count: int, seed: int = 0, local: Scorer | None = None
) -> dict[str, np.ndarray]:
    """Draw examples that the scorer takes.

    What the graph seeks in a look-up table is drawn from the table's keys: all that the table does
    not know is one and the same to the model. Other floats are standard normal. Other integers are
    drawn from 1 (0 often stands for padding) to the largest number that the model takes, which is
    found by trying; booleans and other strings are drawn at random. For an input that has a default
    nothing is drawn.

    Args:
        scorer: what will score them; it must declare its inputs.
        count: how many, 2 or more.
        seed: of the draw.
        local: a model on this machine with the same tables, where the scorer's can't be read.

    Returns:
        Input name -> `[count, ...]`.

    Raises:
        InputError: the scorer declares no inputs, or refuses what was drawn.
    """
    if count < 2:
        raise InputError(f"{count} random examples; accepted: 2 or more, a batch being several")
    if scorer.inputs is None:
        raise InputError(f"{scorer.name} does not declare its inputs; give examples")
    rng = np.random.default_rng(seed)
    inputs = {n: spec for n, spec in scorer.inputs.items() if n not in scorer.defaults}
    shapes = {name: _shape(name, spec) for name, spec in inputs.items()}
    plain = {name: _plain(spec.dtype, (1, *shapes[name])) for name, spec in inputs.items()}
    known = _known(scorer, local, plain)
    ids = [n for n, spec in inputs.items() if spec.dtype.is_integer and n not in known]
    bounds = largest_ids(scorer, plain, ids)
    drawn = {
        name: _draw_keys(rng, known[name], (count, *shapes[name]))
        if name in known
        else _draw(rng, spec.dtype, (count, *shapes[name]), bounds.get(name, 0))
        for name, spec in inputs.items()
    }
    try:
        scorer.score({name: array[:1] for name, array in drawn.items()})
    except InputError as error:
        raise InputError(f"random examples are of no use: {error}; give examples") from error
    return drawn


def _shape(name: str, spec: tf.TensorSpec) -> list[int]:
    if not spec.shape.rank:
        raise InputError(
            f"input {name!r} is {dimensions(spec)}: nothing can be drawn for it; if it is no part of the "
            f"examples, give it by feed (--feed {name}=VALUE)"
        )
    return [LENGTH if size is None else size for size in spec.shape.as_list()[1:]]


def _plain(dtype: tf.DType, shape: tuple[int, ...]) -> np.ndarray:
    if dtype == tf.string:
        return np.full(shape, _WORDS[0], object)
    return np.zeros(shape, dtype.as_numpy_dtype)


def _known(scorer: Scorer, local: Scorer | None, plain: dict[str, np.ndarray]) -> dict[str, Keys]:
    """The keys of the tables in the graph; none where there is no graph to read."""
    for model in (scorer,) if local is None else (scorer, local):
        try:
            # A Keras model has a graph once it has been called, whatever it makes of the values.
            model.score(plain)
        except Unreachable:
            raise
        except InputError:
            pass
        try:
            with completed(model).as_saved_model() as saved_model:
                if saved_model is not None:
                    return table_keys(saved_model, model.signature or DEFAULT_SIGNATURE)
        except InputError:
            pass
    return {}


def _draw_keys(rng: np.random.Generator, keys: Keys, shape: tuple[int, ...]) -> np.ndarray:
    values = keys.values
    if len(values) == 1 and values.dtype == object:
        # Beside the only key, what the table doesn't know.
        values = np.concatenate([values, np.array(_WORDS, object)])
    if keys.separator is None:
        return rng.choice(values, shape)
    texts = np.empty(shape, object)
    words = rng.choice(values, (texts.size, LENGTH))
    texts[...] = np.array([keys.separator.join(row) for row in words], object).reshape(shape)
    return texts


def _draw(
    rng: np.random.Generator, dtype: tf.DType, shape: tuple[int, ...], largest: int
) -> np.ndarray:
    if dtype == tf.string:
        return rng.choice(np.array(_WORDS, object), shape)
    if dtype == tf.bool:
        return rng.random(shape) < 0.5
    if dtype.is_integer:
        return rng.integers(min(1, largest), largest, shape, endpoint=True).astype(
            dtype.as_numpy_dtype
        )
    return rng.standard_normal(shape).astype(dtype.as_numpy_dtype)
