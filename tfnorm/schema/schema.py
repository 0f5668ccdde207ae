"""A click log's features, together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfnorm.errors import InputError
from tfnorm.schema import json_form
from tfnorm.schema.columns import Column
from tfnorm.schema.features import Feature, History, Id, Number, Statistic
from tfnorm.schema.rows import as_columns, fitted

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True)
class Schema:
    """The features of a click log: what a model takes, a log holds and a `tf.Example` carries.

    Args:
        features: `Id`, `Number` and `History`, each with a name of its own.
        target: the features of what is shown and may be clicked; the others describe the user and the
            moment.
        label: the column that says whether the target was clicked, 1 or 0.
        weight: the column that says how much an example counts; None where all count the same.
        group: the column that says whose example it is, usually the user, for GAUC; None for none.
        time: the column that says when it was, to split a log by; None for none.

    Raises:
        InputError: two features or columns have the same name, a name isn't there, or features that
            share a table differ; the message names them.

    Example:

        >>> schema = Schema(
        ...     [Id("user", size=1000, hashed=True), Id("item", size=101, width=18),
        ...      Number("price", scale="log"), History("history", of={"item": "hist_items"})],
        ...     target=["item"], label="click", group="user")
        >>> {name: spec.dtype.name for name, spec in schema.inputs.items()}
        {'user': 'string', 'item': 'int64', 'price': 'float32', 'hist_items': 'int64'}
        >>> Schema.from_dict(schema.to_dict()) == schema
        True
    """

    features: Sequence[Feature]
    target: Sequence[str]
    label: str = "label"
    weight: str | None = None
    group: str | None = None
    time: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", tuple(self.features))
        object.__setattr__(
            self, "target", (self.target,) if isinstance(self.target, str) else tuple(self.target)
        )
        self._check_features()
        self._check_target()
        self._check_tables()
        self._check_roles()

    def __getitem__(self, name: str) -> Feature:
        """The feature of that name."""
        return next(feature for feature in self.features if feature.name == name)

    @property
    def ids(self) -> tuple[Id, ...]:
        """Its ids."""
        return tuple(f for f in self.features if isinstance(f, Id))

    @property
    def numbers(self) -> tuple[Number, ...]:
        """Its numbers, those of histories left out."""
        return tuple(f for f in self.features if isinstance(f, Number))

    @property
    def histories(self) -> tuple[History, ...]:
        """Its histories."""
        return tuple(f for f in self.features if isinstance(f, History))

    @property
    def all_numbers(self) -> tuple[Number, ...]:
        """Its numbers, those of histories too."""
        return (*self.numbers, *(n for h in self.histories for n in h.side_numbers))

    def id(self, name: str) -> Id:
        """The id feature of that name, one of a target."""
        feature = self[name]
        assert isinstance(feature, Id)
        return feature

    @property
    def columns(self) -> dict[str, Column]:
        """The columns of a log that are inputs of a model, by name."""
        found = [column for feature in self.features for column in self._columns_of(feature)]
        return {column.name: column for column in found}

    @property
    def inputs(self) -> dict[str, tf.TensorSpec]:
        """The inputs of a model: name -> dtype and shape, the batch free."""
        return {name: column.spec for name, column in self.columns.items()}

    @property
    def feature_spec(self) -> dict[str, tf.io.FixedLenFeature | tf.io.FixedLenSequenceFeature]:
        """How a `tf.Example` holds the inputs, for `export_saved_model` and `tf.io.parse_example`."""
        return {name: column.record for name, column in self.columns.items()}

    def examples(self, rows: Sequence[Mapping[str, object]]) -> dict[str, np.ndarray]:
        """Make a model's examples from rows as Python has them.

        Args:
            rows: each a dict of column -> value, or list of values.

        Returns:
            Input name -> array; lists are cut to the schema's length and padded at the end. Strings are
            bytes, which Keras takes only as tensors: `model.predict(tf.nest.map_structure(
            tf.constant, examples))`.

        Raises:
            InputError: a row lacks a column, or a value isn't as the schema says; the message names
                the row and the column.

        Example:

            >>> schema = Schema([Id("item", size=9), History("history", of={"item": "seen"})],
            ...                 target=["item"])
            >>> schema.examples([{"item": 3, "seen": [1, 2]}, {"item": 4, "seen": []}])["seen"].tolist()
            [[1, 2], [0, 0]]
        """
        return fitted(self.columns, as_columns(self.columns, rows), "examples")

    def to_dict(self) -> dict[str, Any]:
        """The form that `from_dict` takes and a file holds."""
        roles = {role: getattr(self, role) for role in json_form.ROLES}
        return json_form.written(self.features, self.target, roles)

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> Schema:
        """A schema from the form that a file holds.

        Raises:
            InputError: a key is missing or unknown, or a value is none that is accepted; the message
                names the feature and the key.
        """
        return cls(**json_form.read(form, Path()))

    def save(self, path: str | Path) -> None:
        """Write it as a JSON file; a vocabulary is written out.

        Raises:
            InputError: the file can't be written.
        """
        try:
            Path(path).write_text(json_form.text(self.to_dict()), encoding="utf-8")
        except OSError as error:
            raise InputError(f"{path} can't be written: {error.strerror}") from error

    @classmethod
    def load(cls, path: str | Path) -> Schema:
        """Read it from a JSON file; the path of a vocabulary in it is relative to the file.

        Raises:
            InputError: the file can't be read or is no schema; the message names it, and the feature
                and the key.
        """
        try:
            form = json.loads(
                Path(path).read_text(encoding="utf-8"), object_pairs_hook=json_form.each_once
            )
            return cls(**json_form.read(form, Path(path).parent))
        except OSError as error:
            raise InputError(f"{path} can't be read: {error.strerror}") from error
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        except ValueError as error:
            raise InputError(f"{path} is not JSON: {error}") from error

    def with_statistics(self, statistics: Mapping[str, tuple[Statistic, Statistic]]) -> Schema:
        """The same schema, with these means and deviations of its numbers, by name."""

        def number(n: Number) -> Number:
            if n.name not in statistics:
                return n
            mean, deviation = statistics[n.name]
            return replace(n, mean=mean, deviation=deviation)

        def fitted_one(feature: Feature) -> Feature:
            if isinstance(feature, History):
                return replace(feature, numbers=tuple(map(number, feature.side_numbers)))
            return number(feature) if isinstance(feature, Number) else feature

        return replace(self, features=tuple(map(fitted_one, self.features)))

    def _columns_of(self, feature: Feature) -> list[Column]:
        if isinstance(feature, Number):
            shape = () if feature.length is None else (feature.length,)
            return [Column(feature.name, "float32", feature.name, shape=shape)]
        if isinstance(feature, Id):
            return [_id_column(feature, feature.name, feature.name, many=feature.many)]
        first, *others = (
            _id_column(self.id(target), name, feature.name, many=True)
            for target, name in feature.of.items()
        )
        others += [
            Column(n.name, "float32", feature.name, shape=(None,)) for n in feature.side_numbers
        ]
        first = replace(first, limit=feature.length, keep=feature.keep)
        return [
            first,
            *(
                replace(first, name=c.name, dtype=c.dtype, size=c.size, partner=first.name)
                for c in others
            ),
        ]

    def _check_features(self) -> None:
        for feature in self.features:
            if not isinstance(feature, Feature):
                raise InputError(
                    f"features has a {type(feature).__name__}; accepted: Id, Number, History"
                )
        _check_unique("feature", [feature.name for feature in self.features])
        columns = [
            column
            for feature in self.features
            for column in (feature.columns if isinstance(feature, History) else (feature.name,))
        ]
        _check_unique("column", columns)

    def _check_target(self) -> None:
        names = [f.name for f in self.features if not isinstance(f, History)]
        unknown = [name for name in self.target if name not in names]
        if unknown or not self.target:
            raise InputError(
                f"target is {list(self.target)}; accepted: one or more of the features "
                f"{', '.join(map(repr, names)) or 'that there are'}"
            )
        _check_unique("target", list(self.target))
        single = [f.name for f in self.ids if f.name in self.target and not f.many]
        for history in self.histories:
            for name in history.of:
                if name not in single:
                    raise InputError(
                        f"feature {history.name!r}: of has {name!r}; accepted: the target's ids, one a "
                        f"row: {', '.join(map(repr, single)) or 'there are none'}"
                    )

    def _check_tables(self) -> None:
        tables: dict[str, Id] = {}
        for feature in self.ids:
            other = tables.setdefault(feature.table_name, feature)
            if other.encoding != feature.encoding:
                raise InputError(
                    f"features {other.name!r} and {feature.name!r} share the table "
                    f"{feature.table_name!r} and differ in size, width, hashed or vocabulary; "
                    "accepted: the same of all four"
                )

    def _check_roles(self) -> None:
        columns = self.columns
        for key in ("label", "weight", "group", "time"):
            name = getattr(self, key)
            if name is None and key != "label":
                continue
            if not isinstance(name, str) or not name:
                raise InputError(f"{key} is {name!r}; accepted: the name of a column")
            if name in columns and key in ("label", "weight"):
                raise InputError(f"{key} is {name!r}, which is a feature; accepted: another column")
            if name in columns and columns[name].shape:
                raise InputError(
                    f"{key} is {name!r}, which has several values a row; accepted: a column of one"
                )


def _id_column(feature: Id, name: str, owner: str, *, many: bool) -> Column:
    assert feature.dtype is not None
    size = None if feature.hashed or feature.vocabulary is not None else feature.size
    return Column(name, feature.dtype, owner, size, (None,) if many else ())


def _check_unique(kind: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{kind} {name!r} is there more than once; accepted: each once")
