"""Models that take what is no part of an example: keep_prob, is_training, a temperature."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from command_line import run
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel as SavedModelProto
from written_examples import predict, write_lines, write_records

from tfnorm.errors import InputError
from tfnorm.examples.load import load
from tfnorm.scorers.scorer import Fed
from tfnorm.server import Server
from tfnorm.verify import batch_invariance, find_culprit, load_scorer
from tfnorm.verify.report.text import title

tf1 = tf.compat.v1
X = np.random.default_rng(0).normal(1.0, 1.0, (12, 3)).astype(np.float32)
FEED = {"is_training": False, "keep_prob": 1.0}


@pytest.fixture(scope="module")
def graph_of_tf1(tmp_path_factory):
    """An export of TF 1 whose placeholders have no shape, with a mean where `is_training`."""
    directory = tmp_path_factory.mktemp("tf1") / "1"
    with tf.Graph().as_default(), tf1.Session() as session:
        x = tf1.placeholder(tf.float32, [None, 3], "x")
        training = tf1.placeholder(tf.bool, name="is_training")
        keep = tf1.placeholder(tf.float32, [], "keep_prob")
        temperature = tf1.placeholder_with_default(np.float32(2.0), [], "temperature")
        center = tf.cond(training, lambda: tf.reduce_mean(x, 0), lambda: tf.ones([3]))
        score = tf.nn.sigmoid(tf.reduce_sum(x - center, 1) * keep / temperature)
        tf1.saved_model.simple_save(
            session,
            str(directory),
            {"x": x, "is_training": training, "keep_prob": keep, "temperature": temperature},
            {"score": score},
        )
    return directory


def test_what_is_fed_and_what_has_a_default_is_no_part_of_the_examples(graph_of_tf1):
    report = batch_invariance(graph_of_tf1, {"x": X}, feed=FEED)
    assert report.passed
    assert {r.kind for r in report.compositions} >= {"size", "neighbours", "repeat"}
    assert report.fed == {"is_training": "false", "keep_prob": "1.0", "temperature": "2.0"}
    fed = "fed is_training=false, keep_prob=1.0, temperature=2.0"
    assert f"signature serving_default  {fed}  12 examples" in title(report)
    scores = load_scorer(graph_of_tf1).score(
        {"x": X, **{k: np.array(v) for k, v in _fed().items()}}
    )
    expected = 1 / (1 + np.exp(-(X - 1).sum(axis=1) / 2))
    np.testing.assert_allclose(scores["score"], expected, rtol=1e-5)


def _fed(**changes):
    return {"is_training": np.array(False), "keep_prob": np.float32(1.0), **changes}


def test_a_dependence_that_a_constant_switches_on_is_found_with_its_op(graph_of_tf1):
    report = batch_invariance(graph_of_tf1, {"x": X}, feed={**FEED, "is_training": "True"})
    assert not report.passed
    assert report.culprit.op_type == "Mean"
    culprit = find_culprit(graph_of_tf1, {"x": X}, constants=_fed(is_training=np.array(True)))
    assert culprit == report.culprit
    assert find_culprit(graph_of_tf1, {"x": X}, constants=_fed()) is None


def test_constants_serve_random_examples_and_a_model_to_compare_with(graph_of_tf1):
    assert batch_invariance(graph_of_tf1, random=4, feed=FEED, batch_sizes=[2]).passed
    same = batch_invariance(
        graph_of_tf1, {"x": X}, feed=FEED, against=graph_of_tf1, batch_sizes=[2]
    )
    assert same.passed
    x = keras.Input((3,), name="x")
    center = keras.ops.sum(x - 1.0, axis=1) / 2.0
    model = keras.Model(x, keras.ops.sigmoid(center))
    assert batch_invariance(
        graph_of_tf1, {"x": X}, feed=FEED, against=model, batch_sizes=[2]
    ).passed


def test_the_command_line_takes_constants_as_text(graph_of_tf1, tmp_path, capsys):
    np.savez(tmp_path / "x.npz", x=X)
    options = ["--examples", tmp_path / "x.npz", "--batch-size", 4]
    fed = ["--feed", "is_training=False", "--feed", "keep_prob=0.5", "--feed", "temperature=1"]
    assert run("verify", graph_of_tf1, *options, *fed) == 0
    assert run("verify", graph_of_tf1, *options, *fed, "--feed", "is_training=true") == 1
    capsys.readouterr()


@pytest.mark.parametrize(
    ("fed", "reason"),
    [
        (["is_training=0"], "input 'keep_prob' is a scalar"),
        (
            ["keep_prob=1"],
            "no examples for input 'is_training'; if it takes none, give it the same",
        ),
        (["keep_prob"], "--feed is 'keep_prob'; accepted: NAME=VALUE"),
        (["=1"], "--feed is '=1'; accepted: NAME=VALUE"),
        (["keep_prob=often"], "feed gives 'keep_prob' the value 'often'; accepted: float32 []"),
        (["rate=1"], "feed gives 'rate', which is no input; accepted: is_training: bool"),
    ],
)
def test_constants_that_lack_or_do_not_fit_are_told_in_one_line(
    graph_of_tf1, fed, reason, tmp_path, capsys
):
    np.savez(tmp_path / "x.npz", x=X)
    options = [option for value in fed for option in ("--feed", value)]
    assert run("verify", graph_of_tf1, "--examples", tmp_path / "x.npz", *options) == 2
    error = capsys.readouterr().err
    assert reason in error and len(error.strip().splitlines()) == 1


@pytest.mark.slow
def test_an_input_that_has_a_row_for_each_example_is_given_it_in_each():
    inputs = {
        "x": keras.Input((3,), name="x"),
        "temperature": keras.Input((), name="temperature"),
        "bias": keras.Input((3,), name="bias"),
    }
    tempered = keras.ops.sum(inputs["x"] + inputs["bias"], axis=1) / inputs["temperature"]
    model = keras.Model(inputs, tempered)
    feed = {"temperature": "2.0", "bias": [1, 2, 3]}
    for options in (
        {"examples": {"x": X}},
        {"random": 5},
        {"examples": {"x": X}, "against": model},
    ):
        assert batch_invariance(model, feed=feed, batch_sizes=[2, 4], **options).passed
    spoilt = keras.Model(inputs, tempered - keras.ops.mean(inputs["temperature"]))
    report = batch_invariance(spoilt, {"x": X}, feed=feed, batch_sizes=[2, 4])
    assert not report.passed and report.culprit.op_type == "Mean"
    with pytest.raises(
        InputError, match=r"'bias' the value \[1, 2\]; accepted: float32 \[None, 3\]"
    ):
        batch_invariance(model, {"x": X}, feed={**feed, "bias": [1, 2]})


def test_every_input_can_not_be_a_constant(graph_of_tf1):
    with pytest.raises(InputError, match="feed gives every input"):
        batch_invariance(graph_of_tf1, {"x": X}, feed={**FEED, "temperature": 1, "x": X.tolist()})


def test_logged_requests_may_have_what_is_fed(graph_of_tf1, tmp_path):
    scorer = Fed(load_scorer(graph_of_tf1), _fed())
    logged = [predict({"x": X[i : i + 2], **_fed()}) for i in range(0, 12, 2)]
    lines = [json.dumps({"inputs": {"x": X[i : i + 3].tolist(), **FEED}}) for i in range(0, 12, 3)]
    for path, size in (
        (write_records(tmp_path / "log", logged), 2),
        (write_lines(tmp_path / "log.jsonl", *lines), 3),
    ):
        loaded = load(path, scorer)
        np.testing.assert_array_equal(loaded.rows["x"], X)
        assert loaded.rows.keys() == {"x"} and set(loaded.requests) == {size}
    with pytest.raises(InputError, match=r"give what has none by feed \(--feed NAME=VALUE\)"):
        load(tmp_path / "log", load_scorer(graph_of_tf1))
    with pytest.raises(InputError, match="line 1: 'is_training' is False; accepted: a list"):
        load(tmp_path / "log.jsonl", load_scorer(graph_of_tf1))


def test_a_default_of_the_signature_itself_serves(tmp_path):
    module = tf.Module()

    specs = (
        tf.TensorSpec([None, 3], tf.float32, "x"),
        tf.TensorSpec([], tf.float32, "temperature"),
    )
    module.serve = tf.function(lambda x, temperature: tf.reduce_sum(x, 1) / temperature, specs)
    tf.saved_model.save(module, str(tmp_path / "1"), signatures=module.serve)
    path = tmp_path / "1" / "saved_model.pb"

    proto = SavedModelProto.FromString(path.read_bytes())
    defaults = proto.meta_graphs[0].signature_def["serving_default"].defaults
    defaults["temperature"].CopyFrom(tf.make_tensor_proto(2.0))
    path.write_bytes(proto.SerializeToString())
    scores = load_scorer(tmp_path / "1").score({"x": X})["output_0"]
    np.testing.assert_allclose(scores, X.sum(axis=1) / 2, rtol=1e-5)
    assert batch_invariance(tmp_path / "1", {"x": X}, batch_sizes=[2]).passed


def test_a_subclassed_keras_model_takes_a_constant_for_an_argument():
    class Tempered(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def call(self, x, temperature):
            return self.dense(x) / temperature

    model = Tempered()
    model(X, np.float32(2.0))
    assert batch_invariance(model, {"x": X}, feed={"temperature": 2.0}, batch_sizes=[2]).passed
    report = batch_invariance(
        model, {"x": X}, feed={"temperature": "2.0"}, batch_sizes=[2], against=model
    )
    assert report.passed


@pytest.mark.slow
def test_a_server_is_given_constants_and_the_defaults_of_its_metadata(graph_of_tf1, tmp_path):
    (tmp_path / "1").mkdir()
    proto = SavedModelProto.FromString((graph_of_tf1 / "saved_model.pb").read_bytes())
    defaults = proto.meta_graphs[0].signature_def["serving_default"].defaults
    defaults["temperature"].CopyFrom(tf.make_tensor_proto(2.0))
    (tmp_path / "1" / "saved_model.pb").write_bytes(proto.SerializeToString())
    (tmp_path / "1" / "variables").mkdir()
    with Server(tmp_path, "rank", port=0, rest_port=0) as server:
        for url in (server.grpc_url, server.rest_url):
            report = batch_invariance(url, {"x": X}, feed=FEED, against=tmp_path, batch_sizes=[4])
            assert report.passed, url
            assert load_scorer(url).defaults == {"temperature": 2.0}
