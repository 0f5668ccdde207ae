"""Where a SavedModel keeps what is not its graph."""

from pathlib import Path

from tfnorm.assets import MOST_WARMUP_RECORDS, examples_file, warmup_file

VERSION = Path("exports", "ranker", "3")


def test_the_warm_up_file_is_where_tensorflow_serving_looks_and_as_long_as_it_takes():
    # kRequestsFileName and kMaxNumRecords of WarmupConsts, in saved_model_warmup_util.h of
    # TensorFlow Serving.
    assert warmup_file(VERSION) == VERSION / "assets.extra" / "tf_serving_warmup_requests"
    assert MOST_WARMUP_RECORDS == 1000


def test_examples_are_kept_beside_the_warm_up_file():
    assert examples_file(VERSION) == VERSION / "assets.extra" / "examples.npz"
