"""A model beside another: what belongs together, how far it is apart, and what that means."""

import itertools
import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from verify.made_scorers import FunctionScorer

import tfnorm
from tfnorm.errors import InputError
from tfnorm.metrics import auc
from tfnorm.server import Server
from tfnorm.verify import InvarianceReport, batch_invariance
from tfnorm.verify.report.html import to_html
from tfnorm.verify.report.junit import to_junit
from tfnorm.verify.report.text import to_text

RNG = np.random.default_rng(0)
X = RNG.normal(size=40).astype(np.float32)
NOISE = RNG.normal(0, 0.3, 40).astype(np.float32)
LABELS = (X + RNG.normal(size=40) > 0).astype(int)
ROWS = {"x": X, "noise": NOISE}


def scorer(name="a", **outputs):
    """A scorer whose outputs are functions of x and noise."""
    outputs = outputs or {"score": lambda x, noise: x}

    def score(rows):
        return {key: output(rows["x"], rows["noise"]) for key, output in outputs.items()}

    return FunctionScorer(score, name=name, precision="float32")


def noisy(x, noise):
    return x + noise


def parity(target, against, examples=ROWS, **options):
    report = batch_invariance(target, examples, against=against, batch_sizes=[2], **options)
    assert InvarianceReport.from_dict(json.loads(report.to_json())) == report
    (result,) = [one for one in report.compositions if one.kind == "parity"]
    assert result == report.compositions[0]
    return report, result


def pairs_that_change(before, after):
    pairs = list(itertools.combinations(range(len(before)), 2))
    changed = sum(np.sign(before[i] - before[j]) != np.sign(after[i] - after[j]) for i, j in pairs)
    return changed / len(pairs)


def test_figures_are_those_of_all_rows():
    report, result = parity(scorer(), scorer("b", score=noisy), {**ROWS, "labels": LABELS})
    assert not report.passed and (result.verdict, result.passed) == ("difference", False)
    found = report.parity.outputs["score"]
    apart = np.sort(np.abs((X + NOISE).astype(float) - X))
    assert found.rows_different == result.rows_changed == 40
    assert found.max_abs_diff == result.max_abs_diff == pytest.approx(apart[-1])
    for share, within in found.quantiles.items():
        # No fewer than this share of the rows are within, and one row less would be fewer.
        assert (apart <= within).mean() >= share > (apart < within).mean()
    assert found.ranking.requests == 1 and not report.parity.per_request
    assert found.ranking.pairs_changed == pytest.approx(pairs_that_change(X, X + NOISE))
    assert (found.auc, found.auc_other) == (auc(LABELS, X), auc(LABELS, X + NOISE))


def test_each_logged_request_is_a_ranking(tmp_path):
    sizes = [2, 5, 1, 8, 24]
    lines, start = [], 0
    for size in sizes:
        part = slice(start, start + size)
        rows = {"x": X[part].tolist(), "noise": NOISE[part].tolist()}
        lines.append(json.dumps({"inputs": rows}))
        start += size
    log = tmp_path / "log.jsonl"
    log.write_text("\n".join(lines))
    report, _ = parity(scorer(), scorer("b", score=noisy), log)
    ranking = report.parity.outputs["score"].ranking
    requests = np.split(np.arange(40), np.cumsum(sizes)[:-1])
    ranked = [rows for rows in requests if len(rows) > 1]
    x, other = X, X + NOISE
    first = [x[rows].argmax() != other[rows].argmax() for rows in ranked]
    weights = [len(rows) * (len(rows) - 1) / 2 for rows in ranked]
    changed = [pairs_that_change(x[rows], other[rows]) for rows in ranked]
    assert report.parity.per_request and ranking.requests == 4
    assert ranking.first_changed == pytest.approx(np.mean(first))
    assert ranking.pairs_changed == pytest.approx(np.average(changed, weights=weights))
    assert "within 4 requests, and" in " ".join(to_text(report).split())


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_single_outputs_belong_together_whatever_they_are_called_and_shaped(shape, dtype):
    other = scorer("b", output_0=lambda x, noise: x.reshape(shape).astype(dtype))
    report, result = parity(scorer(dense_2=lambda x, noise: x), other)
    assert report.passed and result.max_abs_diff == 0
    assert {name: one.other for name, one in report.parity.outputs.items()} == {
        "dense_2": "output_0"
    }
    assert "'dense_2' beside 'output_0' of b: exactly equal" in to_text(report)


def test_outputs_are_named_that_belong_together_and_others_are_left_out():
    two = scorer(score=lambda x, noise: x, logit=lambda x, noise: 2 * x)
    other = scorer("b", p=lambda x, noise: x, more=lambda x, noise: noise)
    with pytest.raises(InputError, match="a gives 'logit', 'score' and b 'more', 'p'"):
        batch_invariance(two, ROWS, against=other, batch_sizes=[2])
    report, result = parity(two, other, outputs={"score": "p"})
    assert report.passed and result.outputs.keys() == {"score"}
    assert (report.parity.lacking, report.parity.unasked) == (["logit"], ["more"])
    assert report.outputs.keys() == {"score", "logit"}
    said = " ".join(to_text(report).split())
    assert "left out 'logit': b has no such output, but 'more'; say which" in said
    crossed, _ = parity(two, scorer("b", score=lambda x, noise: 2 * x), outputs={"logit": "score"})
    assert crossed.passed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"outputs": {"score": "score"}}, "output names another model's outputs; it needs against"),
        ({"outputs": {"p": "score"}, "against": scorer()}, "'p', which the model does not give"),
        ({"outputs": {"score": "p"}, "against": scorer()}, "'p', which the other model does not"),
    ],
)
def test_outputs_that_are_not_there_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        batch_invariance(scorer(), ROWS, **options)


def test_outputs_of_other_shapes_can_not_be_compared_and_differ():
    other = scorer("b", score=lambda x, noise: np.stack([x, x, x], axis=1))
    report, result = parity(scorer(), other)
    assert not report.passed and result.outputs["score"].max_abs_diff == math.inf
    problem = result.outputs["score"].problem
    assert problem == "a row of 'score' has 1 values, of 'score' of the other model 3"
    assert problem in to_text(report) and "they can't be compared" in to_text(report)


def test_what_rounds_is_equal_and_a_number_that_is_none_is_not():
    near, _ = parity(scorer(), scorer("b", score=lambda x, noise: x * np.float32(1 + 2e-7)))
    assert near.passed and near.parity.outputs["score"].rows_different == 0
    assert "b: equal but for rounding: 50% of rows within" in to_text(near)

    def broken(x, noise):
        return np.where(x > 1, np.float32(np.nan), x)

    report, _ = parity(scorer(), scorer("b", score=broken))
    found = report.parity.outputs["score"]
    assert found.rows_different == (X > 1).sum() and found.quantiles[0.5] == 0
    assert found.quantiles[0.999] == math.inf and found.ranking is None


def test_identical_bits_may_be_asked_of_another_model_too():
    report, result = parity(
        scorer(), scorer("b", score=lambda x, noise: x * np.float32(1 + 2e-7)), bitwise=True
    )
    assert not report.passed and result.verdict == "rounding"
    said = " ".join(to_text(report).split())
    assert "a score differs by up to" in said and "from b" in said
    assert "next identical bits were asked for" in said


@pytest.mark.slow
def test_a_server_may_be_either_of_the_two(tmp_path):
    inputs = keras.Input((), name="x")
    model = keras.Model(inputs, keras.layers.Dense(1, name="score")(inputs[:, None]))
    tfnorm.export_saved_model(model, tmp_path / "m", examples={"x": X})
    with Server(tmp_path / "m", "m", port=0, rest_port=0) as server:
        for target, against in (
            (tmp_path / "m", server.rest_url),
            (server.grpc_url, tmp_path / "m"),
        ):
            report, result = parity(target, against, {"x": X})
            assert report.passed and result.max_abs_diff < 1e-6
            assert {"model", "against"} & report.provenance.fingerprints.keys()
        model.layers[-1].bias.assign([0.5])
        report, _ = parity(model, server.grpc_url, {"x": X})
    assert not report.passed and report.parity.outputs["score"].rows_different == 40


def test_a_difference_is_beside_what_the_batch_does_and_advice_fits():
    report, _ = parity(scorer(), scorer("b", score=noisy))
    said = " ".join(to_text(report).split())
    assert "same 40 examples" in said and "no score moves at all" in said
    assert said.index("FAILED") < said.index("same 40") < said.index("against b:")
    assert "if they differ on purpose" in said and "tfnorm replay LOG MODEL --against" in said
    page = to_html(report)
    assert "<h2>Beside b</h2>" in page and "pairs in another order" in page
    assert "differs by up to" in to_junit(report)
    served = batch_invariance(
        scorer("grpc://h:1/m"), ROWS, against=scorer("b", score=noisy), batch_sizes=[2]
    )
    assert "have the server load that version" in to_text(served)


def test_the_other_model_may_take_other_inputs(tmp_path):
    def of(name, function, *names):
        inputs = {n: tf.TensorSpec([None], tf.float32, n) for n in names}
        return FunctionScorer(
            lambda rows: {"score": function(**rows)}, name=name, inputs=inputs, precision="float32"
        )

    one = of("a", lambda x: x, "x")
    two = of("b", noisy, "x", "noise")
    for target, against in ((one, two), (two, one)):
        report, result = parity(target, against)
        assert result.max_abs_diff == pytest.approx(np.abs(NOISE).max(), rel=1e-5)
        assert report.examples == 40
    file = tmp_path / "rows.npz"
    np.savez(file, **ROWS)
    report, _ = parity(one, two, file, limit=10)
    assert report.parity.outputs["score"].max_abs_diff == pytest.approx(
        np.abs(NOISE[np.linspace(0, 39, 10).astype(int)]).max(), rel=1e-5
    )
    with pytest.raises(InputError, match="examples lack: 'noise'"):
        batch_invariance(one, {"x": X}, against=two)


def test_statistics_of_a_model_that_is_another_are_not_the_models():
    inputs = keras.Input((), name="x")
    normalized = keras.layers.BatchNormalization(name="bn")(keras.ops.expand_dims(inputs, 1))
    other = keras.Model(inputs, 3 * normalized + 100)
    report = batch_invariance(scorer(), {"x": X, "noise": NOISE}, against=scorer("b", score=noisy))
    assert report.statistics is None
    x = FunctionScorer(lambda rows: {"score": rows["x"]}, name="a", precision="float32")
    report = batch_invariance(x, {"x": X + 50}, against=other, batch_sizes=[2])
    assert report.statistics is None and not report.misfit


def test_the_other_model_is_asked_the_same_signature_where_it_has_it(tmp_path):
    module = tf.Module()
    x = tf.TensorSpec([None], tf.float32, "x")
    signatures = {
        "serving_default": tf.function(lambda x: {"wide": tf.stack([x, x], 1)}, [x]),
        "narrow": tf.function(lambda x: {"score": 2 * x}, [x]),
    }
    tf.saved_model.save(module, str(tmp_path / "both"), signatures)
    alone = {"serving_default": signatures["narrow"]}
    tf.saved_model.save(module, str(tmp_path / "alone"), alone)
    for other in ("both", "alone"):
        report, result = parity(tmp_path / "both", tmp_path / other, {"x": X}, signature="narrow")
        assert report.passed and (result.verdict, result.max_abs_diff) == ("same", 0)
    with pytest.raises(InputError, match="nowhere does not exist"):
        parity(tmp_path / "both", tmp_path / "nowhere", {"x": X}, signature="narrow")
