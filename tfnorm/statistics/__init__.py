"""Moving statistics that can be trusted: computed exactly, and compared with the data."""

from tfnorm.statistics.callback import StatisticsCallback
from tfnorm.statistics.recalibrate import recalibrate_statistics
from tfnorm.statistics.report.results import LayerStatistics, StatisticsReport, statistics_report

__all__ = [
    "LayerStatistics",
    "StatisticsCallback",
    "StatisticsReport",
    "recalibrate_statistics",
    "statistics_report",
]
