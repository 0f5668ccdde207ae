"""How an export looks up embeddings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from tfnorm._keras import has_other_weights, has_replaced_call
from tfnorm.errors import InputError
from tfnorm.export.structure import Structure
from tfnorm.export.tables.stored import FLOAT32, STORES, stored_rows
from tfnorm.export.tracing.unknown import UnknownRows
from tfnorm.models.embedding import IdEmbedding

ERROR, NAN = "error", "nan"
UnknownIds = int | str


@dataclass(frozen=True, eq=False)
class Lookups:
    """What to run instead of some layers' `call`.

    Attributes:
        calls: layer -> its `call` for inference.
        stores: whether tables are stored in fewer bytes.
        unknown: gathers the rows that ask for ids that tables lack; None where such an id is an error.
    """

    calls: dict[keras.layers.Layer, Callable[..., tf.Tensor]]
    stores: bool
    unknown: UnknownRows | None


def lookups(found: Structure, unknown_ids: UnknownIds, embeddings: str) -> Lookups:
    """The look-ups of a model's embedding tables.

    Args:
        found: the model's structure.
        unknown_ids: what an id gets that its table does not have: "error" for all of its batch, "nan" for
            the outputs of its row, or the number of a row of the table.
        embeddings: how rows are stored: "float32" for as they are, "float16" or "int8".

    Raises:
        InputError: an argument is neither, the model has no table, a table lacks the row, or an
            embedding is looked up by code of its own.
    """
    row = type(unknown_ids) is int and unknown_ids >= 0
    if unknown_ids not in (ERROR, NAN) and not row:
        raise InputError(
            f"unknown_ids is {unknown_ids!r}; accepted: {ERROR!r}, {NAN!r}, or a row's number"
        )
    if embeddings not in STORES:
        raise InputError(f"embeddings is {embeddings!r}; accepted: {', '.join(map(repr, STORES))}")
    asked = unknown_ids != ERROR or embeddings != FLOAT32
    layers = [x for x in found.layers() if isinstance(x, keras.layers.Embedding) and x.built]
    if asked and not layers:
        raise InputError(
            f"unknown_ids is {unknown_ids!r} and embeddings {embeddings!r}, and the model has no Embedding; "
            "accepted: a model with one"
        )
    unknown = UnknownRows() if unknown_ids != ERROR else None
    calls: dict[keras.layers.Layer, Callable[..., tf.Tensor]] = {}
    for layer in layers:
        own = type(layer).call is IdEmbedding.call
        known = own or type(layer).call is keras.layers.Embedding.call
        if not known or has_other_weights(layer) or has_replaced_call(layer):
            if asked:
                raise InputError(
                    f"layer {layer.name!r} ({type(layer).__name__}) looks up embeddings by code of its own; "
                    "accepted: keras.layers.Embedding without LoRA and quantization"
                )
            continue
        if row and int(unknown_ids) >= layer.input_dim:
            raise InputError(
                f"unknown_ids is {unknown_ids}, and the table {layer.name!r} has {layer.input_dim} rows; "
                "accepted: a row that each table has"
            )
        # What raises already is left alone.
        if asked or not own:
            calls[layer] = _call(layer, unknown_ids, embeddings, unknown)
    return Lookups(calls, embeddings != FLOAT32, unknown)


def _call(
    layer: keras.layers.Embedding,
    unknown_ids: UnknownIds,
    embeddings: str,
    unknown: UnknownRows | None,
) -> Callable[..., tf.Tensor]:
    rows_of = stored_rows(layer, embeddings)

    def call(inputs: Any) -> tf.Tensor:
        ids = tf.convert_to_tensor(inputs)
        if ids.dtype not in (tf.int32, tf.int64):
            # Of these two no id becomes another one that the table has.
            ids = tf.cast(ids, tf.int64 if ids.dtype in (tf.uint32, tf.uint64) else tf.int32)
        if unknown is not None:
            lacked = (ids < 0) | (ids >= layer.input_dim)
            unknown.add(layer.name, lacked)
            instead = 0 if unknown_ids == NAN else int(unknown_ids)
            ids = tf.where(lacked, tf.cast(instead, ids.dtype), ids)
        # On a CPU a row is looked up or the whole batch refused; Keras takes -1 for the last row.
        return tf.cast(rows_of(ids), layer.compute_dtype)

    return call
