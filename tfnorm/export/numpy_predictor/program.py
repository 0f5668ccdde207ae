"""The program that a model becomes: lines of Python, the formulas that they call, the weights."""

from __future__ import annotations

import ast
import builtins
import inspect
import itertools
import json
import keyword
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tfnorm._keras import is_variable
from tfnorm.errors import InputError
from tfnorm.export.numpy_predictor import activations, formulas

# Names that the generated file uses itself.
_TAKEN = {
    "INPUTS",
    "Path",
    "checked",
    "inputs",
    "json",
    "math",
    "np",
    "predict",
    "sys",
    "w",
    "weights",
}

_IDENTIFIER = re.compile(r"[^\W\d]\w*", re.ASCII)


class Code(str):
    """An expression, where a plain str is a string constant."""


@dataclass(frozen=True)
class Value:
    """A variable of the program.

    Attributes:
        name: its name, or an expression that needs no parentheses.
        dtype: of its array.
        shape: of its array, None where it is free.
        mask: the variable that holds its Keras mask, None if it has none.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    mask: str | None = None

    def __str__(self) -> str:
        return self.name

    @property
    def is_float(self) -> bool:
        return self.dtype.startswith("float")

    def cast(self, dtype: str) -> Value:
        """The value in another dtype; itself if it has that already."""
        if self.dtype == dtype:
            return self
        return Value(f"{self.name}.astype({dtype_code(dtype)})", dtype, self.shape, self.mask)


class Program:
    """Lines that are written one after another, each assigning to a name of its own.

    Attributes:
        weights: `layer/name` -> array.
        formulas: those that the lines call, by name.
    """

    def __init__(self) -> None:
        self._lines: list[tuple[str | None, str]] = []
        self.weights: dict[str, np.ndarray] = {}
        self.formulas: dict[str, Callable[..., Any]] = {}
        self._names = {*_TAKEN, *dir(builtins), *keyword.kwlist, *keyword.softkwlist}
        self._names |= {name for module in (activations, formulas) for name in vars(module)}
        self._reserved = frozenset(self._names)

    def name(self, path: str) -> str:
        """A variable name like `path` that no other has."""
        base = re.sub(r"\W", "_", path, flags=re.ASCII)
        base = f"_{base}" if base[:1].isdigit() else base
        # Keras numbers the layers of a class dense, dense_1, ...: the first becomes dense_0.
        number = 0 if base in self._reserved else 2
        name = base
        while name in self._names:
            name = f"{base}_{number}"
            number += 1
        self._names.add(name)
        return name

    def assign(self, path: str, expression: str) -> str:
        """Write `name = expression`; returns the name."""
        name = self.name(path)
        self._lines.append((name, f"{name} = {expression}"))
        return name

    def remark(self, text: str) -> None:
        """Write a comment."""
        self._lines.append((None, f"# {text}"))

    def lines(self, result: str) -> list[str]:
        """What it takes to compute `result`: masks that no layer reads are left out."""
        kept, needed = [], set(_IDENTIFIER.findall(result))
        for name, line in reversed(self._lines):
            if name is None:
                kept.append(line)
            elif name in needed:
                kept.append(line)
                needed.update(_IDENTIFIER.findall(line))
        return kept[::-1]

    def call(self, function: Callable[..., Any], *arguments: object, **settings: Any) -> str:
        """A call of one of the formulas, which becomes part of the program."""
        given = [*arguments, *(f"{name}={code(value)}" for name, value in settings.items())]
        return f"{self.use(function)}({', '.join(map(str, given))})"

    def use(self, function: Callable[..., Any]) -> Code:
        """Make a formula, and those that it calls, part of the program; returns its name."""
        if function.__name__ not in self.formulas:
            tree = ast.parse(inspect.getsource(function))
            names = (node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
            for called in map(function.__globals__.get, names):
                if inspect.isfunction(called):
                    self.use(called)
            self.formulas[function.__name__] = function
        return Code(function.__name__)

    def constant(self, path: str, given: Any) -> Any:
        """An argument of a call: arrays become weights of the program, others stay as they are."""
        if (
            not keras.ops.is_tensor(given)
            and not is_variable(given)
            and not isinstance(given, np.ndarray)
        ):
            return given
        array = as_numpy(given)
        names = (f"constant_{i}" for i in itertools.count(1))
        name = next(name for name in names if f"{path}/{name}" not in self.weights)
        self.weights[f"{path}/{name}"] = array
        return Value(f"w[{quoted(path)}][{quoted(name)}]", array.dtype.name, array.shape)


def code(value: Any) -> str:
    """A constant or a variable as Python writes it.

    Raises:
        InputError: it is no constant that code can hold.
    """
    if isinstance(value, (Value, Code)):
        return str(value)
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, slice):
        limits = ("" if limit is None else code(limit) for limit in (value.start, value.stop))
        return ":".join(limits) + ("" if value.step is None else f":{code(value.step)}")
    if isinstance(value, (list, tuple)):
        items = ", ".join(map(code, value))
        if isinstance(value, list):
            return f"[{items}]"
        return f"({items},)" if len(value) == 1 else f"({items})"
    if value is Ellipsis:
        return "..."
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return f"{'-' if value < 0 else ''}np.{abs(value)}"
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    raise InputError(f"{value!r} can't be written as Python code; accepted: numbers and tensors")


def dtype_code(dtype: str) -> str:
    """A dtype as NumPy has it."""
    return "bool" if dtype == "bool" else f"np.{dtype}"


def as_numpy(array: Any) -> np.ndarray:
    """A copy of a Keras variable, tensor or array."""
    return np.array(keras.ops.convert_to_tensor(array).numpy())


def quoted(text: str) -> str:
    """A string literal."""
    return json.dumps(text, ensure_ascii=False)
