"""The mean and the deviation of a log's numbers."""

from __future__ import annotations

import numpy as np

from tfnorm.datasets.logs.log import Log
from tfnorm.schema import Number, Schema
from tfnorm.schema.features import Statistic


def standardize(log: Log) -> Schema:
    """The log's schema with the statistics that its numbers are standardized by.

    One pass over the log, in float64. The numbers of a history are those of its steps that are kept.

    Args:
        log: the training log.

    Returns:
        The schema with a mean and a deviation for each number of scale `standard` that has none.

    Raises:
        InputError: a file is damaged, or a row isn't as the schema says.

    Example:

        >>> schema = Schema([tfnorm.schema.Id("item", size=9),
        ...                  Number("price", scale="standard")], target=["item"])
        >>> log = arrays({"item": np.array([1, 2]), "price": np.array([1.0, 3.0]),
        ...               "label": np.array([1, 0])}, schema)
        >>> standardize(log)["price"].deviation
        1.0
    """
    schema = log.schema
    wanted = [number for number in schema.all_numbers if not number.is_fitted]
    if not wanted:
        return schema
    columns = schema.columns

    def of_lane(_: int, lane: Log) -> dict[str, _Moments]:
        moments = {number.name: _Moments() for number in wanted}
        for part in lane.parts():
            for name, found in moments.items():
                values, partner = part.features[name], columns[name].partner
                if partner is not None:
                    values = values[part.features[partner] != columns[partner].padding]
                found.add(values.astype(np.float64))
        return moments

    moments, *others = log.of_lanes(of_lane)
    for other in others:
        for name, found in moments.items():
            found.merge(other[name])
    return schema.with_statistics({n.name: moments[n.name].result(n) for n in wanted})


class _Moments:
    """Count, mean and M2 of what was added."""

    def __init__(self) -> None:
        self._count = 0
        self._mean: np.ndarray = np.zeros(())
        self._m2: np.ndarray = np.zeros(())

    def add(self, values: np.ndarray) -> None:
        if len(values):
            mean = values.mean(axis=0)
            self._merge(len(values), mean, np.square(values - mean).sum(axis=0))

    def merge(self, other: _Moments) -> None:
        if other._count:
            self._merge(other._count, other._mean, other._m2)

    def _merge(self, count: int, mean: np.ndarray, m2: np.ndarray) -> None:
        total = self._count + count
        apart = mean - self._mean
        self._m2 = self._m2 + m2 + np.square(apart) * self._count * count / total
        self._mean = self._mean + apart * count / total
        self._count = total

    def result(self, number: Number) -> tuple[Statistic, Statistic]:
        deviation = np.sqrt(self._m2 / max(1, self._count))
        if number.length is None:
            return float(self._mean), float(deviation)
        return (
            np.broadcast_to(self._mean, number.length).tolist(),
            np.broadcast_to(deviation, number.length).tolist(),
        )
