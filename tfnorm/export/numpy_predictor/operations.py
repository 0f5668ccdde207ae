"""What each operation of `keras.ops` computes, as a NumPy expression."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from tfnorm.errors import InputError
from tfnorm.export.numpy_predictor import activations
from tfnorm.export.numpy_predictor.call import Function, kind, relu
from tfnorm.export.numpy_predictor.program import Program, Value, code, dtype_code, quoted

_INFIX = {
    "Add": "+",
    "Divide": "/",
    "Equal": "==",
    "Greater": ">",
    "GreaterEqual": ">=",
    "Less": "<",
    "LessEqual": "<=",
    "Matmul": "@",
    "Multiply": "*",
    "NotEqual": "!=",
    "Power": "**",
    "Subtract": "-",
    "TrueDivide": "/",
}
_LOGICAL = {"LogicalAnd": "&", "LogicalOr": "|", "LogicalXor": "^"}
_NUMPY = {
    "Abs": "abs",
    "Absolute": "abs",
    "Exp": "exp",
    "Expm1": "expm1",
    "Log": "log",
    "Log1p": "log1p",
    "Maximum": "maximum",
    "Minimum": "minimum",
    "Sqrt": "sqrt",
    "Square": "square",
}
_REDUCTIONS = {"All", "Any", "Max", "Mean", "Min", "Prod", "Sum"}
_ACTIVATIONS: dict[str, tuple[Function, tuple[str, ...]]] = {
    "Celu": (activations.celu, ("alpha",)),
    "Elu": (activations.elu, ("alpha",)),
    "Glu": (activations.glu, ("axis",)),
    "HardShrink": (activations.hard_shrink, ("threshold",)),
    "HardSigmoid": (activations.hard_sigmoid, ()),
    "HardSilu": (activations.hard_silu, ()),
    "HardTanh": (activations.hard_tanh, ()),
    "LeakyRelu": (activations.leaky_relu, ("negative_slope",)),
    "LogSigmoid": (activations.log_sigmoid, ()),
    "LogSoftmax": (activations.log_softmax, ("axis",)),
    "Mish": (activations.mish, ()),
    "Relu": (activations.relu, ()),
    "Relu6": (activations.relu6, ()),
    "Selu": (activations.selu, ()),
    "Sigmoid": (activations.sigmoid, ()),
    "Silu": (activations.silu, ()),
    "SoftShrink": (activations.soft_shrink, ("threshold",)),
    "Softmax": (activations.softmax, ("axis",)),
    "Softplus": (activations.softplus, ()),
    "Softsign": (activations.softsign, ()),
    "SparsePlus": (activations.sparse_plus, ()),
    "SparseSigmoid": (activations.sparse_sigmoid, ()),
    "Squareplus": (activations.squareplus, ("b",)),
    "Tanh": (activations.tanh, ()),
    "TanhShrink": (activations.tanh_shrink, ()),
}
_OTHERS: dict[str, Callable[..., str]] = {
    "BroadcastTo": lambda o, x: f"np.broadcast_to({x}, {code(tuple(o.shape))})",
    "Cast": lambda o, x: str(x.cast(keras.backend.standardize_dtype(o.dtype))),
    "Clip": lambda o, x: f"np.clip({x}, {code(o.x_min)}, {code(o.x_max)})",
    "Concatenate": lambda o, xs: f"np.concatenate({code(list(xs))}, axis={o.axis})",
    "Einsum": lambda o, *xs: f"np.einsum({quoted(o.subscripts)}, {', '.join(map(str, xs))})",
    "ExpandDims": lambda o, x: f"np.expand_dims({x}, {_axis(o.axis)})",
    "GetItem": lambda o, x, key: f"{x}[{_index(key)}]",
    "LogicalNot": lambda o, x: f"~{x.cast('bool')}",
    "OnesLike": lambda o, x, dtype=None: f"np.ones_like({x}, {_dtype(o, dtype, x)})",
    "Negative": lambda o, x: f"-{x}",
    "Repeat": lambda o, x: f"np.repeat({x}, {code(o.repeats)}, axis={_axis(o.axis)})",
    "Reshape": lambda o, x: f"{x}.reshape({code(_sizes(o.newshape))})",
    "Squeeze": lambda o, x: f"np.squeeze({x}, axis={_axis(o.axis)})",
    "Stack": lambda o, xs: f"np.stack({code(list(xs))}, axis={o.axis})",
    "Transpose": lambda o, x: f"{x}.transpose({'' if o.axes is None else code(tuple(o.axes))})",
    "ZerosLike": lambda o, x, dtype=None: f"np.zeros_like({x}, {_dtype(o, dtype, x)})",
    "Where": lambda o, where, x, y: f"np.where({where.cast('bool')}, {code(x)}, {code(y)})",
}
# The argument that is not computed with, by its place: a condition, an index.
_AS_IT_IS = {"Where": 0, "GetItem": 1}
_KNOWN = sorted(
    {*_INFIX, *_LOGICAL, *_NUMPY, *_REDUCTIONS, *_ACTIVATIONS, *_OTHERS, "Gelu", "ReLU"}
)


def write(
    program: Program,
    operation: keras.Operation,
    path: str,
    dtype: str,
    arguments: Sequence[Any],
) -> str:
    """The expression of an operation.

    Args:
        program: what it is written into.
        operation: a node of a functional model that is no layer.
        path: names its constants in the weights.
        dtype: of the result.
        arguments: of the call, in order.

    Raises:
        InputError: the operation is of an unknown kind.
    """
    name = type(operation).__name__
    if not kind(operation).startswith("keras.") or name not in _KNOWN:
        raise InputError(
            f"operation {operation.name!r} ({kind(operation)}) has no NumPy formula; "
            f"known of keras.ops: {', '.join(_KNOWN)}"
        )
    given = [
        _argument(program, path, None if i == _AS_IT_IS.get(name) else dtype, argument)
        for i, argument in enumerate(arguments)
    ]
    if name in _INFIX:
        left, right = given
        return f"{_operand(left)} {_INFIX[name]} {_operand(right)}"
    if name in _LOGICAL:
        left, right = (x.cast("bool") if isinstance(x, Value) else x for x in given)
        return f"{_operand(left)} {_LOGICAL[name]} {_operand(right)}"
    if name in _NUMPY:
        return f"np.{_NUMPY[name]}({', '.join(map(code, given))})"
    if name in _REDUCTIONS:
        settings = f"axis={_axis(operation.axis)}, keepdims={operation.keepdims}"
        if getattr(operation, "initial", None) is not None:
            settings += f", initial={code(operation.initial)}"
        return f"{given[0]}.{name.lower()}({settings})"
    if name == "Gelu":
        formula = activations.gelu_tanh if operation.approximate else activations.gelu
        return program.call(formula, *given)
    if name == "ReLU":
        return relu(
            program, given[0], operation.max_value, operation.negative_slope, operation.threshold
        )
    if name in _ACTIVATIONS:
        formula, names = _ACTIVATIONS[name]
        return program.call(formula, *given, **{n: getattr(operation, n) for n in names})
    return _OTHERS[name](operation, *given)


def _argument(program: Program, path: str, dtype: str | None, argument: Any) -> Any:
    """An argument as code can hold it, in the dtype of a floating result, as in Keras."""
    if isinstance(argument, (list, tuple)):
        return [_argument(program, path, dtype, item) for item in argument]
    argument = program.constant(path, argument)
    if isinstance(argument, Value) and dtype is not None and "float" in dtype:
        return argument.cast(dtype)
    return argument


def _operand(value: Any) -> str:
    written = code(value)
    return f"({written})" if written.startswith("-") else written


def _axis(axis: Any) -> str:
    if isinstance(axis, (list, tuple)):
        return code(axis[0] if len(axis) == 1 else tuple(axis))
    return code(axis)


def _index(key: Any) -> str:
    return ", ".join(map(code, key)) if isinstance(key, (list, tuple)) else code(key)


def _dtype(operation: keras.Operation, dtype: str | None, x: Value) -> str:
    # It is an argument of the call or of the operation, as the version of Keras has it.
    return dtype_code(dtype or getattr(operation, "dtype", None) or x.dtype)


def _sizes(shape: Sequence[int | None]) -> tuple[int, ...]:
    return tuple(-1 if size is None else size for size in shape)
