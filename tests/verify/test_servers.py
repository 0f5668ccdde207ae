"""Models behind the development server, over both APIs; and one that batches on its side."""

import threading
import time
from concurrent.futures import Future

import numpy as np
import pytest
import zoo
from verify.dependent_models import few_examples
from verify.tiny_servers import Service, grpc_server, signature_def

from tfnorm.errors import InputError
from tfnorm.server import Server
from tfnorm.verify import Connection, batch_invariance

DEFECTS = (
    "mean-centring",
    "a term of 1e-5",
    "batch size as a feature",
    "place in the batch",
    "mean over padded steps",
    "how often an id is in the batch",
    "hidden counter",
    "Dice with the batch's statistics",
)
CLEAN = ("perceptron", "target attention over a padded history", "ragged words")
SIZES = [2, 16, 33]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The two addresses of a specimen, served on this machine."""
    servers = {}

    def address(name, api):
        if name not in servers:
            directory = tmp_path_factory.mktemp("served")
            (directory / "1").symlink_to(zoo.exported(name)[1])
            servers[name] = Server(directory, "zoo", port=0, rest_port=0)
            servers[name].start()
        return getattr(servers[name], f"{api}_url")

    yield address
    for server in servers.values():
        server.stop()


@pytest.mark.parametrize("api", ["grpc", "rest"])
@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_found_behind_the_server_with_its_op(served, name, api):
    specimen, directory = zoo.exported(name)
    report = batch_invariance(
        served(name, api), few_examples(name, specimen), batch_sizes=SIZES, against=directory
    )
    assert not report.passed
    assert report.culprit.op_type == specimen.op_type


@pytest.mark.parametrize("api", ["grpc", "rest"])
@pytest.mark.parametrize("name", CLEAN)
def test_a_clean_model_behind_the_server_passes_and_equals_its_file(served, name, api):
    specimen, directory = zoo.exported(name)
    report = batch_invariance(
        served(name, api), few_examples(name, specimen), batch_sizes=SIZES, against=directory
    )
    assert report.passed
    (parity,) = [result for result in report.compositions if result.kind == "parity"]
    assert parity.max_abs_diff == 0
    assert "concurrent requests" in [result.name for result in report.compositions]


def test_without_the_file_the_culprit_is_not_known(served):
    name = "mean-centring"
    specimen, _ = zoo.exported(name)
    report = batch_invariance(served(name, "grpc"), few_examples(name, specimen), batch_sizes=[2])
    assert report.culprit is None
    assert "give its SavedModel by --against" in report.culprit_unknown


def test_a_server_of_another_model_differs_from_the_file(served):
    name, other = "perceptron", zoo.exported("normalization layers")[1]
    examples = few_examples(name, zoo.exported(name)[0])
    report = batch_invariance(served(name, "grpc"), examples, batch_sizes=[2], against=other)
    assert not report.passed
    failed = [result for result in report.compositions if not result.passed]
    assert [(r.kind, r.verdict) for r in failed] == [("parity", "difference")]
    assert report.culprit is None and report.culprit_unknown is None


class Batching:
    """Server-side batching: requests that come within a few milliseconds are scored as one."""

    def __init__(self, function):
        self.function = function
        self.largest = 0
        self._lock = threading.Lock()
        self._waiting = []

    def __call__(self, inputs):
        future = Future()
        with self._lock:
            self._waiting.append((inputs["x"], future))
            first = len(self._waiting) == 1
        if first:
            time.sleep(0.004)
            with self._lock:
                batch, self._waiting = self._waiting, []
            self.largest = max(self.largest, len(batch))
            rows = [len(x) for x, _ in batch]
            scores = self.function(np.concatenate([x for x, _ in batch]))
            for (_, one), part in zip(batch, np.split(scores, np.cumsum(rows)[:-1]), strict=True):
                one.set_result({"score": part})
        return future.result(timeout=10)


@pytest.mark.parametrize("batching", [True, False])
@pytest.mark.parametrize("defect", [True, False])
def test_requests_that_a_server_batches_are_mixed_by_sending_them_together(batching, defect):
    def score(x):
        # Only a batch larger than any request shows it: no request by itself does.
        return x.sum(axis=1) - (x.mean() if defect and len(x) > 4 else 0)

    function = Batching(score) if batching else (lambda inputs: {"score": score(inputs["x"])})
    signature = signature_def({"x": ("float32", [-1, 3])}, {"score": ("float32", [-1])})
    examples = {"x": np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)}
    with grpc_server(Service(function, signature), threads=12) as address:
        report = batch_invariance(f"{address}/ranker", examples, batch_sizes=[2, 4])
    failed = {result.name for result in report.compositions if not result.passed}
    assert failed == ({"concurrent requests"} if batching and defect else set())
    assert not batching or function.largest > 1


def test_a_server_that_dies_half_way_says_how_far_it_came():
    signature = signature_def({"x": ("float32", [-1, 3])}, {"score": ("float32", [-1])})
    asked = 0

    def dies(inputs):
        nonlocal asked
        asked += 1
        if asked > 65:
            time.sleep(3)
        return {"score": inputs["x"].sum(axis=1)}

    examples = {"x": np.ones((20, 3), np.float32)}
    service = Service(dies, signature)
    with (
        grpc_server(service) as address,
        pytest.raises(InputError, match=r"stopped at .*after \d\d of [\d,]+ rows: .* in time"),
    ):
        batch_invariance(
            f"{address}/ranker",
            examples,
            batch_sizes=[2],
            connection=Connection(timeout=1, retries=0),
        )
