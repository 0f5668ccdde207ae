"""What a replay found, as plain data that knows none of its views."""

from __future__ import annotations

from dataclasses import dataclass

from tfnorm.parity.ranking import RankingResult
from tfnorm.replay.partial.worst import WorstCall
from tfnorm.reports.provenance import Provenance

EQUAL, DIFFERENT, UNKNOWN = "equal", "different", "could not tell"
QUANTILES = (0.5, 0.9, 0.99, 0.999)
"""Of the differences, that are told."""

BATCH, SERVER_BATCHING, PADDING = "batch", "server batching", "padding"
VERSION, TRANSFORMED, INPUTS, NOT_FOUND = "version", "transformed", "inputs", "not found"


@dataclass(frozen=True)
class Cause:
    """Why logged scores differ from the model's.

    Attributes:
        kind: "batch" (production scored rows in other batches than it logged), "server batching" (the same,
            together with other requests), "padding", "version" (another one answered), "transformed" (what
            is logged is a function of the score, or another output), "inputs" (others were scored than
            those logged) or "not found".
        said: what was found, in a sentence.
        certain: whether scoring in that way gives what was logged; else it is what is left.
        calls: how many of the calls that were looked at it explains; 0 where it was not tried on calls.
        of: how many were looked at.

    Example:

        >>> Cause("version", "version 3 gives what was logged", True, 24, 24).certain
        True
    """

    kind: str
    said: str
    certain: bool
    calls: int = 0
    of: int = 0


@dataclass(frozen=True)
class Dependence:
    """Whether the model's scores depend on the batch, by requests of the log.

    Attributes:
        move: how far a score moves at most where its request's rows are scored one at a time, or together
            with other requests.
        depends: whether that is more than rounding.
        calls: how many requests it was tried on; with 0 nothing is known.
    """

    move: float
    depends: bool
    calls: int


@dataclass(frozen=True)
class QualityResult:
    """How well scores rank the labels.

    Attributes:
        rows: that have a label.
        auc: None where the labels are all the same, or a score is NaN.
        auc_error: how far the exact AUC may be away.
        log_loss: None where a score is no probability.
    """

    rows: int
    auc: float | None
    auc_error: float | None
    log_loss: float | None


@dataclass(frozen=True)
class ModelResult:
    """What was logged, beside what one model gives.

    Attributes:
        target: which model it is, as it was given.
        signature: that scored; None for a Keras model.
        verdict: "equal", "different" or "could not tell".
        outputs: what was compared: the logged output, and the model's where that goes by another name.
        calls, rows: that were compared.
        calls_different, rows_different: by more than rounding.
        rows_changed: that differ at all.
        one_way: whether all but a few moved the same way, which no rounding does.
        max_abs_diff: the largest difference; inf where one is no number, or there is a problem.
        quantiles: share -> the difference that this share of the rows is not above, to 1% of it.
        worst: the calls that differ most.
        ranking: None where there is none.
        logged, new: how well the scores rank the labels; None without labels.
        problems: why calls differ that can't be compared -> how many.
        unfit: why calls can't be given to the model -> how many.
        notes: what had to be done to give it the calls -> how many.
        versions: version that the log has, or "" -> how many calls, and how many differ.
        dependence: whether its scores depend on the batch.
        causes: why they differ, the one that explains most first; empty where they don't.
        ruled_out: what does not explain it, a sentence each.
        points: some rows, logged and new.

    Example:

        result = tfnorm.replay("requests.tfrecord", "exports/ranker").model
        print(result.verdict, result.max_abs_diff, [cause.said for cause in result.causes])
    """

    target: str
    signature: str | None
    verdict: str
    outputs: list[str]
    calls: int
    rows: int
    calls_different: int
    rows_different: int
    rows_changed: int
    one_way: bool
    max_abs_diff: float
    quantiles: dict[float, float]
    worst: list[WorstCall]
    ranking: RankingResult | None
    logged: QualityResult | None
    new: QualityResult | None
    problems: dict[str, int]
    unfit: dict[str, int]
    notes: dict[str, int]
    versions: dict[str, list[int]]
    dependence: Dependence
    causes: list[Cause]
    ruled_out: list[str]
    points: list[list[float]]


@dataclass(frozen=True)
class ReplayResult:
    """Whether the answers in a log are a model's.

    Attributes:
        log: the path of the file.
        verdict: that on the model; "equal", "different" or "could not tell".
        calls_given: how many calls the log has.
        calls_drawn: how many of them were looked at.
        passed_over: why some of those have nothing to compare -> how many.
        batches_known: whether the log says which rows were scored together.
        model: the log beside the model.
        against: the log beside the other model; None where there is none.
        labels, atol, rtol, limit, seed: the arguments that were given.
        provenance: the versions of the packages, when it was made, how long it took, and what of; None where
            nobody kept it.
    """

    log: str
    verdict: str
    calls_given: int
    calls_drawn: int
    passed_over: dict[str, int]
    batches_known: bool
    model: ModelResult
    against: ModelResult | None
    labels: str | None
    atol: float
    rtol: float
    limit: int | None
    seed: int
    provenance: Provenance
