"""What is wrong or risky in a SavedModel, told without running it."""

from __future__ import annotations

import itertools
from pathlib import Path

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from tfnorm.errors import InputError
from tfnorm.graph.inline import BrokenGraph
from tfnorm.session import DEFAULT_SIGNATURE, find_saved_model
from tfnorm.verify.inspection.findings import SEVERITIES, Findings
from tfnorm.verify.inspection.model_checks import (
    check_batch_dimensions,
    check_compiled,
    check_variables,
    facts,
)
from tfnorm.verify.inspection.op_checks import check_ops
from tfnorm.verify.inspection.opened import open_graph
from tfnorm.verify.inspection.text import to_text
from tfnorm.verify.inspection.variables import Variables


class Inspection(Findings):
    """What `inspect_saved_model` found; as a string, it is the text that `tfnorm inspect` prints."""

    def __str__(self) -> str:
        return to_text(self)


def inspect_saved_model(directory: str | Path, *, signature: str = DEFAULT_SIGNATURE) -> Inspection:
    """Look into a SavedModel for what makes scores wrong, without examples and without running it.

    Looked for: ops that reach across the batch axis (reductions, sorts, scans, softmaxes, counts,
    matrix products, shifts, segments, rows picked by their place), normalization in training mode,
    moving statistics never updated, NaN and negative variances, random ops, assignments, functions
    compiled by XLA, ops that TensorFlow Serving doesn't have, and inputs and outputs whose first axis
    is not the batch. Constants are folded, and branches that no call takes are left out. What an op
    does with rows that can't be followed is a warning.

    Args:
        directory: of the SavedModel, or the folder of its versions (the newest is taken).
        signature: the signature to look into.

    Raises:
        InputError: there is no SavedModel, it is damaged, or it has no such signature.

    Example:

        >>> inspection = inspect_saved_model("exports/ranker")  # doctest: +SKIP
        >>> [finding.op for finding in inspection.findings]     # doctest: +SKIP
        ['functional_1/dice_1/Mean', None]
    """
    path = find_saved_model(directory)
    meta_graph = _read(path)
    if signature not in meta_graph.signature_def:
        names = ", ".join(map(repr, meta_graph.signature_def)) or "none"
        raise InputError(f"{path} has no signature {signature!r}; it has {names}")
    variables = Variables(path)
    try:
        opened = open_graph(meta_graph, signature)
    except BrokenGraph as error:
        raise InputError(f"{path}/saved_model.pb is damaged: {error}") from error
    findings = itertools.chain(
        check_ops(opened),
        check_compiled(meta_graph, opened),
        check_variables(variables),
        check_batch_dimensions(opened),
        facts(meta_graph, signature, opened, variables, path),
    )
    unique = dict.fromkeys(findings)
    return Inspection(
        path, signature, tuple(sorted(unique, key=lambda f: SEVERITIES.index(f.severity)))
    )


def _read(path: Path) -> meta_graph_pb2.MetaGraphDef:
    file = path / "saved_model.pb"
    try:
        saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    except DecodeError as error:
        raise InputError(f"{file} is damaged: it can't be parsed ({error})") from error
    for meta_graph in saved.meta_graphs:
        if tf.saved_model.SERVING in meta_graph.meta_info_def.tags:
            return meta_graph
    tags = "; ".join(", ".join(m.meta_info_def.tags) or "no tag" for m in saved.meta_graphs)
    raise InputError(
        f"{file} has no graph tagged {tf.saved_model.SERVING!r}; it has {tags or 'no graph at all'}"
    )
