"""What each kind of layer of DIN and DIEN computes, as a call of its formula."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from tfnorm.export.numpy_predictor import formulas
from tfnorm.export.numpy_predictor.call import READS, Call, Written, formula
from tfnorm.export.numpy_predictor.program import Value, quoted


@formula("tfnorm.TargetAttention", dtypes=READS)
def _target_attention(
    call: Call, layer: keras.Layer, query: Value, keys: Value, valid: Value
) -> Written:
    mlp = [call.part(dense.name, kernel=dense.kernel, bias=dense.bias) for dense in layer.mlp]
    softmax = layer.softmax
    return call.formula(formulas.target_attention, query, keys, valid, *mlp, softmax=softmax)


@formula("tfnorm.InterestScores", dtypes=READS)
def _interest_scores(
    call: Call, layer: keras.Layer, query: Value, interests: Value, valid: Value
) -> Written:
    weights = {"kernel": layer.kernel}
    return call.formula(formulas.interest_scores, query, interests, valid, weights=weights)


@formula("tfnorm.MaskedMean", "tfnorm.MaskedSum", dtypes=READS)
def _masked(call: Call, layer: keras.Layer, x: Value, valid: Value) -> Written:
    mean = type(layer).__name__ == "MaskedMean"
    return call.formula(formulas.masked_mean if mean else formulas.masked_sum, x, valid)


@formula("tfnorm.KeptSteps", dtypes=READS)
def _kept_steps(call: Call, layer: keras.Layer, columns: Sequence[Value]) -> Written:
    if layer.keep == "oldest":
        return [f"{x}[:, :{layer.length}]" for x in columns]
    return [
        call.formula(formulas.newest_steps, columns[0], x, length=layer.length) for x in columns
    ]


@formula("tfnorm.AtLeastOneStep", dtypes=READS)
def _at_least_one_step(call: Call, layer: keras.Layer, x: Value, valid: Value) -> Written:
    both = call.program.assign(call.path, call.formula(formulas.at_least_one_step, x, valid))
    return [f"{both}[0]", f"{both}[1]"]


@formula("tfnorm.AuxiliaryLoss", dtypes=READS)
def _auxiliary_loss(
    call: Call, layer: keras.Layer, interests: Value, behaviours: Value, valid: Value
) -> Written:
    return f"{interests}"


@formula("tfnorm.NumberScale")
def _number_scale(call: Call, layer: keras.Layer, x: Value) -> Written:
    wide = str(x) if layer.vector else f"{x}[..., None]"
    if layer.scale == "log":
        return f"np.sign({wide}) * np.log1p(np.abs({wide}))"
    if layer.scale == "standard":
        mean, deviation = (
            np.asarray(v, layer.compute_dtype) for v in (layer.mean, layer.deviation)
        )
        given = {"mean": mean, "deviation": np.where(deviation > 0, deviation, 1)}
        call.program.weights |= {f"{call.path}/{name}": value for name, value in given.items()}
        kept = f"w[{quoted(call.path)}]"
        return f'({wide} - {kept}["mean"]) / {kept}["deviation"]'
    return wide
