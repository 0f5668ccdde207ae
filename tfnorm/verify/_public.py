"""The public names of `tfnorm.verify`, with all that they need."""

from tfnorm.scorers.load import load_scorer
from tfnorm.scorers.scorer import Scorer
from tfnorm.scorers.servers.connection import Connection
from tfnorm.verify.assertion import assert_batch_invariant
from tfnorm.verify.culprit.investigation import find_culprit
from tfnorm.verify.inspection.findings import Finding
from tfnorm.verify.inspection.inspect import Inspection, inspect_saved_model
from tfnorm.verify.report.html import to_html
from tfnorm.verify.report.junit import to_junit
from tfnorm.verify.report.report import InvarianceReport, Undecided
from tfnorm.verify.results import Culprit
from tfnorm.verify.statistics.check import verify_statistics
from tfnorm.verify.statistics.report import FitReport
from tfnorm.verify.verification import verify_batch_invariance

batch_invariance = verify_batch_invariance

__all__ = [
    "Connection",
    "Culprit",
    "Finding",
    "FitReport",
    "Inspection",
    "InvarianceReport",
    "Scorer",
    "Undecided",
    "assert_batch_invariant",
    "batch_invariance",
    "find_culprit",
    "inspect_saved_model",
    "load_scorer",
    "to_html",
    "to_junit",
    "verify_batch_invariance",
    "verify_statistics",
]
