"""What a replay says is why: each cause from many seeds, of rankers in NumPy."""

import numpy as np
import pytest
import tensorflow as tf
from replay.traffic import ITEMS, Numpy, answered, lines, predicted, requests, write

import tfnorm
from tfnorm.scorers.scorer import Scorer

SEEDS = range(20)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


def why(report):
    assert report.verdict == "different"
    return report.model.causes[0]


def alone(scorer, inputs):
    rows = range(len(inputs["x"]))
    scores = [
        scorer.score({k: v[row : row + 1] for k, v in inputs.items()})["score"] for row in rows
    ]
    return {"score": np.concatenate(scores)}


@pytest.mark.parametrize("by_batch", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_its_own_answers_are_equal_and_that_they_depend_on_the_batch_is_said(seed, by_batch, log):
    ranker = Numpy(seed, by_batch=by_batch)
    report = tfnorm.replay(write(log, answered(ranker, requests(seed, 10))), ranker)
    assert (report.verdict, report.model.max_abs_diff) == ("equal", 0)
    assert report.model.dependence.depends == by_batch
    assert ("scores depend on the batch" in str(report)) == by_batch
    assert report.model.causes == []


@pytest.mark.parametrize("seed", SEEDS)
def test_another_version_is_named(seed, log):
    models = [Numpy(seed + 50 * number, name=f"exports/ranker/{number}") for number in (1, 2)]
    write(log, answered(models[0], requests(seed, 10), version=1))
    cause = why(tfnorm.replay(log, models[1], models[0]))
    assert (cause.kind, cause.certain) == ("version", True)
    assert cause.said == "exports/ranker/1 gives the logged scores"
    cause = why(tfnorm.replay(log, models[1]))
    assert (cause.kind, cause.certain) == ("version", False)
    assert "version 1 answered, and version 2 was given" in cause.said


@pytest.mark.parametrize("seed", SEEDS)
def test_logits_for_probabilities_are_a_transformed_score(seed, log):
    ranker = Numpy(seed, name="exports/ranker/1")
    write(log, answered(Numpy(seed, logits=True), requests(seed, 10), version=1))
    cause = why(tfnorm.replay(log, ranker))
    assert (cause.kind, cause.certain) == ("transformed", True) and "logits" in cause.said


def changed_logs(ranker, seed, change):
    """Logs whose inputs were changed after they were scored."""
    rng = np.random.default_rng(seed)
    logs = []
    for inputs in requests(seed, 10):
        changed = {name: array.copy() for name, array in inputs.items()}
        change(changed, rng)
        logs.append(predicted(changed, ranker.score(inputs), version=4))
    return logs


def replaced(inputs, rng):
    inputs["x"][:, 2] = rng.normal(size=len(inputs["x"]))


def scaled(inputs, rng):
    inputs["x"][:, 1] *= 3.7


def shifted(inputs, rng):
    inputs["x"][:, 0] += 0.9


def swapped(inputs, rng):
    inputs["item"][:] = rng.permutation(inputs["item"])


def zeroed(inputs, rng):
    inputs["x"][:, 3] = 0


def next_item(inputs, rng):
    inputs["item"][:] = (inputs["item"] + 1) % 50


CHANGES = {
    replaced: None,
    scaled: "'x'[1] was 0.2703 times what is logged",
    shifted: "'x'[0] was what is logged - 0.9",
    swapped: "the rows of a request had each other's 'item'",
    zeroed: None,
    next_item: None,
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("seed", SEEDS)
def test_inputs_that_were_changed_in_one_feature_differ(change, seed, log):
    ranker = Numpy(seed, name="exports/ranker/4")
    cause = why(tfnorm.replay(write(log, changed_logs(ranker, seed, change)), ranker))
    said = CHANGES[change]
    assert cause.kind == "inputs"
    assert cause.certain or said is None
    if said is not None:
        assert said in cause.said


def test_the_number_that_could_have_been_another_is_named(log):
    ranker = Numpy(0, name="exports/ranker/4")
    cause = why(tfnorm.replay(write(log, changed_logs(ranker, 0, replaced)), ranker))
    assert "another value of 'x'[2] alone could give it" in cause.said


def with_three_decimals(x):
    return np.round(x.astype(np.float64), 3)


def in_sixteen_bits(x):
    return x.astype(np.float16)


@pytest.mark.parametrize(
    ("logged", "said"),
    [(in_sixteen_bits, "has 'x' as float16"), (with_three_decimals, "has 'x' with 3 decimals")],
)
@pytest.mark.parametrize("seed", SEEDS)
def test_inputs_that_were_logged_with_fewer_digits_are_told(seed, logged, said, log):
    ranker = Numpy(seed)
    asked = requests(seed, 10)
    fewer = [{**i, "x": logged(i["x"])} for i in asked]
    if logged is in_sixteen_bits:
        write(log, [predicted(f, ranker.score(i)) for f, i in zip(fewer, asked, strict=True)])
    else:
        lines(log, asked, ranker, logged=fewer)
    cause = why(tfnorm.replay(log, ranker))
    assert (cause.kind, cause.certain) == ("inputs", False)
    assert f"digits that the log lacks: it {said}" in cause.said


@pytest.mark.parametrize("seed", range(3))
def test_digits_that_the_log_lacks_do_not_explain_another_models_scores(seed, log):
    lines(log, [{**i, "x": np.round(i["x"], 2)} for i in requests(seed, 10)], Numpy(seed + 100))
    report = tfnorm.replay(log, Numpy(seed))
    assert why(report).kind == "not found"
    assert any(said.startswith("digits that the log lacks:") for said in report.model.ruled_out)


def test_an_answer_that_is_no_number_is_no_transformed_score(log):
    ranker, asked = Numpy(0), requests(0, 20)
    logs = answered(ranker, asked)
    logs[3] = predicted(asked[3], {"score": np.full(len(asked[3]["x"]), np.nan, np.float32)})
    report = tfnorm.replay(write(log, logs), ranker)
    assert report.model.calls_different == 1 and why(report).kind == "not found"


@pytest.mark.parametrize("seed", SEEDS)
def test_rows_that_production_scored_by_themselves_are_told(seed, log):
    ranker = Numpy(seed, by_batch=True)
    write(log, [predicted(i, alone(ranker, i)) for i in requests(seed, 10)])
    cause = why(tfnorm.replay(log, ranker))
    assert (cause.kind, cause.certain) == ("batch", True) and "each row by itself" in cause.said


@pytest.mark.parametrize("seed", SEEDS)
def test_batches_that_were_filled_up_are_told(seed, log):
    ranker = Numpy(seed, by_batch=True)
    logs = []
    for inputs in requests(seed, 10):
        count = len(inputs["x"])
        rows = np.arange(1 << count.bit_length())
        rows[count:] = 0
        scores = ranker.score({k: v[rows] for k, v in inputs.items()})["score"][:count]
        logs.append(predicted(inputs, {"score": scores}))
    cause = why(tfnorm.replay(write(log, logs), ranker))
    assert (cause.kind, cause.certain) == ("batch", True) and "next power of two" in cause.said


def batched(ranker, asked, rng, away):
    """Logs of requests that were scored three at a time: neighbours in the log, or from anywhere."""
    order = rng.permutation(len(asked)) if away else np.arange(len(asked))
    logs = [None] * len(asked)
    for start in range(0, len(asked), 3):
        group = order[start : start + 3]
        together = {k: np.concatenate([asked[n][k] for n in group]) for k in asked[0]}
        ends = np.cumsum([len(asked[n]["x"]) for n in group])[:-1]
        parts = np.split(ranker.score(together)["score"], ends)
        for number, scores in zip(group, parts, strict=True):
            logs[number] = predicted(asked[number], {"score": scores})
    return logs


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_server_side_batching_explains_what_differs_where_scores_depend_on_the_batch(
    seed, away, log
):
    ranker = Numpy(seed, by_batch=True)
    rng = np.random.default_rng(seed)
    write(log, batched(ranker, requests(seed, 15), rng, away))
    cause = why(tfnorm.replay(log, ranker))
    assert cause.kind == "server batching" and "scores depend on the batch" in cause.said
    assert cause.certain or away


@pytest.mark.parametrize("seed", SEEDS)
def test_other_weights_of_no_known_version_are_not_told_from_other_inputs(seed, log):
    write(log, answered(Numpy(seed + 100), requests(seed, 10)))
    report = tfnorm.replay(log, Numpy(seed))
    assert why(report).kind == "not found" and not why(report).certain
    assert any(said.startswith("the batch:") for said in report.model.ruled_out)
    assert any(said.startswith("a transformed score:") for said in report.model.ruled_out)


class Slightly(Numpy):
    """Adds a thousandth of the batch's mean to each score."""

    def score(self, examples):
        scores = super().score(examples)["score"]
        return {"score": scores + np.float32(1e-3) * scores.mean(dtype=np.float32)}


@pytest.mark.parametrize("seed", SEEDS)
def test_scores_that_are_off_further_than_any_batch_moves_them_are_of_other_inputs(seed, log):
    ranker = Slightly(seed, name="exports/ranker/4")
    write(log, changed_logs(ranker, seed, replaced))
    report = tfnorm.replay(log, ranker)
    assert why(report).kind == "inputs" and report.model.dependence.depends
    assert any(said.startswith("server-side batching alone") for said in report.model.ruled_out)


class History(Scorer):
    """A mean over all steps, padding and all."""

    name, signature, concurrent = "a mean", None, True

    def __init__(self, seed):
        self.inputs = {"history": tf.TensorSpec([None, None], tf.int32, "history")}
        self._values = np.random.default_rng(seed).normal(size=ITEMS).astype(np.float32)

    def score(self, examples):
        return {"score": self._values[examples["history"]].mean(1)}

    def close(self):
        pass


def histories(seed):
    """Histories that end in zeros, of 4 to 7 steps."""
    rng = np.random.default_rng(seed)
    for size, steps in rng.integers((1, 4), (6, 8), (12, 2)):
        history = rng.integers(1, ITEMS, (size, steps)).astype(np.int32)
        history[:, 2:] *= np.arange(2, steps) < rng.integers(1, steps, (size, 1))
        history[:, -1] = 0
        yield history


def padded_to_16(history):
    return np.pad(history, ((0, 0), (0, 16 - history.shape[1])))


def trimmed(history):
    return history[:, : np.flatnonzero(history.any(0)).max() + 1]


@pytest.mark.parametrize(
    ("scored", "said"),
    [(padded_to_16, "padded with zeros to 16 steps"), (trimmed, "without the zeros at the end")],
)
@pytest.mark.parametrize("seed", SEEDS)
def test_padding_explains_scores_of_inputs_that_were_scored_at_another_length(
    seed, scored, said, log
):
    model = History(seed)
    logs = [
        predicted({"history": one}, model.score({"history": scored(one)}))
        for one in histories(seed)
    ]
    cause = why(tfnorm.replay(write(log, logs), model))
    assert (cause.kind, cause.certain) == ("padding", True) and said in cause.said


class Two(Numpy):
    """Two outputs, and a softmax's logits."""

    def score(self, examples):
        score = super().score(examples)["score"]
        logits = np.stack([score, score**2, -score], 1)
        return {"ctr": score, "cvr": score**2 * np.float32(0.7), "classes": logits}


@pytest.mark.parametrize("seed", SEEDS)
def test_another_output_and_a_softmax_are_transformed_scores(seed, log):
    model = Two(seed)
    asked = requests(seed, 10)
    logs = [predicted(i, {"ctr": model.score(i)["cvr"]}) for i in asked]
    cause = why(tfnorm.replay(write(log, logs), model))
    assert (cause.kind, cause.certain) == ("transformed", True)
    assert cause.said == "what is logged as 'ctr' is the model's output 'cvr'"
    powers = [np.exp(model.score(i)["classes"]) for i in asked]
    shares = [one / one.sum(1, keepdims=True) for one in powers]
    logs = [predicted(i, {"classes": share}) for i, share in zip(asked, shares, strict=True)]
    cause = why(tfnorm.replay(write(log, logs), model))
    assert cause.said == "the log has the softmax of the model's 'classes'"


@pytest.mark.parametrize(
    "words", [[b"\xff\x00", "gr\u00fc\u00df".encode(), b"a"], [b"a", b"b", b"c"]]
)
def test_words_of_any_bytes_are_exchanged_between_rows(words, log):
    class Words(Scorer):
        name, signature, inputs, concurrent = "words", None, None, True

        def score(self, examples):
            said = np.array([words.index(word) for word in examples["word"]])
            return {"score": (np.sin(3 * said + 1) * examples["x"]).astype(np.float32)}

        def close(self):
            pass

    rng, logs = np.random.default_rng(0), []
    for _ in range(10):
        inputs = {"word": np.array(words, object), "x": rng.normal(size=3).astype(np.float32)}
        turned = {**inputs, "word": np.roll(inputs["word"], 1)}
        logs.append(predicted(inputs, Words().score(turned), version=4))
    cause = why(tfnorm.replay(write(log, logs), Words()))
    assert (cause.kind, cause.certain) == ("inputs", True)
    assert "the rows of a request had each other's 'word'" in cause.said
