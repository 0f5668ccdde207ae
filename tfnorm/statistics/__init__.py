"""Moving statistics that can be trusted: computed exactly, and compared with the data."""

from tfnorm.statistics.callback import StatisticsCallback
from tfnorm.statistics.compare import statistics_report
from tfnorm.statistics.observation.observe import Observer
from tfnorm.statistics.observation.partial import Partial
from tfnorm.statistics.recalibrate import recalibrate_statistics
from tfnorm.statistics.recalibrator import Recalibrator
from tfnorm.statistics.report.report import StatisticsReport
from tfnorm.statistics.report.results import LayerStatistics

__all__ = [
    "LayerStatistics",
    "Observer",
    "Partial",
    "Recalibrator",
    "StatisticsCallback",
    "StatisticsReport",
    "recalibrate_statistics",
    "statistics_report",
]
