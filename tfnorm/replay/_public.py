"""The public names of `tfnorm.replay`, with all that they need."""

from tfnorm.replay.comparison.bounds import Bounds
from tfnorm.replay.partial.partial import Partial
from tfnorm.replay.parts import Basis, Part
from tfnorm.replay.replayer import Replayer
from tfnorm.replay.report.report import ReplayReport
from tfnorm.replay.results import Cause, ModelResult
from tfnorm.replay.run import replay

__all__ = [
    "Basis",
    "Bounds",
    "Cause",
    "ModelResult",
    "Part",
    "Partial",
    "ReplayReport",
    "Replayer",
    "replay",
]
