"""Verification: the same examples in many batch compositions, and how far their scores move."""

from tfnorm.verify.assertion import assert_batch_invariant
from tfnorm.verify.batch_invariance import batch_invariance
from tfnorm.verify.culprit import Culprit, find_culprit
from tfnorm.verify.inspection import Finding, Inspection, inspect_saved_model
from tfnorm.verify.remote import Connection
from tfnorm.verify.report import InvarianceReport
from tfnorm.verify.scorers import load_scorer

__all__ = [
    "Connection",
    "Culprit",
    "Finding",
    "Inspection",
    "InvarianceReport",
    "assert_batch_invariant",
    "batch_invariance",
    "find_culprit",
    "inspect_saved_model",
    "load_scorer",
]
