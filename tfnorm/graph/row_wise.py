"""Ops of which it is known what they do with the rows of a batch."""

from __future__ import annotations

import re

ELEMENTWISE = frozenset(
    """
    Abs Acos Acosh Add AddN AddV2 Angle Asin Asinh Atan Atan2 Atanh BesselI0 BesselI0e BesselI1
    BesselI1e BiasAdd BiasAddV1 Bitcast BitwiseAnd BitwiseOr BitwiseXor Bucketize Cast Ceil
    CheckNumerics CheckNumericsV2 ClipByValue Complex ComplexAbs Conj Cos Cosh Digamma Div DivNoNan
    Elu EnsureShape Equal Erf Erfc Erfinv Exp Expm1 FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars
    FakeQuantWithMinMaxVarsPerChannel Floor FloorDiv FloorMod Greater GreaterEqual Identity
    IdentityN Igamma Igammac Imag Inv Invert IsFinite IsInf IsNan LeakyRelu LeftShift Less LessEqual
    Lgamma Log Log1p LogicalAnd LogicalNot LogicalOr Maximum Minimum Mod Mul MulNoNan Ndtri Neg
    NextAfter NotEqual OnesLike PlaceholderWithDefault Polygamma Pow PreventGradient Real RealDiv
    Reciprocal Relu Relu6 RightShift Rint Round Rsqrt Select SelectV2 Selu Sigmoid Sign Sin Sinh
    Snapshot Softplus Softsign Sqrt Square SquaredDifference StopGradient Sub Tan Tanh TruncateDiv
    TruncateMod Xdivy Xlog1py Xlogy ZerosLike Zeta AsString DecodeBase64 EncodeBase64
    RegexFullMatch RegexReplace StaticRegexFullMatch StaticRegexReplace StringJoin StringLength
    StringLower StringStrip StringToHashBucket StringToHashBucketFast StringToHashBucketStrong
    StringToNumber StringUpper Substr UnicodeTranscode DecodeRaw DecodePaddedRaw LookupTableFind
    LookupTableFindV2
    """.split()  # noqa: SIM905
)
"""Each element of what they give comes from the elements at the same place."""

REARRANGING = frozenset(
    """
    BatchToSpaceND BroadcastTo Concat ConcatV2 DepthToSpace ExpandDims ExtractImagePatches Fill
    Gather GatherNd GatherV2 MatrixBandPart MatrixDiag MatrixDiagPart MatrixDiagPartV2
    MatrixDiagPartV3 MatrixDiagV2 MatrixDiagV3 MatrixSetDiag MatrixSetDiagV3 OneHot Pack Pad PadV2
    MirrorPad Reshape ResourceGather ResourceGatherNd ReverseSequence ReverseV2 Roll Slice
    SpaceToBatchND SpaceToDepth Split SplitV Squeeze StridedSlice Tile Transpose Unpack
    """.split()  # noqa: SIM905
)
"""They give what they are given, elsewhere; the axes tell whether rows stay apart."""

_WITHIN_ROWS = re.compile(
    r"^(Conv|DepthwiseConv|AvgPool|MaxPool|LRN|Resize|BatchMatMul|_?Fused|Quantize|Dequantize"
    r"|TensorList|CropAndResize|Cholesky|Eig|Lu|Qr|SelfAdjointEig|Svd|FFT|IFFT|RFFT|(Log)?Matrix("
    r"Determinant|Exponential|Inverse|Logarithm|Solve|SquareRoot|Triangular)"
    r"|CudnnRNN|BlockLSTM|GRUBlockCell|LSTMBlockCell|DecodeJpeg|AdjustContrast|RGBToHSV|HSVToRGB)"
    r"|^(Enter|Exit|Merge|Switch|NextIteration|LoopCond|NoOp|Assert)$"
    r"|^(If|StatelessIf|Case|StatelessCase|While|StatelessWhile)$"
)


def keeps_to_rows(op_type: str) -> bool:
    """Whether an op is known to compute within rows, whatever its axes."""
    return op_type in ELEMENTWISE or bool(_WITHIN_ROWS.search(op_type))
