"""Recalibration, reports on statistics and replay on many machines, by Ray."""

from tfnorm.cluster.replay import Replayed, replay
from tfnorm.cluster.statistics import Recalibrated, Reported, recalibrate, statistics_report

__all__ = ["Recalibrated", "Replayed", "Reported", "recalibrate", "replay", "statistics_report"]
