"""A layer's call as it is written into a program, by the formula that is registered for its kind."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import keras

from tfnorm.errors import InputError
from tfnorm.export.numpy_predictor import activations
from tfnorm.export.numpy_predictor.program import Code, Program, Value, as_numpy, quoted

# What a layer does with the dtypes of its inputs: `CASTS` them to its own, `KEEPS` one that is not
# floating and that they all have, or `READS` them as they are.
CASTS, KEEPS, READS = "casts", "keeps", "reads"


# What a layer computes: an expression, the value that it passes on, or the expressions of its outputs.
Written = str | Value | list[str]
# A function that an activation or a formula is.
Function = Callable[..., Any]
_Writer = TypeVar("_Writer", bound=Callable[..., Written])


@dataclass(frozen=True)
class Formula:
    """How a kind of layer is written: an expression, or the value that it passes on."""

    write: Callable[..., Written]
    dtypes: str


FORMULAS: dict[str, Formula] = {}


def formula(*kinds: str, dtypes: str = CASTS) -> Callable[[_Writer], _Writer]:
    """Register how layers are written, by package and class name: `keras.Dense`."""

    def register(write: _Writer) -> _Writer:
        for kind in kinds:
            FORMULAS[kind] = Formula(write, dtypes)
        return write

    return register


def kind(operation: keras.Operation) -> str:
    """The package and class name of a layer or an operation."""
    cls = type(operation)
    return f"{cls.__module__.partition('.')[0]}.{cls.__name__}"


class Call:
    """A call of a layer, and what its formula may want to know.

    Attributes:
        layer: what is called.
        path: names it in the weights, as in `tower/dense_1`.
        program: what the call is written into.
        mask: the variable of the inputs' mask, or None; a list of them for a list of inputs.
        output_mask: the variable of the output's.
        shape: of the output.
    """

    def __init__(
        self,
        layer: keras.Layer,
        path: str,
        program: Program,
        mask: Any,
        shape: tuple[int | None, ...],
    ):
        self.layer = layer
        self.path = path
        self.program = program
        self.mask = mask
        self.output_mask = mask if layer.supports_masking and not isinstance(mask, list) else None
        self.shape = shape

    def formula(
        self,
        function: Function,
        *arguments: object,
        weights: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> str:
        """A call of a formula; the layer's weights go in by their names."""
        if self.weights(weights or {}):
            arguments += (f"**w[{quoted(self.path)}]",)
        return self.program.call(function, *arguments, **settings)

    def part(self, name: str, **weights: Any) -> Code:
        """The dict of the weights of a part of the layer."""
        self.weights(weights, f"{self.path}/{name}")
        return Code(f"w[{quoted(f'{self.path}/{name}')}]")

    def weights(self, weights: Mapping[str, Any], path: str | None = None) -> bool:
        """Keep those weights that the layer has; returns whether there are any."""
        given = {name: array for name, array in weights.items() if array is not None}
        for name, array in given.items():
            key = f"{path or self.path}/{name}"
            self.program.weights[key] = as_numpy(array).astype(self.layer.compute_dtype)
        return bool(given)

    def activated(self, activation: Function | None, expression: str) -> str:
        """The expression with an activation, a function or a layer, applied to it."""
        if isinstance(activation, keras.Layer):
            name = self.program.assign(f"{self.path}/linear", expression)
            path = f"{self.path}/{activation.name}"
            value = Value(name, self.layer.compute_dtype, self.shape)
            return str(write(Call(activation, path, self.program, None, self.shape), value))
        function = self.activation(activation)
        return expression if function is None else f"{function}({expression})"

    def activation(self, activation: Function | None) -> Code | None:
        """The name of an activation's formula; None for the linear one."""
        if activation in (None, keras.activations.linear):
            return None
        name = getattr(activation, "__name__", repr(activation))
        known = {n for n, f in vars(activations).items() if inspect.isfunction(f)}
        known &= set(dir(keras.activations))
        if name not in known or getattr(keras.activations, name) is not activation:
            raise self.refuse(
                f"has the activation {name}, which has no NumPy formula",
                ", ".join(["linear", *sorted(known)]),
            )
        return self.program.use(getattr(activations, name))

    def refuse(self, what: str, accepted: str) -> InputError:
        """The error that says what of this layer can't be written."""
        return InputError(
            f"layer {self.layer.name!r} ({kind(self.layer)}) {what}; accepted: {accepted}"
        )

    def set_mask(self, expression: str) -> None:
        """Give the output a mask: a variable, or an expression that becomes one."""
        named = expression.isidentifier()
        path = f"{self.path}_mask"
        self.output_mask = expression if named else self.program.assign(path, expression)


def write(call: Call, *arguments: Any) -> Written:
    """What a layer computes from its arguments.

    Raises:
        InputError: the layer is of an unknown kind, or can't be written as it is.
    """
    layer = call.layer
    if kind(layer) not in FORMULAS:
        raise call.refuse("has no NumPy formula", ", ".join(sorted(FORMULAS)))
    if getattr(layer, "quantization_mode", None):
        raise call.refuse(f"is quantized to {layer.quantization_mode}", "weights of float32")
    check_dtype(layer, layer.compute_dtype)
    formula = FORMULAS[kind(layer)]
    try:
        inspect.signature(formula.write).bind(call, layer, *arguments)
    except TypeError as error:
        raise call.refuse("is called with more than its inputs", "the inputs alone") from error
    arguments = _cast(layer, formula.dtypes, arguments)
    return formula.write(call, layer, *arguments)


def check_dtype(operation: keras.Operation, dtype: str) -> None:
    """Raise InputError if an operation computes in a dtype that NumPy can't follow."""
    if "float" in dtype and dtype not in ("float32", "float64"):
        raise InputError(
            f"{operation.name!r} ({kind(operation)}) computes in {dtype}; accepted: float32 and "
            "float64. Build the model with the dtype policy float32 and load the weights into it"
        )


def result_dtype(layer: keras.Layer, values: Sequence[Value]) -> str:
    """The dtype of what a layer gives for these inputs."""
    dtypes = {value.dtype for value in values}
    if FORMULAS[kind(layer)].dtypes == KEEPS and len(dtypes) == 1 and not values[0].is_float:
        return values[0].dtype
    return str(layer.compute_dtype)


def _cast(layer: keras.Layer, dtypes: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments as the layer takes them."""
    mixed = len({value.dtype for value in keras.tree.flatten(arguments)}) > 1

    def cast_one(value: Value) -> Value:
        wanted = (
            dtypes == CASTS or (dtypes == KEEPS and mixed) or (value.is_float and layer.autocast)
        )
        return value.cast(layer.compute_dtype) if wanted else value

    return cast(tuple[Any, ...], keras.tree.map_structure(cast_one, arguments))


def relu(
    program: Program,
    x: Value,
    max_value: float | None,
    negative_slope: float,
    threshold: float,
) -> str:
    """`keras.activations.relu`, in the simplest form that its arguments allow."""
    if max_value is not None or threshold:
        settings = {
            "max_value": None if max_value is None else float(max_value),
            "negative_slope": float(negative_slope) or None,
            "threshold": float(threshold) or None,
        }
        given = {name: value for name, value in settings.items() if value is not None}
        return program.call(activations.clipped_relu, x, **given)
    if negative_slope:
        return program.call(activations.leaky_relu, x, negative_slope=float(negative_slope))
    return program.call(activations.relu, x)
