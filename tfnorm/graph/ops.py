"""What an op does to a batch, in words, and what to do instead."""

from __future__ import annotations

import re

from tfnorm._tensorflow import op_definition
from tfnorm.graph.control_flow import LOOPS

REDUCTIONS = frozenset(
    ("Mean", "Sum", "Max", "Min", "Prod", "All", "Any", "EuclideanNorm", "ArgMax", "ArgMin")
)
SOFTMAXES = frozenset(("Softmax", "LogSoftmax"))
SCANS = frozenset(("Cumsum", "Cumprod", "CumulativeLogsumexp"))
SORTS = frozenset(("TopK", "TopKV2", "NthElement"))
COUNTS = frozenset(
    (
        "Unique",
        "UniqueV2",
        "UniqueWithCounts",
        "UniqueWithCountsV2",
        "Bincount",
        "DenseBincount",
        "RaggedBincount",
        "HistogramFixedWidth",
    )
)
PRODUCTS = frozenset(
    ("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum", "_FusedMatMul")
)
MOVES = frozenset(("ReverseV2", "Roll", "RandomShuffle", "ReverseSequence"))
NORMALIZATIONS = frozenset(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"))
ROOTS = frozenset(("Rsqrt", "Sqrt", "Pow"))
SIZED_BY_VALUES = frozenset(
    (
        "DynamicPartition",
        "ListDiff",
        "NonMaxSuppressionV3",
        "NonMaxSuppressionV4",
        "NonMaxSuppressionV5",
        "ParseExample",
        "ParseExampleV2",
        "ParseSequenceExample",
        "ParseSequenceExampleV2",
        "RaggedGather",
        "RaggedRange",
        "RaggedTensorToTensor",
        "SparseFillEmptyRows",
        "SparseSlice",
        "StringSplit",
        "StringSplitV2",
        "UnicodeDecode",
        "UnicodeDecodeWithOffsets",
        "Where",
        *COUNTS,
    )
)
"""Ops that may give other shapes for other values."""
SHAPES = frozenset(("Shape", "ShapeN", "Size", "Rank"))
CLOCKS = frozenset(("Timestamp",))
STATE_READS = frozenset(("ReadVariableOp", "ResourceGather", "ResourceGatherNd"))

# What a call leaves changed: variables, tables, generators, and what is handed from call to call.
_ASSIGNMENT = re.compile(
    r"^Assign"
    r"|^(Resource)?(Sparse)?Apply"
    r"|^(Resource)?Scatter(Nd)?(Add|Div|Max|Min|Mul|Sub|Update)$"
    r"|^(Resource)?(StridedSliceAssign|CountUpTo)$"
    r"|^LookupTable(Import|Insert|Remove)"
    r"|^Rng(ReadAnd)?Skip$|^Stateful(Random|Standard|Truncated|Uniform)"
    r"|^Queue(Close|Dequeue|Enqueue)|^Barrier(Close|Insert|Take)|^Reader(Read|Reset|Restore)"
    r"|^(Make|Deserialize)Iterator$|^(MultiDevice)?Iterator(GetNext|Init)"
    r"|Accumulator(ApplyGradient|SetGlobalStep|TakeGradient)$"
    r"|^BoostedTrees(CenterBias|Create|Deserialize|Flush|Update)"
    r"|^BoostedTreesQuantileStreamResource(Add|Deserialize|Flush)"
    r"|^(NegTrain|SdcaShrinkL1|TPUReshardVariables)$"
)
_RANDOM = re.compile(
    r"Random(?!Get|Dataset|GammaGrad|SeedGenerator)|Multinomial|TruncatedNormal"
    r"|^Stateful(Standard|Uniform)|Rng(?!Skip|Read)|CandidateSampler$|^(Stateless)?SampleDistorted"
    r"|^Fractional(Avg|Max)Pool$|^StochasticCast|^StatelessShuffle$"
)

_ADVICE = (
    (
        REDUCTIONS,
        "It is a statistic of the batch. Normalize with moving statistics (training=False, "
        "tfnorm.BatchNormalization, tfnorm.Dice), or reduce over an axis of each example.",
    ),
    (
        NORMALIZATIONS,
        "Normalization runs in training mode. Export the model with training=False, so that it "
        "uses its moving statistics.",
    ),
    (
        SOFTMAXES,
        "The probabilities compete across examples. Take the softmax over an axis of each "
        "example (axis=-1).",
    ),
    (SCANS, "It sums up over the examples before or after. Scan along an axis of each example."),
    (
        SORTS,
        "It ranks the examples of the batch among each other. Rank within each example, or rank "
        "the scores where the whole list is known.",
    ),
    (
        COUNTS,
        "What it counts is this batch. Count on the training data and look the count up.",
    ),
    (
        PRODUCTS,
        "It multiplies examples with each other. Keep the batch axis out of the contraction: a "
        "batched product has one matrix an example.",
    ),
    (MOVES, "It moves examples to other places in the batch. Move along an axis of each example."),
    (
        LOOPS,
        "The loop carries state from one example to the next, or stops when the whole batch "
        "is done. Compute each example by itself.",
    ),
    (
        CLOCKS,
        "It is another time at every call. Give the time as an input, so that an example's score "
        "can be computed again.",
    ),
    (
        STATE_READS,
        "It reads state that a call changes. A served model keeps none: export without it.",
    ),
)


def is_random(op_type: str) -> bool:
    """Whether an op draws random numbers."""
    return bool(_RANDOM.search(op_type))


def is_assignment(op_type: str) -> bool:
    """Whether an op changes a variable, a table or other state that the next call finds."""
    return bool(_ASSIGNMENT.search(op_type))


def is_stateful(op_type: str) -> bool:
    """Whether an op has state or effects, by its definition; an unknown op has none."""
    definition = op_definition(op_type)
    return definition is not None and definition.is_stateful


def advice(op_type: str) -> str:
    """What to do about an op that makes a row depend on the batch."""
    if is_random(op_type):
        return (
            "It draws at every call. Export the model with training=False, so that dropout is off."
        )
    if is_assignment(op_type):
        return "A call changes the model's state. A served model keeps none: export without it."
    for ops, text in _ADVICE:
        if op_type in ops:
            return text
    return "It combines examples of a batch. Compute each example's score from that example alone."
