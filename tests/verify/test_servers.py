"""Models behind the development server, over both APIs, with batching on its side and without."""

import contextlib
import time

import numpy as np
import pytest
import requests
import tensorflow as tf
import zoo
from verify.dependent_models import few_examples
from verify.tiny_servers import Service, grpc_server, signature_def

from tfnorm.errors import InputError
from tfnorm.server import BatchingParameters, Server
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
# What JSON might hide, or add: digits, ids, the shape of lists, and requests of its own.
DEFECTS_OVER_REST = (
    "a term of 1e-5",
    "mean over padded steps",
    "how often an id is in the batch",
    "hidden counter",
)
CLEAN = ("perceptron", "target attention over a padded history", "ragged words")
BATCHING = BatchingParameters(
    max_batch_size=64,
    batch_timeout_micros=500,
    num_batch_threads=2,
    allowed_batch_sizes=(4, 16, 64),
)
BATCHED = pytest.mark.parametrize("batching", [None, BATCHING], ids=["as they come", "batched"])


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The two addresses of a specimen, served on this machine, one specimen at a time."""
    with contextlib.ExitStack() as running:
        served, server = None, None

        def address(name, api, batching=None):
            nonlocal served, server
            if served != (name, batching):
                running.close()
                directory = tmp_path_factory.mktemp("served")
                (directory / "1").symlink_to(zoo.exported(name)[1])
                server = Server(directory, "zoo", port=0, rest_port=0, batching=batching)
                running.enter_context(server)
                served = name, batching
            return getattr(server, f"{api}_url")

        yield address


@BATCHED
@pytest.mark.parametrize(
    ("name", "api"),
    [(name, "grpc") for name in DEFECTS] + [(name, "rest") for name in DEFECTS_OVER_REST],
)
def test_a_defect_is_found_behind_the_server_with_its_op(served, name, api, batching):
    specimen, directory = zoo.exported(name)
    report = batch_invariance(
        served(name, api, batching),
        few_examples(name, specimen, 16),
        batch_sizes=[2, 16],
        allowed_batch_sizes=batching.allowed_batch_sizes if batching else (),
        against=directory,
    )
    assert not report.passed
    assert report.culprit.op_type == specimen.op_type


@pytest.mark.parametrize("api", ["grpc", "rest"])
@BATCHED
@pytest.mark.parametrize("name", CLEAN)
def test_a_clean_model_behind_the_server_passes_and_equals_its_file(served, name, api, batching):
    specimen, directory = zoo.exported(name)
    report = batch_invariance(
        served(name, api, batching),
        few_examples(name, specimen, 16),
        batch_sizes=[2, 16],
        allowed_batch_sizes=batching.allowed_batch_sizes if batching else (),
        against=directory,
    )
    assert report.passed
    (parity,) = [result for result in report.compositions if result.kind == "parity"]
    assert parity.verdict in ("same", "rounding") and (batching or parity.max_abs_diff == 0)
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


@pytest.mark.parametrize("api", ["grpc", "rest"])
@pytest.mark.parametrize("batching", [None, BatchingParameters(64, 4000)], ids=["off", "on"])
def test_what_no_request_shows_by_itself_is_found_where_the_server_batches(batching, api, tmp_path):
    def score(x):
        spoiled = x - tf.where(tf.shape(x)[0] > 4, tf.reduce_mean(x), 0)
        return {"score": tf.reduce_sum(spoiled, 1)}

    module = tf.Module()
    module.score = tf.function(score, input_signature=[tf.TensorSpec([None, 3], tf.float32, "x")])
    tf.saved_model.save(module, str(tmp_path / "1"), signatures=module.score)
    examples = {"x": np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)}
    with Server(tmp_path, "ranker", port=0, rest_port=0, batching=batching) as server:
        report = batch_invariance(getattr(server, f"{api}_url"), examples, batch_sizes=[2, 4])
    failed = {result.name for result in report.compositions if not result.passed}
    assert failed == (set() if batching is None else {"concurrent requests"})


def _rounded(x):
    """The factors of products as TensorFloat-32 has them: 10 bits behind the leading one."""
    bits = tf.bitcast(x, tf.int32)
    return tf.bitcast(tf.bitwise.bitwise_and(bits + 0x1000, ~0x1FFF), tf.float32)


PRODUCTS = {
    "float32": tf.matmul,
    "tensorfloat32": lambda x, y: tf.matmul(_rounded(x), _rounded(y)),
    "float16": lambda x, y: tf.cast(tf.cast(x, tf.float16) @ tf.cast(y, tf.float16), tf.float32),
    "bfloat16": lambda x, y: tf.cast(tf.cast(x, tf.bfloat16) @ tf.cast(y, tf.bfloat16), tf.float32),
}


@pytest.fixture(scope="module")
def computed_in(tmp_path_factory):
    """A network that computes its products in several types: the file of each, and all behind a server."""
    rng = np.random.default_rng(0)
    kernels = [
        tf.constant(rng.normal(0, m**-0.5, (m, n)), tf.float32) for m, n in ((16, 64), (64, 1))
    ]

    def scoring(product, last=1.0):
        def score(x):
            h = tf.nn.relu(product(x, kernels[0]))
            return {"score": tf.sigmoid(product(h, last * kernels[1]))}

        return tf.function(score, input_signature=[tf.TensorSpec([None, 16], tf.float32, "x")])

    directory = tmp_path_factory.mktemp("computed")
    served = tf.Module()
    calls = {name: scoring(product) for name, product in PRODUCTS.items()}
    tf.saved_model.save(served, str(directory / "served" / "1"), signatures=calls)
    files = {**calls, "another": scoring(tf.matmul, 1.1)}
    for name, call in files.items():
        tf.saved_model.save(served, str(directory / name), signatures=call)
    with Server(directory / "served", "computed", port=0, rest_port=0) as server:
        yield server.grpc_url, {name: directory / name for name in files}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("served", "local"),
    [*((kind, "float32") for kind in PRODUCTS), *(("float32", kind) for kind in PRODUCTS)],
)
def test_a_server_that_computes_in_another_type_than_the_file_is_no_other_model(
    computed_in, served, local
):
    url, files = computed_in
    examples = {"x": np.random.default_rng(1).normal(size=(32, 16)).astype(np.float32)}
    asked = {"signature": served, "batch_sizes": [2, 16]}
    report = batch_invariance(url, examples, against=files[local], **asked)
    assert report.passed
    (parity,) = [result for result in report.compositions if result.kind == "parity"]
    assert (parity.max_abs_diff > 1e-5) == (served != local)
    other = batch_invariance(url, examples, against=files["another"], **asked)
    failed = [(one.kind, one.verdict) for one in other.compositions if not one.passed]
    assert failed == [("parity", "difference")]


@pytest.mark.parametrize("served", PRODUCTS)
def test_a_server_of_any_type_is_not_accused_without_a_file_to_tell(computed_in, served):
    examples = {"x": np.random.default_rng(1).normal(size=(32, 16)).astype(np.float32)}
    url, _ = computed_in
    assert batch_invariance(url, examples, signature=served, batch_sizes=[2, 16]).passed


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
        pytest.raises(InputError, match=r"stopped at .*after \d+ of [\d,]+ rows: .* in time"),
    ):
        batch_invariance(
            f"{address}/ranker",
            examples,
            batch_sizes=[2],
            connection=Connection(timeout=1, retries=0),
        )


ONE = signature_def({"x": ("float32", [-1, 3])}, {"score": ("float32", [-1])})
FEW = {"x": np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)}


def far(x):
    """Whether there is a row among them that is no example."""
    return np.abs(x).max() > np.abs(FEW["x"]).max() + 1


def test_what_a_model_refuses_of_made_up_neighbours_is_said_and_the_rest_is_verified():
    def refuses(inputs):
        if far(inputs["x"]):
            raise ValueError("x must be small")
        return {"score": inputs["x"].sum(axis=1)}

    with grpc_server(Service(refuses, ONE)) as address:
        report = batch_invariance(f"{address}/ranker", FEW, batch_sizes=[2])
    assert report.passed
    assert any("x must be small" in reason for reason in report.left_out.values())


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda x: {"score": x.sum(axis=1).astype(np.float64)}, "the answer makes no sense"),
        (lambda x: {"score": x}, "the answer makes no sense"),
        (lambda x: {}, "lacks 'score'"),
    ],
)
def test_a_server_that_makes_no_sense_of_neighbours_gets_no_verdict(answer, reason):
    def answers(inputs):
        x = inputs["x"]
        return answer(x) if far(x) else {"score": x.sum(axis=1)}

    with (
        grpc_server(Service(answers, ONE)) as address,
        pytest.raises(
            InputError, match=rf"stopped at 'among others at 1000x', .*{reason}"
        ) as caught,
    ):
        batch_invariance(f"{address}/ranker", FEW, batch_sizes=[2])
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.slow
def test_a_version_that_goes_in_the_middle_gets_no_verdict(tmp_path):
    module = tf.Module()
    module.score = tf.function(
        lambda x: {"score": tf.reduce_sum(x, 1)},
        input_signature=[tf.TensorSpec([None, 3], tf.float32, "x")],
    )
    tf.saved_model.save(module, str(tmp_path / "served" / "1"), signatures=module.score)
    with Server(tmp_path / "served", "ranker", port=0, rest_port=0, poll_seconds=0.02) as server:

        def roll(done, expected):
            if done and (tmp_path / "served" / "1").exists():
                (tmp_path / "served" / "1").rename(tmp_path / "served" / "2")
                deadline = time.monotonic() + 20
                while "2" not in requests.get(server.rest_url, timeout=5).text:
                    assert time.monotonic() < deadline
                time.sleep(0.2)

        with pytest.raises(InputError, match="the version that is scored is there no more"):
            batch_invariance(server.grpc_url, FEW, batch_sizes=[2], progress=roll)
