"""Which of a model's versions are to be served."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class VersionPolicy:
    """TensorFlow Serving's model_version_policy.

    Attributes:
        latest: serve so many of the newest; None to serve all.
        specific: serve these and no other; empty to go by `latest`.
    """

    latest: int | None = 1
    specific: frozenset[int] = frozenset()

    def wanted(self, found: Collection[int]) -> list[int]:
        """Those of the versions found that are to be served, newest first."""
        if self.specific:
            return sorted(self.specific.intersection(found), reverse=True)
        return sorted(found, reverse=True)[: self.latest]


NEWEST = VersionPolicy()
