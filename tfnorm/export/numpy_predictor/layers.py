"""What each kind of layer computes, as a call of its formula.

To teach `to_numpy` another layer, write its formula in `formulas.py` and its call here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from tfnorm.export.numpy_predictor import activations, formulas
from tfnorm.export.numpy_predictor.call import (
    KEEPS,
    READS,
    Call,
    Function,
    Written,
    formula,
    kind,
    relu,
)
from tfnorm.export.numpy_predictor.program import Code, Value, code, quoted


@formula("keras.Dense")
def _dense(call: Call, layer: keras.Layer, x: Value) -> Written:
    weights = {"kernel": layer.kernel, "bias": layer.bias}
    return call.activated(layer.activation, call.formula(formulas.dense, x, weights=weights))


@formula("keras.EinsumDense")
def _einsum_dense(call: Call, layer: keras.Layer, x: Value) -> Written:
    weights = {"kernel": layer.kernel, "bias": layer.bias}
    product = call.formula(formulas.einsum_dense, x, weights=weights, equation=layer.equation)
    return call.activated(layer.activation, product)


@formula("keras.Embedding", "tfnorm.IdEmbedding", dtypes=READS)
def _embedding(call: Call, layer: keras.Layer, ids: Value) -> Written:
    if layer.mask_zero:
        call.set_mask(f"{ids} != 0")
    if not ids.dtype.startswith(("int", "uint")):
        ids = ids.cast("int32")
    return call.formula(formulas.embedding, ids, weights={"embeddings": layer.embeddings})


@formula("keras.BatchNormalization", "tfnorm.BatchNormalization")
def _batch_normalization(call: Call, layer: keras.Layer, x: Value) -> Written:
    weights = {
        "gamma": layer.gamma if layer.scale else None,
        "beta": layer.beta if layer.center else None,
        "moving_mean": layer.moving_mean,
        "moving_variance": layer.moving_variance,
    }
    return _along(
        layer.axis,
        x,
        lambda x: call.formula(
            formulas.batch_normalization, x, weights=weights, epsilon=layer.epsilon
        ),
    )


@formula("tfnorm.Dice")
def _dice(call: Call, layer: keras.Layer, x: Value) -> Written:
    weights = {
        "alpha": layer.alpha,
        "moving_mean": layer.moving_mean,
        "moving_variance": layer.moving_variance,
    }
    return _along(
        layer.axis,
        x,
        lambda x: call.formula(formulas.dice, x, weights=weights, epsilon=layer.epsilon),
    )


@formula("tfnorm.Whitening")
def _whitening(call: Call, layer: keras.Layer, x: Value) -> Written:
    if not layer.rows > 0:
        raise call.refuse("has not been adapted", "one whose adapt(data) was called")
    weights = {"mean": layer.mean, "kernel": layer.kernel}
    return call.formula(formulas.whitened, x, weights=weights)


@formula("keras.LayerNormalization")
def _layer_normalization(call: Call, layer: keras.Layer, x: Value) -> Written:
    if getattr(layer, "rms_scaling", False):
        raise call.refuse("has rms_scaling=True", "rms_scaling=False")
    axes = sorted(axis % len(x.shape) for axis in layer.axis)
    settings = {"axis": Code(_axes(range(-len(axes), 0))), "epsilon": layer.epsilon}
    weights = {"gamma": layer.gamma, "beta": layer.beta}
    return _along(
        axes,
        x,
        lambda x: call.formula(formulas.layer_normalization, x, weights=weights, **settings),
    )


@formula("keras.UnitNormalization")
def _unit_normalization(call: Call, layer: keras.Layer, x: Value) -> Written:
    axes = [layer.axis] if isinstance(layer.axis, int) else layer.axis
    return call.formula(formulas.unit_normalization, x, axis=Code(_axes(axes)), epsilon=1e-12)


@formula("keras.Normalization")
def _normalization(call: Call, layer: keras.Layer, x: Value) -> Written:
    written = formulas.unstandardized if layer.invert else formulas.standardized
    weights = {"mean": layer.mean, "variance": layer.variance}
    return call.formula(written, x, weights=weights, epsilon=keras.config.epsilon())


@formula("keras.Rescaling")
def _rescaling(call: Call, layer: keras.Layer, x: Value) -> Written:
    if np.ndim(layer.scale) or np.ndim(layer.offset):
        raise call.refuse("has a scale or offset for each channel", "numbers")
    return f"{x} * {layer.scale} + {layer.offset}"


@formula("keras.Activation")
def _activation(call: Call, layer: keras.Layer, x: Value) -> Written:
    return call.activated(layer.activation, str(x))


@formula("keras.ReLU")
def _relu(call: Call, layer: keras.Layer, x: Value) -> Written:
    settings = {
        "max_value": layer.max_value,
        "negative_slope": layer.negative_slope,
        "threshold": layer.threshold,
    }
    return relu(call.program, x, **settings)


@formula("keras.LeakyReLU")
def _leaky_relu(call: Call, layer: keras.Layer, x: Value) -> Written:
    return call.formula(activations.leaky_relu, x, negative_slope=float(layer.negative_slope))


@formula("keras.PReLU")
def _prelu(call: Call, layer: keras.Layer, x: Value) -> Written:
    return call.formula(formulas.prelu, x, weights={"alpha": layer.alpha})


@formula("keras.ELU")
def _elu(call: Call, layer: keras.Layer, x: Value) -> Written:
    return call.formula(activations.elu, x, alpha=float(layer.alpha))


@formula("keras.Softmax")
def _softmax(call: Call, layer: keras.Layer, x: Value) -> Written:
    axis = Code(_axes([layer.axis] if isinstance(layer.axis, int) else layer.axis))
    if call.mask is None:
        return call.formula(activations.softmax, x, axis=axis)
    return call.formula(formulas.masked_softmax, x, call.mask, axis=axis)


@formula(
    "keras.ActivityRegularization",
    "keras.AlphaDropout",
    "keras.Dropout",
    "keras.GaussianDropout",
    "keras.GaussianNoise",
    "keras.Identity",
    "keras.SpatialDropout1D",
    "keras.SpatialDropout2D",
    "keras.SpatialDropout3D",
    dtypes=KEEPS,
)
def _identity(call: Call, layer: keras.Layer, x: Value) -> Written:
    call.program.remark(f"{quoted(call.path)}: {type(layer).__name__} does nothing at inference")
    return x


@formula("keras.Masking")
def _masking(call: Call, layer: keras.Layer, x: Value) -> Written:
    call.set_mask(f"({x} != {code(layer.mask_value)}).any(axis=-1)")
    return f"np.where({call.output_mask}[..., None], {x}, 0)"


@formula("keras.Flatten", dtypes=KEEPS)
def _flatten(call: Call, layer: keras.Layer, x: Value) -> Written:
    if layer.data_format == "channels_first" and len(x.shape) > 2:
        return call.formula(formulas.flatten, f"np.moveaxis({x}, 1, -1)")
    return call.formula(formulas.flatten, x)


@formula("keras.Reshape", dtypes=KEEPS)
def _reshape(call: Call, layer: keras.Layer, x: Value) -> Written:
    if None in call.shape[1:]:
        return call.formula(formulas.reshape, x, code(tuple(layer.target_shape)))
    return f"{x}.reshape({', '.join(['-1', *map(str, call.shape[1:])])})"


@formula("keras.Permute", dtypes=KEEPS)
def _permute(call: Call, layer: keras.Layer, x: Value) -> Written:
    return f"{x}.transpose({code((0, *layer.dims))})"


@formula("keras.RepeatVector", dtypes=KEEPS)
def _repeat_vector(call: Call, layer: keras.Layer, x: Value) -> Written:
    return f"np.repeat({x}[:, None], {layer.n}, axis=1)"


@formula("keras.GlobalAveragePooling1D")
def _global_average_pooling_1d(call: Call, layer: keras.Layer, x: Value) -> Written:
    mask, call.output_mask = call.mask, None
    if mask is None:
        return _pooled("mean", layer, x)
    if layer.data_format == "channels_first":
        raise call.refuse("has a mask and channels first", "channels last, or no mask")
    settings: dict[str, Any] = {"keepdims": True} if layer.keepdims else {}
    return call.formula(formulas.masked_average, x, mask, **settings)


@formula("keras.GlobalAveragePooling2D", "keras.GlobalAveragePooling3D")
def _global_average_pooling(call: Call, layer: keras.Layer, x: Value) -> Written:
    return _pooled("mean", layer, x)


@formula("keras.GlobalMaxPooling1D", "keras.GlobalMaxPooling2D", "keras.GlobalMaxPooling3D")
def _global_max_pooling(call: Call, layer: keras.Layer, x: Value) -> Written:
    return _pooled("max", layer, x)


def _pooled(method: str, layer: keras.Layer, x: Value) -> str:
    first = 1 if layer.data_format == "channels_last" else 2
    axes = tuple(range(first, first + len(x.shape) - 2))
    axis = axes[0] if len(axes) == 1 else axes
    return f"{x}.{method}(axis={axis}{', keepdims=True' if layer.keepdims else ''})"


@formula("keras.GRU")
def _gru(call: Call, layer: keras.Layer, x: Value) -> Written:
    cell = layer.cell
    written = formulas.gru if cell.reset_after else formulas.gru_reset_before
    settings = {
        "activation": _gate(call, cell.activation),
        "recurrent_activation": _gate(call, cell.recurrent_activation),
    }
    return _recurrent(call, layer, x, written, settings)


@formula("keras.RNN")
def _rnn(call: Call, layer: keras.Layer, x: Value) -> Written:
    if kind(layer.cell) != "tfnorm.AUGRUCell":
        raise call.refuse(
            f"has a cell without a NumPy formula, {kind(layer.cell)}", "tfnorm.AUGRUCell"
        )
    return _recurrent(call, layer, x, formulas.augru, {})


def _recurrent(
    call: Call, layer: keras.layers.RNN, x: Value, written: Function, settings: dict[str, Any]
) -> Written:
    """What a recurrent layer gives, by a formula of the states after each step."""
    if layer.stateful:
        raise call.refuse("is stateful, so its scores depend on earlier calls", "stateful=False")
    if layer.zero_output_for_mask:
        raise call.refuse("has zero_output_for_mask=True", "zero_output_for_mask=False")
    backwards = "[:, ::-1]" if layer.go_backwards else ""
    if call.mask is not None:
        settings |= {"mask": Code(f"{call.mask}{backwards}")}
    weights = {name: getattr(layer.cell, name) for name in ("kernel", "recurrent_kernel", "bias")}
    states = call.formula(written, f"{x}{backwards}", weights=weights, **settings)
    if not layer.return_sequences:
        call.output_mask = None
    if not layer.return_state:
        return states if layer.return_sequences else f"{states}[:, -1]"
    states = call.program.assign(f"{call.path}_states", states)
    return [states if layer.return_sequences else f"{states}[:, -1]", f"{states}[:, -1]"]


def _gate(call: Call, activation: Function) -> Code:
    return call.activation(activation) or Code("lambda x: x")


def _along(axis: int | Sequence[int], x: Value, write: Callable[[object], str]) -> str:
    """A formula for the last axes, along others."""
    rank, given = len(x.shape), [axis] if isinstance(axis, int) else axis
    axes = [a % rank for a in given]
    last = list(range(-len(axes), 0))
    if axes == [a + rank for a in last]:
        return write(x)
    moved, back = f"{_axes(axes)}, {_axes(last)}", f"{_axes(last)}, {_axes(axes)}"
    return f"np.moveaxis({write(f'np.moveaxis({x}, {moved})')}, {back})"


def _axes(axes: Sequence[int]) -> str:
    return code(axes[0] if len(axes) == 1 else tuple(axes))
