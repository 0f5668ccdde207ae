"""A report as a verification of one output in one composition would give it."""

from tfnorm.verify import Culprit, InvarianceReport
from tfnorm.verify.results import CompositionResult, Move, OutputResult, Stake


def make_report(difference=0.25, ulp=7, ok=False, **changes):
    verdict = "rounding" if ok else "dependence"
    move = Move(difference, ulp, 3, verdict, ok)
    result = CompositionResult(
        "batches of 2",
        "size",
        2,
        "one at a time",
        difference,
        ulp,
        3,
        verdict,
        ok,
        {"score": move},
    )
    fields = {
        "target": "exports/ranker/3",
        "signature": "serving_default",
        "examples": 4,
        "examples_given": 4,
        "precision": "float32",
        "passed": ok,
        "max_abs_diff": difference,
        "max_ulp": ulp,
        "outputs": {"score": OutputResult("float32", difference, ulp, ok)},
        "compositions": [result],
        "left_out": {},
        "stake": Stake("score", "batches of 2", 2, 0.034, {1: 0.8183, 1024: 0.8221}),
        "culprit": Culprit("d/Mean", "Mean", "d", "model.py:3", "Mean over the batch", "Don't."),
        "culprit_unknown": None,
        "atol": 1e-6,
        "rtol": 1e-5,
        "bitwise": False,
        "seed": 0,
        "budget": 30.0,
        "fed": {},
    }
    return InvarianceReport(**{**fields, **changes})
