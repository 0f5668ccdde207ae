"""What a server counts, under TensorFlow Serving's names, on a page for Prometheus."""

from __future__ import annotations

import tensorflow as tf
from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest

PATH = "/monitoring/prometheus/metrics"
_PREFIX = ":tensorflow:serving:"
# Microseconds: from 10 to about 20 minutes.
_BUCKETS = [10 * 1.8**power for power in range(33)]
_CODES = {
    getattr(tf.errors, name): name
    for name in dir(tf.errors)
    if name.isupper() and isinstance(getattr(tf.errors, name), int)
}


class Metrics:
    """Counts of one server's requests and how long they took."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        # A Counter's name would end in _total, and TensorFlow Serving's does not.
        self._requests = Gauge(
            f"{_PREFIX}request_count",
            "The total number of requests.",
            ["model_name", "status"],
            registry=self._registry,
        )
        self._latency = Histogram(
            f"{_PREFIX}request_latency",
            "Wall time of a request, in microseconds.",
            ["model_name", "API", "entrypoint"],
            buckets=_BUCKETS,
            registry=self._registry,
        )

    def record(self, model: str, api: str, entrypoint: str, code: int, seconds: float) -> None:
        """Count a request that was answered.

        Args:
            model: whose; empty where it is not served, lest clients make up names.
            api: the method: Predict, Classify, Regress.
            entrypoint: GRPC or REST.
            code: of the answer.
            seconds: how long it took.
        """
        self._requests.labels(model, _CODES.get(code, "UNKNOWN")).inc()
        if code == tf.errors.OK:
            self._latency.labels(model, api, entrypoint).observe(seconds * 1e6)

    def page(self) -> bytes:
        """The page."""
        return generate_latest(self._registry)
