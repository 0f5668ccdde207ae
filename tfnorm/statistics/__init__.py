"""Moving statistics that can be trusted: computed exactly, and compared with the data."""

from tfnorm.statistics.callback import StatisticsCallback
from tfnorm.statistics.compare import statistics_report
from tfnorm.statistics.recalibrate import recalibrate_statistics
from tfnorm.statistics.report.report import StatisticsReport
from tfnorm.statistics.report.results import LayerStatistics

__all__ = [
    "LayerStatistics",
    "StatisticsCallback",
    "StatisticsReport",
    "recalibrate_statistics",
    "statistics_report",
]
