"""Whether a folded model still scores as the model does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import keras

from tfnorm.export.difference import Tried, difference
from tfnorm.export.folding.affine import Call
from tfnorm.export.folding.fold import Folding, fold
from tfnorm.export.structure import Structure
from tfnorm.export.tracing.interface import Interface
from tfnorm.export.tracing.trace import Traced, trace

FOLDED_TOLERANCE = 1e-5


def fold_and_trace(
    called: Interface,
    found: Structure,
    tried: Tried | None,
    others: Mapping[keras.layers.Layer, Call],
) -> tuple[Folding, Traced]:
    """Fold as much as leaves the scores as they were.

    Without scores nothing is checked, and nothing folded that would have to be.

    Args:
        called: the model.
        found: its structure.
        tried: the scores of some examples; None for none.
        others: layer -> its `call` for inference, of other layers.
    """

    def attempt(kept: Mapping[keras.layers.Layer, str]) -> tuple[Folding, Traced, float | None]:
        folding = fold(found, kept, checked=tried is not None)
        folding = replace(folding, calls={**others, **folding.calls})
        traced = trace(called, folding.applied)
        if tried is None:
            return folding, traced, None
        scores = traced.score(tried.features)
        return folding, traced, difference(scores, tried.scores, FOLDED_TOLERANCE)

    folding, traced, moved = attempt({})
    if moved is None:
        return folding, traced
    layers = [*folding.folded, *folding.not_folded]
    kept = {}
    for layer in layers:
        _, _, alone = attempt({other: "not tried" for other in layers if other is not layer})
        if alone is not None:
            kept[layer] = f"folded, it moves a score by up to {alone:.2g}"
    folding, traced, moved = attempt(kept)
    if moved is not None:
        together = f"folded together, the layers move a score by up to {moved:.2g}"
        folding, traced, _ = attempt(dict.fromkeys(layers, together) | kept)
    return folding, traced
