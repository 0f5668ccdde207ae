"""Write a Keras model as a SavedModel for TensorFlow Serving."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tfnorm.assets import examples_file, statistics_file, tables_file, warmup_file
from tfnorm.errors import InputError
from tfnorm.export import proto, statistics
from tfnorm.export.bitwise import rewrite as bitwise
from tfnorm.export.candidates.checks import check_bad_candidates, check_candidates
from tfnorm.export.candidates.signature import candidate_inputs, of_candidates
from tfnorm.export.difference import SAVED_TOLERANCE, Arrays, Tried, difference
from tfnorm.export.folding.checked import fold_and_trace
from tfnorm.export.folding.fold import Folding
from tfnorm.export.inputs import kept
from tfnorm.export.inputs.guessed import random_features
from tfnorm.export.inputs.lengths import HistoryLength, fitted_lists, with_lengths
from tfnorm.export.publish import check_place, publish
from tfnorm.export.records import warmup
from tfnorm.export.records.signatures import (
    CLASSIFY,
    METHODS,
    check_padding,
    check_probabilities,
    check_signatures,
    trace_signatures,
)
from tfnorm.export.records.tf_example import Feature, parser
from tfnorm.export.structure import Structure, check_inference, structure
from tfnorm.export.tables.bad_rows import asking, check_bad_rows, outside
from tfnorm.export.tables.lookups import ERROR, NAN, UnknownIds, lookups
from tfnorm.export.tables.moves import Moves, moves, write_tables
from tfnorm.export.tables.stored import FLOAT32
from tfnorm.export.tracing.checks import check_statistics, check_weights
from tfnorm.export.tracing.interface import Interface, interface, places
from tfnorm.export.tracing.trace import Traced, trace
from tfnorm.scorers.messages import one_line
from tfnorm.session import CANDIDATES, DEFAULT_SIGNATURE, SavedModel
from tfnorm.session.memory import large_in_place
from tfnorm.statistics.results import StatisticsFit

# Examples that the export is compared with the model on, and how large they may be; large ones have many
# values each, and scoring them three times is most of what an export of theirs takes.
_COMPARED, _FEWEST_COMPARED, _COMPARED_BYTES = 256, 16, 1 << 24

# Keras is traced by one thread at a time: it keeps state of its own while it is.
_tracing = threading.Lock()


@dataclass(frozen=True)
class ExportReport:
    """What an export wrote.

    Attributes:
        path: the SavedModel, `<directory>/<version>`.
        version: the number of the version.
        inputs: input name -> dtype and shape, of the signature `serving_default`.
        outputs: output name -> dtype and shape.
        signatures: the further signatures.
        candidates: the inputs that describe a candidate in the signature "candidates"; empty without it.
        examples: how many examples are kept beside the model.
        compared: how many scores of the SavedModel were compared with the model's: of the first
            256 examples, of fewer where they are over 16 MB, or of random inputs where there are no
            examples; 0 if none could be made up.
        folded: for each BatchNormalization or Dice that was folded, its name and what it was folded into.
        not_folded: for each other BatchNormalization or Dice, its name and why it was not folded.
        statistics: whether the moving statistics fit the examples, which is also kept beside the model in
            `assets.extra/statistics.json`; None without examples.
        unknown_ids: what happens with an id that its embedding table does not have, as it was asked for.
        moves: how far scores move because tables are stored in fewer bytes; None where they are stored in
            float32.

    Example:

        report = export_saved_model(model, "exports/ranker", examples={"x": x[:512]})
        print(report.path, report.statistics, report.not_folded)
    """

    path: Path
    version: int
    inputs: dict[str, tf.TensorSpec]
    outputs: dict[str, tf.TensorSpec]
    signatures: tuple[str, ...]
    candidates: tuple[str, ...]
    examples: int
    compared: int
    folded: tuple[tuple[str, str], ...]
    not_folded: tuple[tuple[str, str], ...]
    statistics: StatisticsFit | None
    unknown_ids: UnknownIds
    moves: Moves | None


def export_saved_model(
    model: keras.Model,
    directory: str | os.PathLike[str],
    *,
    version: int | None = None,
    examples: Mapping[str, Any] | list[Any] | tuple[Any, ...] | None = None,
    fold: bool = True,
    signatures: Collection[str] = (),
    candidates: Collection[str] | None = None,
    feature_spec: Mapping[str, Feature] | None = None,
    warmup_batch_sizes: Sequence[int] = (),
    history_length: HistoryLength = None,
    unknown_ids: UnknownIds = ERROR,
    embeddings: str = FLOAT32,
    allow_untrained_statistics: bool = False,
    allow_misfit_statistics: bool = False,
    batch_invariance: str = bitwise.TOLERANCE,
) -> ExportReport:
    """Write a Keras model, in inference mode, as a version that TensorFlow Serving runs as it is.

    The signature `serving_default` takes the model's inputs by their Keras names, with a free batch
    dimension, and gives `score`, or the outputs by their names if there are several. The graph consists of
    TensorFlow's own ops, has no function that is marked for XLA, and assigns to no variable. The version is
    written beside its place and renamed into it: a server that watches the folder sees all of it or
    nothing.

    Args:
        model: a built Keras model: functional, sequential or subclassed.
        directory: the folder of versions; made if it is not there.
        version: the number of the version, a positive int; None for the next free one. A version is never
            overwritten.
        examples: input name -> array, the first axis being the example; or dicts of dicts or lists of
            arrays, as the model takes them. They are kept in `assets.extra/examples.npz`, so that the
            export can be verified on its own. For a subclassed model they also tell the names and dtypes of
            the inputs, which Keras doesn't keep: without them the inputs have the model's floating dtype.
            The moving statistics are compared with them. Few examples, or examples from other days than the
            training's, decide less, and what they can't decide is not refused. None to keep none.
        fold: merge BatchNormalization into the Dense or Conv before it, or into those after it, and a
            Whitening into the Dense after it. Moving statistics that remain, such as Dice's, become one
            multiply and add. Where a mean is so far from zero that this would cost digits, it is subtracted
            first. This is done in float64 on copies of the weights, and left undone where it would move a
            score.
        signatures: further signatures. "tf_example" (input `examples`, outputs as `serving_default`),
            "classify" (`classes` and `scores`) and "regress" (`outputs`) take serialized tf.Example
            records, the last two for TensorFlow Serving's Classify and Regress. "candidates" takes each
            user once and many candidates of each: the inputs of candidates are `[users, candidates, ...]`,
            the others `[users, ...]`, and the outputs `[users, candidates, ...]`. What depends on no
            candidate, such as a history's embedding and the interests in it, is computed once for each
            user. Scores equal those of `serving_default` within rounding, and to the bit where
            `batch_invariance` is "bitwise".
        candidates: the inputs that describe a candidate; None for the target of the schema that the model
            was made from.
        feature_spec: input name -> feature of `tf.io`, which says how records hold the inputs; None to
            derive it from their dtypes and shapes. An input with a free axis is a sequence, padded with 0
            or "" to the longest of the batch.
        warmup_batch_sizes: sizes of the warm-up requests, which TensorFlow Serving replays before it takes
            traffic. They are made of the examples; give the sizes that its batching may form.
        history_length: the length of the lists in a request, such as histories, so that a server can batch
            requests; "schema" for the lengths of the model's schema; None to leave their axis free. In
            records, and wherever a server takes other lengths than the signature declares, the graph pads
            lists at the end with 0 or "", or cuts them to their newest elements (or as the schema says).
            Lists of a schema that are no histories, such as tags, are refused if examples have longer ones.
        unknown_ids: what happens with an id that its embedding table does not have. With "error",
            TensorFlow on a CPU refuses the whole batch. With "nan", all outputs of its own row are NaN,
            whatever lies between the input and the table and behind it; in the signature "candidates" those
            of the candidate, or of all candidates of the user. With a number, the id is looked up in that
            row of the table, such as one that was trained for it. Neither is published before it was tried
            on rows, so without examples the model must take random inputs.
        embeddings: how embedding tables are stored: "float32" as they are, "float16", or "int8" with a
            scale for each row. The export is refused where scores of the examples move by more than 0.001
            ("float16") or 0.02 ("int8"), relative to the largest or to 1, or more than 0.1% or 1% of their
            pairs change order.
        allow_untrained_statistics: export moving statistics that training has never updated.
        allow_misfit_statistics: export moving statistics that are not those of the examples.
        batch_invariance: "tolerance" leaves an example's score to move by rounding, a few bits, with
            the size of its batch; "bitwise" gives it the same bits in every batch, of whatever size
            and with whatever neighbours, and is refused where no two examples tell whether it does.

    Returns:
        What was written where.

    Raises:
        InputError: the place, the version or the examples can't be used; the model is no built
            Keras model, has weights that are NaN or infinite, moving statistics that were never
            updated or that do not fit the examples, changes variables, is random or runs Python
            when it scores, or calls a layer with training=True; or the disk is full. Nothing is
            left behind.

    Example:

        report = export_saved_model(model, "exports/ranker", examples={"x": x[:512]})
        with SavedModel(report.path) as saved:
            scores = saved.run({"x": x})["score"]
    """
    folder = check_place(directory, version)
    signatures = check_signatures(signatures, feature_spec, candidates)
    same_bits = bitwise.check_name(batch_invariance)
    warmup.check_warmup(warmup_batch_sizes, signatures, examples)
    arrays = None if examples is None else kept.as_arrays(examples, *places(model))
    called = with_lengths(interface(model, arrays), history_length)
    if arrays is not None:
        arrays = kept.fitted(arrays, called.inputs)
        if history_length is not None:
            arrays = kept.fitted(fitted_lists(called, arrays), called.declared)
    shown = candidate_inputs(called, candidates) if CANDIDATES in signatures else ()
    check_weights(model)
    found = structure(model)
    check_inference(found)
    tables = lookups(found, unknown_ids, embeddings)
    if unknown_ids == NAN:
        called = replace(called, unknown=tables.unknown)
    bad: dict[str, int] = {}
    with _tracing:
        plain = trace(called)
        if not allow_untrained_statistics:
            check_statistics(model, plain.function.variables)

        tried = _guessed(plain, called, found) if arrays is None else _scored(plain, arrays)
        if same_bits:
            bitwise.check_rows(tried)
        if tables.unknown is not None:
            asked = trace(asking(called, tables), Folding(tables.calls, {}, {}).applied)
            bad = outside(asked, tables, tried)
        fit = None
        if arrays is not None:
            fit = statistics.check_fit(
                called,
                arrays,
                allow_misfit=allow_misfit_statistics,
                allow_untrained=allow_untrained_statistics,
            )
        folding, moved = Folding(tables.calls, {}, {}), None
        traced = plain
        if tables.stores or (tables.calls and not fold):
            traced = trace(called, folding.applied)
        if tables.stores and tried is not None:
            stored = Tried(tried.features, traced.score(tried.features))
            moved, tried = moves(tried.scores, stored.scores, embeddings), stored
        if fold:
            folding, traced = fold_and_trace(called, found, tried, tables.calls)
        by_user = None
        if shown:
            doubling = bitwise.two_if_one if same_bits else None
            by_user = trace(of_candidates(called, shown, doubling), folding.applied)
        tolerance = SAVED_TOLERANCE
        if same_bits:
            traced = bitwise.stabilize(traced)
            by_user = by_user and bitwise.stabilize_doubled(by_user)
            tolerance = bitwise.tolerance(traced)

    functions = {DEFAULT_SIGNATURE: traced.function}
    declared = {DEFAULT_SIGNATURE: called.declared}
    if by_user is not None:
        functions[CANDIDATES] = by_user.function
        declared[CANDIDATES] = of_candidates(called, shown, None).declared
        traced.module.of_candidates_ = by_user.module
    records = [name for name in signatures if name in METHODS]
    if records:
        parse = parser(called.inputs, feature_spec)
        functions |= trace_signatures(records, traced, parse)
        if tried is not None:
            check_padding(traced, parse, tried)
        if tried is not None and CLASSIFY in signatures:
            check_probabilities(tried)

    def write(work: Path) -> None:
        tf.saved_model.save(traced.module, str(work), functions)
        proto.finish(work, traced.names, {name: METHODS[name][0] for name in records}, declared)
        if arrays is not None:
            examples_file(work).parent.mkdir()
            kept.write(examples_file(work), arrays)
        if fit is not None:
            statistics.write(statistics_file(work), fit)
        if arrays is not None and warmup_batch_sizes:
            warmup.write(warmup_file(work), warmup_batch_sizes, signatures, arrays, shown)
        if tables.unknown is not None or tables.stores:
            write_tables(tables_file(work), unknown_ids, embeddings, bad, moved)
        # Loaded as TensorFlow Serving does, but that there is no second copy of a large table.
        with SavedModel(work, held=large_in_place(traced.module.variables_)) as saved:
            if tried is not None:
                scores = saved.run(tried.features)
                _check_scores(scores, tried, tolerance)
                if same_bits:
                    bitwise.check_bits(saved, tried.features, scores)
                if bad:
                    check_bad_rows(saved, tried.features, scores, bad, unknown_ids)
                if shown:
                    check_candidates(saved, tried.features, shown, tolerance, bits=same_bits)
                if shown and bad:
                    check_bad_candidates(saved, tried.features, shown, bad, nan=unknown_ids == NAN)

    path = publish(folder, version, write)
    return ExportReport(
        path=path,
        version=int(path.name),
        inputs=called.declared,
        outputs=traced.outputs,
        signatures=signatures,
        candidates=shown,
        examples=0 if arrays is None else len(next(iter(arrays.values()))),
        compared=0 if tried is None else len(tried),
        folded=_by_name(folding.folded),
        not_folded=_by_name(folding.not_folded),
        statistics=fit,
        unknown_ids=unknown_ids,
        moves=moved,
    )


def _scored(plain: Traced, arrays: Arrays) -> Tried:
    """The first examples, and the model's scores of them."""
    row = sum(array[:1].nbytes for array in arrays.values())
    most = min(_COMPARED, max(_FEWEST_COMPARED, _COMPARED_BYTES // max(row, 1)))
    features = {name: array[:most] for name, array in arrays.items()}
    try:
        return Tried(features, plain.score(features))
    except tf.errors.OpError as error:
        raise InputError(f"the model can't score the examples: {one_line(error)}") from error


def _guessed(plain: Traced, called: Interface, found: Structure) -> Tried | None:
    """Random features and the model's scores of them, if it takes them."""
    features = random_features(called, found)
    if features is None:
        return None
    try:
        return Tried(features, plain.score(features))
    except tf.errors.OpError:
        return None


def _check_scores(scores: Arrays, tried: Tried, tolerance: float) -> None:
    """Raise InputError if what was written scores otherwise than the model."""
    moved = difference(scores, tried.scores, tolerance)
    if moved is not None:
        raise InputError(f"the SavedModel scores up to {moved:.2g} away from the model")


def _by_name(layers: Mapping[keras.layers.Layer, str]) -> tuple[tuple[str, str], ...]:
    return tuple((layer.name, said) for layer, said in layers.items())
