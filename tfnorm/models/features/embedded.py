"""What DIN and DIEN read, embedded."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.layers import BatchNormalization
from tfnorm.models.embedding import IdEmbedding
from tfnorm.models.features.kept_steps import KeptSteps
from tfnorm.models.features.number_scale import NumberScale
from tfnorm.models.masked_mean import MaskedMean, MaskedSum
from tfnorm.ops.replicas import has_several_replicas
from tfnorm.schema import Column, History, Id, Number, Schema, item_schema

# What the names of the models' own layers are, or end in.
_OWN = re.compile(
    "(.*_)?(target|history|mean|sum|attention|product|interest|normalization|score|extractor|evolution"
    "|weighted|padded|auxiliary|numbers|normalized|beside|steps|kept|rows|scaled|table"
    "|(dense|dice|prelu|dropout)_[0-9]+)",
    re.DOTALL,
)
# What no name of a scope may have in TensorFlow, or begin with.
_NO_SCOPE = re.compile(r"^[^A-Za-z0-9.]|[^A-Za-z0-9_.-]")

UNKNOWN = "\ufffd"
"""The word that stands for all that a vocabulary lacks."""


@dataclass(frozen=True)
class EmbeddedHistory:
    """A history and what it is compared with.

    Attributes:
        prefix: of the names of what is made of it; empty for a history called `history`.
        query: the target, `[N, D]`.
        keys: each step, `[N, T, D]`.
        valid: `[N, T]`, False for padding.
    """

    prefix: str
    query: keras.KerasTensor
    keys: keras.KerasTensor
    valid: keras.KerasTensor


@dataclass(frozen=True)
class EmbeddedFeatures:
    """The inputs of a ranking model and what they stand for.

    Attributes:
        inputs: by name.
        target: what is shown, `[N, D]`.
        histories: what came before.
        others: the user's and the context's features, each `[N, D]`.
    """

    inputs: dict[str, keras.KerasTensor]
    target: keras.KerasTensor
    histories: tuple[EmbeddedHistory, ...]
    others: tuple[keras.KerasTensor, ...]


def given_schema(
    schema: Schema | Mapping[str, Any] | int | None,
    item_count: int | None,
    category_count: int | None,
    embedding_size: int,
) -> tuple[Schema, bool]:
    """The schema of a model's arguments, and whether it is that of an item and its category.

    Raises:
        InputError: neither a schema nor the two counts are given, or both.
    """
    if isinstance(schema, Mapping):
        schema = Schema.from_dict(schema)
    if isinstance(schema, int) and item_count is None:
        schema, item_count = None, schema
    counts = (item_count, category_count)
    if isinstance(schema, Schema) and counts == (None, None):
        return schema, False
    if schema is not None or item_count is None or category_count is None:
        raise InputError(
            f"schema is {type(schema).__name__}, item_count {item_count} and category_count "
            f"{category_count}; accepted: a schema, or both counts"
        )
    return item_schema(item_count, category_count, width=embedding_size), True


def schema_config(schema: Schema, of_items: bool) -> dict[str, Any]:
    """The arguments that `given_schema` makes it of."""
    if not of_items:
        return {"schema": schema.to_dict()}
    item, category = schema.ids
    return {
        "item_count": item.size,
        "category_count": category.size,
        "embedding_size": item.width,
    }


def embedded_features(schema: Schema, regularizer: Any, *, cut: bool = True) -> EmbeddedFeatures:
    """The features of a schema: ids embedded, numbers scaled, longer histories cut unless not to be.

    Raises:
        InputError: a number is to be standardized, and its mean is not known, or there is no memory for a
            table.
    """
    missing = [number.name for number in schema.all_numbers if not number.is_fitted]
    if missing:
        raise InputError(
            f"numbers {', '.join(map(repr, missing))} have no mean and deviation; accepted: a schema "
            "with them, such as tfnorm.datasets.standardize gives"
        )
    inputs = {name: _input(column) for name, column in schema.columns.items()}
    tables: dict[str, IdEmbedding] = {}
    for feature in schema.ids:
        if feature.table_name not in tables:
            tables[feature.table_name] = IdEmbedding(
                feature.rows,
                feature.width,
                embeddings_regularizer=regularizer,
                name=table_layer(schema, feature),
            )
    lookups = {feature.name: _lookup(feature) for feature in schema.ids}

    def rows_of(feature: Id, x: keras.KerasTensor) -> keras.KerasTensor:
        lookup = lookups[feature.name]
        return x if lookup is None else lookup(x)

    def one(feature: Id | Number | History) -> keras.KerasTensor:
        assert not isinstance(feature, History)
        x = inputs[feature.name]
        if isinstance(feature, Number):
            return scale(feature)(x)
        rows = rows_of(feature, x)
        try:
            embedded = tables[feature.table_name](rows)
        except tf.errors.ResourceExhaustedError as error:
            raise InputError(
                f"feature {feature.name!r}: there is no memory for a table of {feature.rows:,} rows, each of "
                f"{feature.width:,} numbers; accepted: a smaller size or width"
            ) from error
        if not feature.many:
            return embedded
        pool = MaskedSum if feature.combine == "sum" else MaskedMean
        return pool(name=f"{layer_name(feature.name)}_{feature.combine}")(
            embedded, keras.ops.not_equal(rows, 0)
        )

    embedded = {
        feature.name: one(feature)
        for feature in schema.features
        if not isinstance(feature, History)
    }
    target = joined([embedded[name] for name in schema.target], "target")

    def history(feature: History) -> EmbeddedHistory:
        prefix = prefix_of(feature)
        columns = [inputs[name] for name in feature.columns]
        if cut:
            kept = KeptSteps(feature.length, feature.keep, name=f"{prefix}kept")
            columns = kept(columns)
        steps_of = dict(zip(feature.columns, columns, strict=True))
        rows = {
            name: rows_of(schema.id(name), steps_of[column]) for name, column in feature.of.items()
        }
        steps = [tables[schema.id(name).table_name](x) for name, x in rows.items()]
        keys = joined(steps, f"{prefix}history")
        valid = keras.ops.not_equal(next(iter(rows.values())), 0)
        query = target
        if tuple(feature.of) != tuple(schema.target):
            query = joined([embedded[name] for name in feature.of], f"{prefix}target_of_history")
        if feature.side_numbers:
            beside = [scale(n)(steps_of[n.name]) for n in feature.side_numbers]
            # As they come they may be a thousand times what embeddings are, which they would drown.
            beside_all = BatchNormalization(
                center=False,
                scale=False,
                momentum_warmup=True,
                synchronized=has_several_replicas(),
                name=f"{prefix}numbers_normalized",
            )(joined(beside, f"{prefix}beside"), mask=valid)
            moved = keras.layers.Dense(keys.shape[-1], use_bias=False, name=f"{prefix}numbers")(
                beside_all
            )
            keys = keras.layers.Add(name=f"{prefix}steps")([keys, moved])
        return EmbeddedHistory(prefix, query, keys, valid)

    return EmbeddedFeatures(
        inputs,
        target,
        tuple(map(history, schema.histories)),
        tuple(x for name, x in embedded.items() if name not in schema.target),
    )


def prefix_of(history: History) -> str:
    """What the names of layers begin with that are made for it."""
    return "" if history.name == "history" else f"{layer_name(history.name)}_"


def table_layer(schema: Schema, feature: Id) -> str:
    """The name of the layer of a feature's table."""
    name = layer_name(feature.table_name)
    return f"{name}_table" if feature.table_name in schema.columns else name


def layer_name(name: str) -> str:
    """What a layer is called for a column or a table of that name, such as `a.20.b` for `a b`."""
    return _NO_SCOPE.sub(lambda found: f".{ord(found[0]):x}.", name)


def joined(parts: Sequence[keras.KerasTensor], name: str) -> keras.KerasTensor:
    """One after the other on the last axis."""
    return keras.layers.Concatenate(name=name)(parts) if len(parts) > 1 else parts[0]


def scale(number: Number) -> NumberScale:
    """The layer that brings a number to its scale."""
    return NumberScale(
        number.scale,
        number.mean,
        number.deviation,
        vector=number.length is not None,
        name=f"{layer_name(number.name)}_scaled",
    )


def _input(column: Column) -> keras.KerasTensor:
    """The input of a column; its layer has the same name, unless another layer may have that."""
    layer = column.name
    if "/" in layer or _OWN.fullmatch(layer):
        layer = f"{layer_name(layer)}.input"
    tensor = keras.Input(column.shape, name=layer, dtype=column.dtype)
    tensor.name = column.name
    return tensor


def _lookup(feature: Id) -> keras.layers.Layer | None:
    """The layer that tells which row of the table an id has; None where it is the id itself."""
    name = f"{layer_name(feature.name)}_rows"
    padding = "" if feature.dtype == "string" else 0
    if feature.hashed:
        return keras.layers.Hashing(feature.rows, mask_value=padding, name=name)
    if feature.vocabulary is None:
        return None
    if feature.dtype == "string":
        return keras.layers.StringLookup(
            vocabulary=list(feature.known), mask_token="", oov_token=UNKNOWN, name=name
        )
    return keras.layers.IntegerLookup(
        vocabulary=list(feature.known),
        mask_token=0,
        oov_token=min(-1, *map(int, feature.known)) - 1,
        vocabulary_dtype="int64",
        name=name,
    )
