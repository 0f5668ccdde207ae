"""Options that are made of a dataclass, which alone has their defaults and says what they mean."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType
from typing import Any, Literal, TypeVar

import click
import docstring_parser

from tfnorm.errors import InputError

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])
_Settings = TypeVar("_Settings")

_MEANING = re.compile(r"(?P<help>.*?)(?:; None (?:for|to) (?P<default>.*))?\.")


misfit_option = click.option(
    "--allow-misfit-statistics",
    is_flag=True,
    help="Let a model pass whose moving statistics do not fit the examples.",
)


def options_of(settings: type, *names: str) -> Callable[[_Decorated], _Decorated]:
    """An option for each field of a dataclass, or for those named, in the dataclass's order.

    The field gives the default, its annotation the type, and the docstring the help text, of which ";
    None for no limit." is shown as the default. A bool becomes a flag, and one that is True `--name` and
    `--no-name`; a Literal becomes a choice, and a mapping `headers` an option `--header 'NAME: VALUE'`
    that may be repeated.
    """
    fields = [field for field in dataclasses.fields(settings) if not names or field.name in names]
    annotations = typing.get_type_hints(settings)
    documented = docstring_parser.parse(settings.__doc__ or "").params
    meanings = {found.arg_name: found.description or "" for found in documented}

    def decorate(command: _Decorated) -> _Decorated:
        for field in reversed(fields):
            flag, details = _flag_and_type(field.name, annotations[field.name])
            if field.default is True:
                flag += f"/--no-{field.name.replace('_', '-')}"
            details |= _help_and_default(meanings[field.name], field.default)
            if details.get("multiple"):
                details["help"] += " It may be repeated."
            command = click.option(flag, field.name, **details)(command)
        return command

    return decorate


def take(settings: Callable[..., _Settings], options: dict[str, Any]) -> _Settings:
    """The dataclass of the values of its options, which are taken out of `options`."""
    fields = dataclasses.fields(settings)  # type: ignore[arg-type]
    names = [field.name for field in fields if field.name in options]
    return settings(**{name: options.pop(name) for name in names})


def _flag_and_type(name: str, annotation: Any) -> tuple[str, dict[str, Any]]:
    flag = f"--{name.replace('_', '-')}"
    parts = typing.get_args(annotation)
    if annotation is bool:
        return flag, {"is_flag": True}
    if typing.get_origin(annotation) is Literal:
        return flag, {"type": click.Choice(parts)}
    if typing.get_origin(annotation) is Mapping:
        return flag.removesuffix("s"), pairs(": ")
    kinds = [kind for kind in parts if kind is not NoneType] or [annotation]
    return flag, {"type": click.Path(path_type=Path) if Path in kinds else kinds[0]}


def _help_and_default(meaning: str, default: Any) -> dict[str, Any]:
    found = _MEANING.fullmatch(" ".join(meaning.replace("`", "").split()))
    assert found, f"{meaning!r} is no sentence"
    text = found["help"]
    return {
        # Code at the start, such as the name of a model, is no beginning of a sentence.
        "help": f"{text if meaning.startswith('`') else text[0].upper() + text[1:]}.",
        "default": None if default is dataclasses.MISSING else default,
        "show_default": found["default"] or True,
    }


def pairs(separator: str, value: str = "VALUE") -> dict[str, Any]:
    """What makes an option one of names and values, that is given for each, such as 'NAME: VALUE'."""
    shown = f"NAME{separator}{value}"
    shown = f"'{shown}'" if " " in shown else shown

    def taken(
        context: click.Context, option: click.Parameter, values: tuple[str, ...]
    ) -> dict[str, str]:
        found = {}
        for given in values:
            name, between, said = given.partition(separator.strip())
            if not between or not name.strip():
                raise InputError(f"{option.opts[0]} is {given!r}; accepted: {shown}")
            found[name.strip()] = said.strip()
        return found

    return {"multiple": True, "metavar": shown, "callback": taken}


examples_option = click.option(
    "--examples",
    type=click.Path(path_type=Path),
    show_default="those kept with the export",
    help="An .npz of arrays, JSON lines, Parquet, CSV, or a TFRecord of tf.Example or PredictionLog.",
)

feed_option = click.option(
    "--feed",
    **pairs("="),
    help="An input that is the same in every batch, as JSON: keep_prob=1.0. It may be repeated.",
)
