"""What the layers that merge several inputs compute."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from tfnorm.export.numpy_predictor import formulas
from tfnorm.export.numpy_predictor.call import KEEPS, Call, Written, formula
from tfnorm.export.numpy_predictor.program import Value, quoted


@formula("keras.Add", dtypes=KEEPS)
def _add(call: Call, layer: keras.Layer, inputs: Sequence[Value]) -> Written:
    _merge_masks(call)
    return " + ".join(_ranked(inputs))


@formula("keras.Subtract", dtypes=KEEPS)
def _subtract(call: Call, layer: keras.Layer, inputs: Sequence[Value]) -> Written:
    _merge_masks(call)
    return " - ".join(_ranked(inputs))


@formula("keras.Average")
def _average(call: Call, layer: keras.Layer, inputs: Sequence[Value]) -> Written:
    _merge_masks(call)
    return f"({' + '.join(_ranked(inputs))}) / {len(inputs)}"


@formula("keras.Multiply", dtypes=KEEPS)
def _multiply(call: Call, layer: keras.Layer, inputs: Sequence[Value]) -> Written:
    _merge_masks(call)
    factors = _ranked(inputs)
    if not any(call.mask):
        return " * ".join(factors)
    # Keras takes a masked step for 1, and the product for 0 where every input is masked.
    product = " * ".join(
        factor if mask is None else f"np.where({mask}[..., None], {factor}, 1)"
        for factor, mask in zip(factors, call.mask, strict=True)
    )
    return f"np.where({call.output_mask}[..., None], {product}, 0)" if all(call.mask) else product


@formula("keras.Maximum", "keras.Minimum", dtypes=KEEPS)
def _extremum(call: Call, layer: keras.Layer, inputs: Sequence[Value]) -> Written:
    if any(call.mask):
        raise call.refuse("has inputs with masks", "inputs without")
    first, *others = _ranked(inputs)
    for other in others:
        first = f"np.{type(layer).__name__.lower()}({first}, {other})"
    return first


@formula("keras.Concatenate", dtypes=KEEPS)
def _concatenate(call: Call, layer: keras.Layer, inputs: Sequence[Value]) -> Written:
    if any(call.mask):
        call.set_mask(_concatenated_mask(call, layer.axis, inputs))
    return f"np.concatenate([{', '.join(map(str, inputs))}], axis={layer.axis})"


def _concatenated_mask(call: Call, axis: int, inputs: Sequence[Value]) -> str:
    """A step counts if any of what is joined in it does; an input without a mask counts."""
    axis %= len(inputs[0].shape)
    if axis == len(inputs[0].shape) - 1 and all(call.mask):
        return _either(call.mask)
    masks = [
        mask or f"np.ones({x}.shape[:-1], bool)" for x, mask in zip(inputs, call.mask, strict=True)
    ]
    if axis == len(inputs[0].shape) - 1:
        return next(made for made, mask in zip(masks, call.mask, strict=True) if mask is None)
    return f"np.concatenate([{', '.join(masks)}], axis={axis})"


def _merge_masks(call: Call) -> None:
    """A step counts if it does in any input; there is a mask if every input has one."""
    if all(call.mask):
        call.set_mask(_either(call.mask))


def _either(masks: Sequence[str]) -> str:
    return " | ".join(dict.fromkeys(masks))


def _ranked(inputs: Sequence[Value]) -> list[str]:
    """The inputs with axes of length 1 after the first, so that they have one rank."""
    rank = max(len(x.shape) for x in inputs)
    return [
        str(x) if len(x.shape) == rank else f"{x}[:{', None' * (rank - len(x.shape))}]"
        for x in inputs
    ]


@formula("keras.Dot")
def _dot(call: Call, layer: keras.Layer, inputs: Sequence[Value]) -> Written:
    axes = [layer.axes] * 2 if isinstance(layer.axes, int) else layer.axes
    axes = [axis % len(x.shape) for axis, x in zip(axes, inputs, strict=True)]
    letters = iter("abcdefghijklm")
    named = [["n", *(next(letters) for _ in x.shape[1:])] for x in inputs]
    named[1][axes[1]] = named[0][axes[0]]
    summed = named[0][axes[0]]
    result = [letter for letter in named[0] + named[1][1:] if letter != summed]
    subscripts = f"{''.join(named[0])},{''.join(named[1])}->{''.join(result)}"
    factors = [
        call.formula(formulas.unit_normalization, x, axis=axis, epsilon=keras.config.epsilon())
        if layer.normalize
        else str(x)
        for x, axis in zip(inputs, axes, strict=True)
    ]
    product = f"np.einsum({quoted(subscripts)}, {', '.join(factors)})"
    return product if len(result) > 1 else f"{product}[:, None]"
