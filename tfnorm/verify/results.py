"""What verification found, as plain data that knows none of its views."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tfnorm.parity.ranking import RankingResult
from tfnorm.reports.provenance import Provenance
from tfnorm.statistics.judgement import OFF
from tfnorm.statistics.results import StatisticsFit

SAME, ROUNDING, DEPENDENCE, DIFFERENCE = "same", "rounding", "dependence", "difference"


@dataclass(frozen=True)
class Move:
    """How far one output moved in one composition.

    Attributes:
        max_abs_diff: the largest |difference|; inf where a value became NaN, infinite or another
            string, or where there is a problem.
        max_ulp: the largest difference in units in the last place of the output's dtype; None where some
            difference is not that of two finite floating-point numbers.
        rows_changed: how many examples have any value that differs at all.
        verdict: "same" (to the last digit), "rounding" or "dependence".
        passed: whether it is no dependence; with `bitwise`, whether it is the same.
        problem: why its rows can't be compared with the examples'; None where they can.
    """

    max_abs_diff: float
    max_ulp: int | None
    rows_changed: int
    verdict: str
    passed: bool
    problem: str | None = None


@dataclass(frozen=True)
class CompositionResult:
    """One way of putting the examples in batches, and how far the outputs moved in it.

    Attributes:
        name: what the batches are made of.
        kind: what it tries: "size", "order", "position", "neighbours", "padding rows", "padding",
            "repeat", "concurrent" or "parity".
        batch_size: how many rows each batch has, or the largest where they differ.
        against: what it was compared with: the name of another composition, or "one at a time".
        max_abs_diff: the largest move of its outputs; max_ulp likewise.
        rows_changed: how many examples have any output that differs at all.
        verdict: the worst verdict of its outputs; for "parity" it is "difference" in the place of
            "dependence".
        passed: whether each output passed.
        outputs: output name -> how far that one moved.
        seconds: how long scoring it took.
    """

    name: str
    kind: str
    batch_size: int
    against: str
    max_abs_diff: float
    max_ulp: int | None
    rows_changed: int
    verdict: str
    passed: bool
    outputs: dict[str, Move]
    seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class OutputResult:
    """One output over all compositions.

    Attributes:
        dtype: the output's dtype.
        max_abs_diff: its largest move in any composition; max_ulp likewise.
        passed: whether it passed in every composition.
    """

    dtype: str
    max_abs_diff: float
    max_ulp: int | None
    passed: bool


@dataclass(frozen=True)
class Stake:
    """What the moves mean for a ranking by one output.

    Attributes:
        output: the output's name.
        composition: the composition in which most pairs of examples change order; None where only rounding
            changes any.
        batch_size: the batch size of that composition.
        pairs_changed: the share of pairs that change order there, from 0 to 1.
        auc: batch size -> AUC of the examples scored in batches of that size; empty without labels.
    """

    output: str
    composition: str | None
    batch_size: int | None
    pairs_changed: float
    auc: dict[int, float]


PARITY_QUANTILES = (0.5, 0.9, 0.99, 0.999)
"""Of the differences from another model, that are told."""


@dataclass(frozen=True)
class ParityOutput:
    """How far an output is from another model's, the examples one at a time.

    Attributes:
        other: the other model's output.
        rows_different: the examples of which a value differs by more than rounding.
        max_abs_diff: the largest |difference|; inf where a value is no number, or they can't be compared.
        quantiles: share -> the difference that this share of the examples is not above; empty where the two
            can't be compared.
        ranking: what it means for rankings; None where the output has not one number for each example.
        auc: of the model's scores; None without labels, or where they are all the same.
        auc_other: of the other's.
    """

    other: str
    rows_different: int
    max_abs_diff: float
    quantiles: dict[float, float]
    ranking: RankingResult | None
    auc: float | None
    auc_other: float | None


@dataclass(frozen=True)
class Parity:
    """How far a model's scores are from another's.

    Attributes:
        against: the other model.
        outputs: output name -> how far it is from the other model's.
        lacking: the outputs that are compared with none.
        unasked: the other model's outputs that none is compared with.
        per_request: whether each logged request is one ranking; else all examples are.
    """

    against: str
    outputs: dict[str, ParityOutput]
    lacking: list[str]
    unasked: list[str]
    per_request: bool


@dataclass(frozen=True)
class Culprit:
    """The op to blame.

    Args:
        op: its name, without the function calls around it.
        op_type: what it is, such as `Mean`.
        layer: the Keras layer around it, or else the name scope; None where it stands in none.
        source: `file:line` that made it, where the SavedModel was saved with debug info; else None.
        explanation: what it does to the batch, in a few words.
        advice: what to do instead.

    Example:

        >>> model = keras.Sequential([keras.Input((1,), name="x"), keras.layers.Softmax(axis=0)])
        >>> report = tfnorm.verify_batch_invariance(model, {"x": np.arange(4.0)[:, None]})
        >>> report.culprit.op_type
        'Softmax'
    """

    op: str
    op_type: str
    layer: str | None
    source: str | None
    explanation: str
    advice: str


@dataclass(frozen=True)
class InvarianceResult:
    """Whether an example's scores depend on the batch in which it arrives.

    Attributes:
        target: what was verified.
        signature: its signature; None for a Keras model, which has none.
        examples: how many were scored.
        examples_given: how many there were to choose from.
        precision: the coarsest floating-point type that the model computes in; None if unknown.
        passed: whether the examples scored the same, but for rounding, in every composition, and the
            statistics that the model normalizes with are not off; None where too little could be scored to
            tell.
        max_abs_diff: the largest |difference| of any output in any composition; inf where a value
            became NaN, infinite or another string, or where an output has lost its batch dimension.
        max_ulp: the same in units in the last place; None where such units say nothing.
        outputs: output name -> its dtype, and its worst over all compositions.
        compositions: each way of putting the examples in batches, in the order in which they ran.
        left_out: composition -> why it was not run.
        stake: what the moves mean for a ranking; None where nothing but rounding moves and there are no
            labels, or no output ranks.
        culprit: what makes the scores depend on the batch; None where they don't, or it isn't known.
        culprit_unknown: why it isn't known; None where it is, or where there is none.
        atol, rtol, bitwise, seed: the arguments that were given.
        budget: the seconds that scoring might take; inf for any.
        fed: input name -> its value in every batch, by `feed` or by default, as JSON.
        untold: output name -> why these examples tell nothing, or only a part, of it.
        statistics: whether the statistics that the model normalizes with fit the examples; None where
            that isn't known.
        statistics_unknown: why it isn't known, of all of them or of some; None where it is.
        allow_misfit_statistics: whether it passes with statistics that are off.
        parity: how far the scores are from another model's; None where they were compared with none.
        provenance: the versions of the packages, when the report was made, how long it took, and the
            fingerprints of what it is about; None where that was not kept. It does not count when reports
            are compared.
    """

    target: str
    signature: str | None
    examples: int
    examples_given: int
    precision: str | None
    passed: bool | None
    max_abs_diff: float
    max_ulp: int | None
    outputs: dict[str, OutputResult]
    compositions: list[CompositionResult]
    left_out: dict[str, str]
    stake: Stake | None
    culprit: Culprit | None
    culprit_unknown: str | None
    atol: float
    rtol: float
    bitwise: bool
    seed: int
    budget: float
    fed: dict[str, str]
    untold: dict[str, str] = field(default_factory=dict)
    statistics: StatisticsFit | None = None
    statistics_unknown: str | None = None
    allow_misfit_statistics: bool = False
    parity: Parity | None = None
    provenance: Provenance | None = field(default=None, compare=False)

    @property
    def invariant(self) -> bool:
        """Whether no score depends on the batch, as far as is known, whatever the statistics are."""
        return all(result.passed for result in self.compositions)

    @property
    def misfit(self) -> bool:
        """Whether the statistics are off, and that isn't allowed."""
        off = self.statistics is not None and self.statistics.verdict == OFF
        return off and not self.allow_misfit_statistics


def largest(ulps: Iterable[int | None]) -> int | None:
    """The largest, or None if any is None: then the largest says nothing."""
    most = 0
    for count in ulps:
        if count is None:
            return None
        most = max(most, count)
    return most
