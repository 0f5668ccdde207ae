"""A schema as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from tfnorm.errors import InputError
from tfnorm.schema.features import Feature, History, Id, Number

_KINDS: dict[str, type[Id] | type[Number] | type[History]] = {
    "id": Id,
    "number": Number,
    "history": History,
}
ROLES = ("label", "weight", "group", "time")
"""What the columns of a log that are no features are for."""


def written(
    features: Sequence[Feature], target: Sequence[str], roles: Mapping[str, str | None]
) -> dict[str, Any]:
    """The form of a schema: what is as by default is left out."""
    named = {role: name for role, name in roles.items() if name is not None}
    return {"features": [_written(f) for f in features], "target": list(target), **named}


def text(form: dict[str, Any]) -> str:
    """The file's text, a feature a line."""
    features = ",\n   ".join(json.dumps(f, ensure_ascii=False) for f in form["features"])
    rest = json.dumps({k: v for k, v in form.items() if k != "features"}, ensure_ascii=False)
    return f'{{"features": [\n   {features}],\n {rest[1:]}\n'


def each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of a file, of whose keys JSON itself would take the last.

    Raises:
        InputError: a key is there more than once.
    """
    form = dict(pairs)
    if len(form) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        where = f"feature {form['name']!r}" if "name" in form else "an object"
        raise InputError(f"{where} has the key {twice!r} more than once; accepted: each once")
    return form


def read(form: object, folder: Path) -> dict[str, Any]:
    """The arguments of a `Schema`; vocabularies that are paths are relative to `folder`.

    Raises:
        InputError: a key is missing or unknown, or a value is none that is accepted.
    """
    if not isinstance(form, Mapping):
        raise InputError(
            f"the schema is a {type(form).__name__}; accepted: an object with features"
        )
    _check_keys("the schema", form, ("features", "target", *ROLES), ("features", "target", "label"))
    if not isinstance(form["features"], list):
        raise InputError(f"features is {_shown(form['features'])}; accepted: a list of features")
    target = form["target"]
    if not isinstance(target, list) or not all(isinstance(name, str) for name in target):
        raise InputError(f"target is {_shown(target)}; accepted: a list of names of features")
    features = [_read(number, f, folder) for number, f in enumerate(form["features"], start=1)]
    roles = {role: form[role] for role in ROLES if role in form}
    return {"features": features, "target": target, **roles}


def _written(feature: Feature) -> dict[str, Any]:
    kind = next(name for name, cls in _KINDS.items() if isinstance(feature, cls))
    form: dict[str, Any] = {"kind": kind}
    default = _own_default(feature)
    for f in fields(feature):
        value = getattr(feature, f.name)
        if value != default(f.name) or f.name == "width":
            form[f.name] = list(value) if isinstance(value, tuple) else value
    if isinstance(feature, History) and feature.numbers:
        form["numbers"] = [
            n.name if n == Number(n.name) else {k: v for k, v in _written(n).items() if k != "kind"}
            for n in feature.side_numbers
        ]
    return form


def _own_default(feature: Feature) -> Callable[[str], object]:
    """What a field has where nothing is given."""
    defaults: dict[str, object] = {}
    for f in fields(feature):
        if f.default is not MISSING:
            defaults[f.name] = f.default
        elif f.default_factory is not MISSING:
            defaults[f.name] = f.default_factory()
    if isinstance(feature, Id):
        defaults["dtype"] = feature._own_dtype()
    return lambda name: defaults.get(name, MISSING)


def _read(number: int, form: object, folder: Path) -> Feature:
    where = f"feature {number}"
    if not isinstance(form, Mapping):
        raise InputError(f"{where} is {_shown(form)}; accepted: an object with a kind and a name")
    if isinstance(form.get("name"), str):
        where = f"feature {form['name']!r}"
    kind = form.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise InputError(
            f"{where}: kind is {_shown(kind)}; accepted: {', '.join(map(repr, _KINDS))}"
        )
    cls = _KINDS[kind]
    options = {key: value for key, value in form.items() if key != "kind"}
    _check_fields(where, options, cls)
    if isinstance(options.get("vocabulary"), str):
        options["vocabulary"] = folder / options["vocabulary"]
    if cls is History and isinstance(options.get("numbers"), list):
        options["numbers"] = [_side_number(where, n) for n in options["numbers"]]
    return cls(**options)


def _side_number(where: str, form: object) -> object:
    if not isinstance(form, Mapping):
        return form
    _check_fields(f"{where}: numbers", form, Number)
    return Number(**form)


def _check_fields(
    where: str, form: Mapping[str, Any], cls: type[Id] | type[Number] | type[History]
) -> None:
    known = [f.name for f in fields(cls)]
    needed = [f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING]
    _check_keys(where, form, known, needed)


def _check_keys(
    where: str, form: Mapping[str, Any], known: Sequence[str], needed: Sequence[str]
) -> None:
    for key in form:
        if key not in known:
            raise InputError(
                f"{where} has the key {key!r}; accepted: {', '.join(map(repr, known))}"
            )
    for key in needed:
        if key not in form:
            raise InputError(f"{where} has no key {key!r}, which it needs")


def _shown(value: object) -> str:
    return json.dumps(value, default=repr, ensure_ascii=False)[:60]
