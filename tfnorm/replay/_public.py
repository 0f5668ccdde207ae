"""The public names of `tfnorm.replay`, with all that they need."""

from tfnorm.replay.comparison.bounds import Bounds
from tfnorm.replay.partial.partial import Partial
from tfnorm.replay.report.report import ReplayReport
from tfnorm.replay.results import Cause, ModelResult
from tfnorm.replay.run import replay

__all__ = ["Bounds", "Cause", "ModelResult", "Partial", "ReplayReport", "replay"]
