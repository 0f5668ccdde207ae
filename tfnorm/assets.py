"""What a SavedModel carries beside its graph, in `assets.extra`: where it is, and how much it may be."""

from __future__ import annotations

from pathlib import Path

_FOLDER = "assets.extra"
# TensorFlow Serving refuses a version whose warm-up file has more.
MOST_WARMUP_RECORDS = 1000


def examples_file(saved_model: Path) -> Path:
    """The file of the examples that an export keeps; it need not be there."""
    return saved_model / _FOLDER / "examples.npz"


def statistics_file(saved_model: Path) -> Path:
    """The file of what the kept examples said of the model's moving statistics; it need not be there."""
    return saved_model / _FOLDER / "statistics.json"


def tables_file(saved_model: Path) -> Path:
    """The file of how an export looks up and stores embeddings; it need not be there."""
    return saved_model / _FOLDER / "tables.json"


def warmup_file(saved_model: Path) -> Path:
    """The file of the requests that TensorFlow Serving replays before it takes traffic on a version."""
    return saved_model / _FOLDER / "tf_serving_warmup_requests"
