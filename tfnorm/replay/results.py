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
        certain: whether scoring in that way gives what was logged; if not, it is the cause that is left.
        calls: how many of the requests that were tried it explains; 0 where it was not tried on requests.
        of: how many requests were tried.

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
        signature: the signature that was scored; None for a Keras model.
        verdict: "equal", "different" or "could not tell".
        outputs: what was compared: the logged output, and the model's where it has another name.
        calls, rows: how many requests and rows were compared.
        calls_different, rows_different: how many differ by more than rounding.
        rows_changed: how many rows differ at all.
        one_way: whether nearly all scores are off the same way, which rounding does not do.
        max_abs_diff: the largest difference; inf where one is no number, or there is a problem.
        quantiles: share -> the difference that this share of the rows does not exceed, exact to 1%.
        worst: the requests that differ most.
        ranking: how far the order within requests differs; None where no request has one.
        logged, new: how well the logged and the new scores rank the labels; None without labels.
        problems: why requests count as different because they can't be compared -> how many.
        unfit: why requests can't be given to the model -> how many.
        notes: what had to be done to give requests to the model -> how many.
        versions: a version that the log names, or "" -> how many requests it answered, and how many of them
            differ.
        dependence: whether the model's scores depend on the batch.
        causes: why answers differ, the cause that explains most first; empty where they don't.
        ruled_out: what does not explain the differences, a sentence each.
        points: some rows, with the logged and the new score.

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
        verdict: the verdict for `model`: "equal", "different" or "could not tell".
        calls_given: how many requests the log has.
        calls_drawn: how many of them were looked at.
        passed_over: why requests have nothing to compare -> how many.
        batches_known: whether the log says which rows were scored together.
        model: how the log compares with the model.
        against: how the log compares with the other model; None where there is none.
        labels, atol, rtol, limit, seed: the arguments that were given.
        provenance: the versions of the packages, when the report was made, how long it took, and the
            fingerprints of what it is about; None where that was not kept.
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
