"""What is wrong or risky in a SavedModel, told without running it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from tfnorm.assets import examples_file, statistics_file
from tfnorm.errors import InputError
from tfnorm.examples.load import Examples, load
from tfnorm.graph.inline import BrokenGraph
from tfnorm.graph.ops import NORMALIZATIONS, ROOTS
from tfnorm.reports.provenance import Stopwatch
from tfnorm.scorers.load import load_scorer
from tfnorm.scorers.scorer import Scorer
from tfnorm.session import DEFAULT_SIGNATURE, find_saved_model
from tfnorm.verify.inspection.findings import SEVERITIES, Finding, Findings
from tfnorm.verify.inspection.model_checks import (
    check_batch_dimensions,
    check_compiled,
    check_variables,
    facts,
)
from tfnorm.verify.inspection.op_checks import check_ops
from tfnorm.verify.inspection.opened import open_graph
from tfnorm.verify.inspection.statistics import (
    WITHOUT,
    Rows,
    check_statistics,
    not_looked_at,
    rows_of,
)
from tfnorm.verify.inspection.text import to_text
from tfnorm.verify.inspection.variables import Variables


class Inspection(Findings):
    """What `inspect_saved_model` found; as a string, it is the text that `tfnorm inspect` prints.

    Example:

        inspection = tfnorm.inspect_saved_model("exports/ranker")
        print(inspection)
        assert not [finding for finding in inspection.findings if finding.severity == "error"]
    """

    def __str__(self) -> str:
        return to_text(self)


def inspect_saved_model(
    directory: str | Path,
    *,
    signature: str = DEFAULT_SIGNATURE,
    examples: Examples | None = None,
    allow_misfit_statistics: bool = False,
) -> Inspection:
    """Find out what is wrong or risky in a SavedModel, without running it.

    Looked for: ops that reach across the batch axis (reductions, sorts, scans, softmaxes, counts,
    matrix products, shifts, segments, rows picked by their place), normalization in training mode,
    moving statistics never updated, NaN and negative variances, random ops, assignments, functions
    compiled by XLA, ops that TensorFlow Serving doesn't have, and inputs and outputs whose first axis
    is not the batch. Constants are folded, and branches that no call takes are left out. An op whose rows
    can't be followed is a warning.

    Where there are examples, the moving statistics are compared with them, as `verify_statistics` does.

    Args:
        directory: the folder of the SavedModel, or the folder of its versions (the newest is taken); or a
            `.keras` file, which is inspected as it would be exported.
        signature: the signature to look into.
        examples: arrays by input name, or a file of them; None for those that an export keeps, or else the
            comparison that it keeps.
        allow_misfit_statistics: let a model pass whose moving statistics are not those of the examples.

    Raises:
        InputError: there is no SavedModel, it is damaged, it has no such signature, or the examples
            can't be used.

    Example:

        >>> inspection = inspect_saved_model("exports/ranker")  # doctest: +SKIP
        >>> [finding.op for finding in inspection.findings]     # doctest: +SKIP
        ['functional_1/dice_1/Mean', None]
    """
    watch, allow = Stopwatch(), allow_misfit_statistics
    if Path(directory).suffix == ".keras":
        if signature != DEFAULT_SIGNATURE:
            raise InputError(
                f"signature {signature!r} was given, but a .keras file has no signatures"
            )
        with closing(load_scorer(directory)) as scorer:
            if scorer.inputs is None and examples is not None:
                # A model that does not say what it takes has a graph once it has scored.
                scorer.score({k: a[:2] for k, a in load(examples, scorer, limit=2).rows.items()})
            with scorer.as_saved_model() as saved:
                assert saved is not None, "a Keras model can be written as one"
                found = _findings(saved.path, signature, saved.held)
            if found.normalizes or examples is not None:
                found.add_statistics(scorer, examples, allow)
        return found.inspection(Path(directory), signature, watch)
    path = find_saved_model(directory)
    found = _findings(path, signature)
    if examples is not None or examples_file(path).exists() or statistics_file(path).exists():
        try:
            scorer = load_scorer(path, signature=signature)
        except InputError as error:
            found.add([not_looked_at(str(error))])
        else:
            with closing(scorer):
                found.add_statistics(scorer, examples, allow)
    elif found.normalizes:
        found.add([not_looked_at(WITHOUT)])
    return found.inspection(path, signature, watch)


class _Found:
    """The findings so far, and whether anything in the graph may be a normalization."""

    def __init__(self, findings: Iterable[Finding], *, normalizes: bool):
        self.normalizes = normalizes
        self._findings = list(findings)
        self._rows: Rows | None = None

    def add(self, findings: Iterable[Finding]) -> None:
        self._findings += findings

    def add_statistics(self, scorer: Scorer, examples: Examples | None, allow: bool) -> None:
        own = examples is None
        self._rows, without = rows_of(scorer, examples)
        self.add(check_statistics(scorer, self._rows, without, own=own, allow_misfit=allow))

    def inspection(self, directory: Path, signature: str, watch: Stopwatch) -> Inspection:
        unique = dict.fromkeys(self._findings)
        worst_first = sorted(unique, key=lambda f: SEVERITIES.index(f.severity))
        made = watch.provenance({"model": directory}, self._rows)
        return Inspection(directory, signature, tuple(worst_first), made)


def _findings(path: Path, signature: str, held: Sequence[np.ndarray] = ()) -> _Found:
    """What is seen without examples; `held` is what is in memory of the variables."""
    meta_graph = _read(path)
    if signature not in meta_graph.signature_def:
        names = ", ".join(map(repr, meta_graph.signature_def)) or "none"
        raise InputError(f"{path} has no signature {signature!r}; it has {names}")
    variables = Variables(path, held)
    try:
        opened = open_graph(meta_graph, signature, variables.scalar)
    except BrokenGraph as error:
        raise InputError(f"{path}/saved_model.pb is damaged: {error}") from error
    findings = itertools.chain(
        check_ops(opened),
        check_compiled(meta_graph, opened),
        check_variables(variables),
        check_batch_dimensions(opened),
        facts(meta_graph, signature, opened, variables, path),
    )
    ops = {node.op for node in opened.graph.nodes.values()}
    return _Found(findings, normalizes=not ops.isdisjoint(NORMALIZATIONS | ROOTS))


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
