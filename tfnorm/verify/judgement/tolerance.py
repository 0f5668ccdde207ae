"""What is rounding, and what is not."""

from __future__ import annotations

from dataclasses import dataclass

ATOL, RTOL = 1e-6, 1e-5

UNKNOWN = "float16"
"""What a model is taken to compute in that does not tell: products of float32 on a GPU, too, are
rounded so (TensorFloat-32)."""


@dataclass(frozen=True)
class Tolerance:
    """What is rounding, and what is not.

    At other shapes a value may move by atol * max(1, scale) + rtol * |value|, where `scale` is the
    median magnitude, over the examples, of the number at that place of the output, so that a logit
    near 0 among logits near 1,000 may round as they do. Integers, booleans and strings may not move.

    Attributes:
        atol: the absolute tolerance for rounding; a wider one than the default widens all bounds in
            proportion, and a tighter one tightens how far scores may round at other shapes.
        rtol: the relative tolerance, which works in the same way.
        bitwise: allow no value to move, not even by rounding.
        precision: the coarsest type that the model may compute in; None for `UNKNOWN`.
    """

    atol: float = ATOL
    rtol: float = RTOL
    bitwise: bool = False
    precision: str | None = None

    @property
    def widened(self) -> float:
        """How much wider than the defaults, 1 or more."""
        return max(1.0, self.atol / ATOL, self.rtol / RTOL)

    @property
    def tightened(self) -> float:
        """How much tighter than the defaults, 1 or less."""
        return min(1.0, max(self.atol / ATOL, self.rtol / RTOL))
