"""Name the op that makes a score depend on the batch around it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from tfnorm.errors import InputError
from tfnorm.graph.ops import advice
from tfnorm.graph.origins import Layers, Sources
from tfnorm.session import DEFAULT_SIGNATURE, SavedModel
from tfnorm.verify.compositions.agenda import BATCH_BYTES
from tfnorm.verify.compositions.plan import FEWEST
from tfnorm.verify.culprit.batches import Batches
from tfnorm.verify.culprit.experiments.batch_size import BATCH_SIZES, BatchSize
from tfnorm.verify.culprit.experiments.experiment import Accusation, Experiment, Subject
from tfnorm.verify.culprit.experiments.neighbours import Neighbours
from tfnorm.verify.culprit.experiments.padding import Padding
from tfnorm.verify.culprit.experiments.position import Position
from tfnorm.verify.culprit.experiments.repeat import Repeat
from tfnorm.verify.culprit.probe import Probe
from tfnorm.verify.results import Culprit

# A batch must be larger than what the model takes of it (a top-k over the batch needs k rows).
_WATCHED_AND_SIZE = ((8, 21), (64, 150), (512, 1100))


def find_culprit(
    model: str | Path | SavedModel,
    examples: Mapping[str, np.ndarray],
    *,
    signature: str = DEFAULT_SIGNATURE,
    batch_sizes: Sequence[int] | None = None,
    constants: Mapping[str, np.ndarray] | None = None,
    unpadded: Collection[str] = (),
) -> Culprit | None:
    """Find the first op whose rows change with the batch although its inputs' rows do not.

    The first examples are scored in pairs of batches that are the same (which shows hidden state and
    dropout), or differ in one thing: the neighbours, the batch's size, the rows' places, or the padding of
    inputs of variable length. In the first pair whose outputs differ by more than rounding, the tensors
    between inputs and outputs are compared row by row, inside functions, branches and loops too.

    Args:
        model: a SavedModel, its directory, or the folder of its versions. Variables that its signature
            assigns are assigned, in memory only.
        examples: input name -> array, the first axis being the example.
        signature: the signature to look into.
        batch_sizes: the sizes to compare, for a score that moves with the batch's size alone; None for some
            sizes up to 257 examples, or 8 MB of inputs.
        constants: input name -> its value in every batch, for inputs that are no part of the examples; None
            for none. Inputs that have a default need not be given.
        unpadded: the inputs whose zeros (or empty strings) at the end are values and not padding.

    Returns:
        The op to blame, or None where no score depends on the batch.

    Raises:
        InputError: the model can't be loaded, has no such signature, or the examples don't fit it.

    Example:

        >>> culprit = find_culprit("exports/ranker", examples)  # doctest: +SKIP
        >>> print(culprit.op, culprit.explanation)              # doctest: +SKIP
        functional_1/dice_1/Mean Mean over the batch axis
    """
    with nullcontext(model) if isinstance(model, SavedModel) else SavedModel(model) as loaded:
        probe = Probe(loaded, signature)
        fixed = {k: v for k, v in loaded.defaults(signature).items() if k not in examples}
        batches = Batches(probe.signature, examples, {**fixed, **(constants or {})})
        subject = _subject(probe, batches)
        experiments: tuple[Experiment, ...] = (
            Repeat(),
            Neighbours(),
            BatchSize(_up_to_the_cap(batches) if batch_sizes is None else batch_sizes),
            Position(),
            Padding(unpadded),
        )
        for experiment in experiments:
            if accusation := experiment.find(subject):
                return _culprit(probe, accusation, Sources(loaded.path))
    return None


def _up_to_the_cap(batches: Batches) -> list[int]:
    most = max(FEWEST, BATCH_BYTES // max(batches.row_bytes, 1))
    return [size for size in BATCH_SIZES if size <= most]


def _subject(probe: Probe, batches: Batches) -> Subject:
    """How many rows to watch, in batches of which size: the first that the model takes."""
    choices: Sequence[tuple[int, int]] = _WATCHED_AND_SIZE
    if fixed := batches.fixed_size:
        choices = ((max(1, fixed // 2), fixed),)
    refusals = []
    for watched, size in choices:
        try:
            probe.run(batches.take(0, size if batches.fixed_size else watched), probe.base.outputs)
            return Subject(probe, batches, watched, size)
        except InputError as error:
            refusals.append(error)
    raise refusals[0]


def _culprit(probe: Probe, accusation: Accusation, sources: Sources) -> Culprit:
    layers = Layers(probe.base.nodes.values(), probe.base.origins)
    origin = accusation.region.origins[accusation.node]
    op_type = accusation.region.nodes[accusation.node].op
    return Culprit(
        op=origin.name,
        op_type=op_type,
        layer=layers.layer(origin.name),
        source=sources.line(origin),
        explanation=accusation.explanation,
        advice=accusation.advice or advice(op_type),
    )
