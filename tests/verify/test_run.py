"""What a verification can be asked, beside the examples and the batches."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from verify.dependent_models import FUNCTIONS, examples, function_of, ranker
from verify.made_scorers import FunctionScorer

import tfnorm
from tfnorm.errors import InputError
from tfnorm.metrics import auc
from tfnorm.verify import Undecided, batch_invariance, load_scorer

EXAMPLES = examples()
CENTRED = FUNCTIONS["mean-centring"]


@pytest.fixture
def _without_culprit(monkeypatch):
    monkeypatch.setattr("tfnorm.verify.run.blame", lambda *arguments: (None, None))


def test_the_culprit_of_a_keras_model_is_found():
    report = batch_invariance(function_of(CENTRED), EXAMPLES, batch_sizes=[2, 8])
    assert report.culprit.op_type == "Mean"
    assert report.culprit.layer.startswith("apply")
    assert report.culprit_unknown is None


def test_a_keras_model_that_can_not_be_saved_keeps_its_verdict():
    hidden = tf.Variable(1.0)

    def spoil(x, ids):
        table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer([0], [1]), 0)
        return x[:, 0] - hidden * tf.reduce_mean(x) + tf.cast(table.lookup(ids), tf.float32)

    report = batch_invariance(function_of(spoil), EXAMPLES, batch_sizes=[2])
    assert not report.passed
    assert report.culprit is None
    assert "can't be saved" in report.culprit_unknown


class Odd:
    """A scorer of a user's own, of which nothing else is known."""

    name, signature, inputs = "odd", None, None

    def __init__(self, function):
        self.function = function

    def score(self, feeds):
        return {"score": self.function(feeds["x"])}

    def close(self):
        pass


def test_a_scorer_of_ones_own_is_verified_and_has_no_culprit():
    report = batch_invariance(Odd(lambda x: x - x.mean(axis=0)), {"x": np.arange(8.0)})
    assert not report.passed
    assert "odd can't be looked into" in report.culprit_unknown
    assert batch_invariance(Odd(lambda x: x * 2), {"x": np.arange(8.0)}).passed


def test_a_model_that_takes_examples_in_batches_alone_depends_on_them():
    def at_least_five(x):
        if len(x) < 5:
            raise InputError("five or more")
        return x

    report = batch_invariance(Odd(at_least_five), {"x": np.arange(8.0)})
    assert not report.passed
    (result,) = report.compositions
    assert result.outputs["score"].problem == (
        "the model takes an example in a batch of 7, but not alone: five or more"
    )
    assert json.loads(report.to_json())["max_abs_diff"] is None


def test_an_example_that_is_refused_in_any_batch_is_no_verdict():
    def refuse(x):
        if (x == 3).any():
            raise InputError("no threes")
        return x

    with pytest.raises(InputError, match=r"stopped at 'one at a time'.* after 3 of .*no threes"):
        batch_invariance(Odd(refuse), {"x": np.arange(8.0)})


def test_a_largest_batch_size_is_told_and_not_failed():
    def at_most_300(x):
        if len(x) > 300:
            raise InputError("too many")
        return x

    report = batch_invariance(Odd(at_most_300), {"x": np.arange(8.0)})
    assert report.passed
    assert report.left_out["a batch of 512"] == "the model refuses it: too many"
    assert "a batch of 257" not in report.left_out


@pytest.mark.usefixtures("_without_culprit")
def test_auc_is_told_by_batch_size():
    labels = (EXAMPLES["x"][:, 0] > 1).astype(int)
    model = function_of(FUNCTIONS["rolled rows"])
    report = batch_invariance(model, EXAMPLES, labels=labels, batch_sizes=[2, 24])
    x = EXAMPLES["x"][:, 0]
    in_twos = x.reshape(-1, 2)[:, ::-1].reshape(-1)
    assert report.stake.auc[1] == 1.0
    assert report.stake.auc[2] == auc(labels, in_twos)
    assert report.stake.auc[24] == auc(labels, np.roll(x, 1))
    assert 0 < report.stake.pairs_changed <= 1
    beside = batch_invariance(model, {**EXAMPLES, "labels": labels}, batch_sizes=[2, 24])
    assert beside.stake == report.stake


def test_nothing_is_at_stake_where_nothing_but_rounding_moves():
    report = batch_invariance(ranker(keras.layers.ReLU()), EXAMPLES, batch_sizes=[2])
    assert report.stake is None


@pytest.mark.usefixtures("_without_culprit")
def test_a_limit_spreads_the_examples_and_their_labels():
    x = np.arange(1000.0)
    seen = []

    def score(rows):
        seen.extend(rows)
        return rows - rows.mean()

    report = batch_invariance(Odd(score), {"x": x, "labels": x > 500}, limit=10, batch_sizes=[2])
    assert (report.examples, report.examples_given) == (10, 1000)
    assert seen[:10] == [0, 111, 222, 333, 444, 555, 666, 777, 888, 999]
    assert len(report.stake.auc) == 2
    with pytest.raises(InputError, match="labels were given separately"):
        batch_invariance(Odd(score), {"x": x}, labels=x > 500, limit=10)


@pytest.mark.usefixtures("_without_culprit")
def test_a_servers_allowed_sizes_are_its_largest():
    sizes = set()

    def score(x):
        sizes.add(len(x))
        return x

    assert batch_invariance(Odd(score), {"x": np.arange(50.0)}, allowed_batch_sizes=[10, 20]).passed
    assert {9, 10, 11, 19, 20} <= sizes
    assert max(sizes) == 20


@pytest.mark.usefixtures("_without_culprit")
def test_logged_requests_are_replayed_as_they_came(tmp_path):
    path = tmp_path / "requests.jsonl"
    requests = [[{"x": 1.0}, {"x": 2.0}, {"x": 4.0}], [{"x": 8.0}]]
    path.write_text("\n".join(json.dumps({"instances": rows}) for rows in requests))
    report = batch_invariance(Odd(lambda x: x - (len(x) == 3)), path, batch_sizes=[2])
    (failed,) = [result for result in report.compositions if not result.passed]
    assert (failed.name, failed.batch_size) == ("as the requests came", 3)
    assert failed.rows_changed == 3


@pytest.mark.usefixtures("_without_culprit")
@pytest.mark.parametrize(
    ("kind", "function"),
    [
        ("neighbours", lambda x, ids: x[:, 0] + 1e-5 * tf.nn.softmax(x[:, 1], axis=0)),
        ("neighbours", lambda x, ids: x[:, 0] + 1e-7 * tf.reduce_mean(x)),
        ("size", lambda x, ids: x[:, 0] * (1 + 1e-7 * tf.cast(tf.shape(x)[0], tf.float32))),
        ("size", lambda x, ids: x[:, 0] + 1e-5 * tf.cast(tf.shape(x)[0] > 100, tf.float32)),
        ("position", lambda x, ids: x[:, 0] + 1e-6 * tf.range(tf.cast(tf.shape(x)[0], tf.float32))),
    ],
)
def test_a_dependence_of_a_few_millionths_is_found(kind, function):
    report = batch_invariance(function_of(function), EXAMPLES)
    assert kind in {r.kind for r in report.compositions if r.verdict == "dependence"}


@pytest.mark.usefixtures("_without_culprit")
@pytest.mark.parametrize("blind", [False, True])
def test_16_bits_that_only_round_are_not_accused_whether_known_or_not(blind):
    def rounded(x, ids):
        # As kernels for another shape do: another error, up or down, before it is rounded.
        score = x[:, 0] + 3.0
        error = tf.where(tf.shape(x)[0] > 5, tf.sin(1e4 * score), 0.0)
        return tf.cast(tf.cast(score * (1 + error / 128), tf.bfloat16), tf.float32)

    model = function_of(rounded)
    if blind:
        scorer = load_scorer(model)
        model = Odd(None)
        model.inputs, model.score = scorer.inputs, scorer.score
    report = batch_invariance(model, examples(200))
    assert report.passed
    assert report.max_abs_diff > 1e-3
    assert report.precision == (None if blind else "bfloat16")


def test_against_a_model_that_is_another_the_scores_differ(tmp_path):
    first, second = ranker(keras.layers.ReLU()), ranker(keras.layers.ReLU())
    second.layers[-1].bias.assign([0.01])
    report = batch_invariance(first, EXAMPLES, against=second, batch_sizes=[2])
    assert not report.passed
    (failed,) = [result for result in report.compositions if not result.passed]
    assert (failed.kind, failed.verdict, failed.rows_changed) == ("parity", "difference", 24)
    first.save(tmp_path / "first.keras")
    same = batch_invariance(first, EXAMPLES, against=tmp_path / "first.keras", batch_sizes=[2])
    assert same.passed
    assert same.compositions[0].name == f"against {tmp_path / 'first.keras'}"


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A Keras file, and its export with examples beside it."""
    folder = tmp_path_factory.mktemp("kept")
    model = ranker(keras.layers.ReLU())
    model.save(folder / "model.keras")
    tfnorm.export_saved_model(model, folder / "export", version=1, examples=EXAMPLES)
    return folder


@pytest.mark.parametrize(
    ("target", "against"), [("export", "model.keras"), ("model.keras", "export")]
)
def test_the_examples_that_either_of_two_models_keeps_serve(kept, target, against):
    report = batch_invariance(kept / target, against=kept / against, batch_sizes=[2])
    assert report.passed
    assert report.compositions[0].name.startswith(f"against {kept / against}")
    assert (report.examples, report.examples_given) == (24, 24)


def test_two_models_that_keep_no_examples_say_so(kept):
    with pytest.raises(InputError, match="comes with no examples"):
        batch_invariance(kept / "model.keras", against=kept / "model.keras")


def test_against_a_model_with_other_outputs_nothing_can_be_told():
    other = function_of(lambda x, ids: {"a": x[:, 0], "b": x[:, 1]})
    with pytest.raises(InputError, match="which of them belong together is not known"):
        batch_invariance(function_of(lambda x, ids: x[:, 0]), EXAMPLES, against=other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"allowed_batch_sizes": [0]}, r"allowed_batch_sizes is \[0\]"),
        ({"allowed_batch_sizes": [1]}, r"allowed_batch_sizes is \[1\]"),
        ({"limit": 1}, "limit is 1"),
        ({"labels": np.ones(3)}, "one number for each of 24"),
        ({"labels": np.ones(24)}, "all the same"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        batch_invariance(ranker(keras.layers.ReLU()), EXAMPLES, **options)


def _typed(function, types):
    """A function of x in NumPy as a scorer that says what it computes in."""
    return FunctionScorer(
        lambda feeds: function(feeds["x"]), precision=types.get("score"), precision_of=types.get
    )


def _rounded(x, epsilon=2.0**-10):
    """A score that rounds otherwise in batches of more than five rows, by up to 8 epsilons."""
    score = x[:, 0] + 3.0
    error = 8 * epsilon * np.sin(1e4 * score) if len(x) > 5 else 0.0
    return (score * (1 + error)).astype(np.float32)


@pytest.mark.usefixtures("_without_culprit")
def test_of_several_outputs_each_is_judged_by_its_own_precision():
    def both(x):
        return {"score": _rounded(x), "coarse": _rounded(x)}

    scorer = _typed(both, {"score": "float32", "coarse": "float16"})
    report = batch_invariance(scorer, EXAMPLES, batch_sizes=[2, 8])
    assert {name: output.passed for name, output in report.outputs.items()} == {
        "score": False,
        "coarse": True,
    }
    assert report.precision == "float16"


@pytest.mark.usefixtures("_without_culprit")
def test_another_signature_in_16_bits_does_not_widen_the_tolerance(tmp_path):
    module = tf.Module()
    spec = [tf.TensorSpec([None, 6], tf.float32, "x")]

    def moved(x):
        size = tf.cast(tf.shape(x)[0], tf.float32)
        return {"score": x[:, 0] * (1 + 0.01 * tf.sin(size + 1000 * x[:, 0]))}

    module.moved = tf.function(moved, input_signature=spec)
    module.coarse = tf.function(
        lambda x: {"score": tf.cast(tf.cast(x, tf.float16) * 2, tf.float32)}, input_signature=spec
    )
    signatures = {"serving_default": module.moved, "coarse": module.coarse}
    tf.saved_model.save(module, str(tmp_path), signatures=signatures)
    report = batch_invariance(tmp_path, {"x": EXAMPLES["x"]})
    assert not report.passed
    assert report.precision == "float32"
    assert batch_invariance(tmp_path, {"x": EXAMPLES["x"]}, signature="coarse").passed


def _in_tensor_float_32(kernel, x):
    """The first column of a product, its factors rounded to 10 bits as a GPU does."""

    def cut(values):
        bits = np.ascontiguousarray(values, np.float32).view(np.int32)
        return ((bits + 0x1000) & ~0x1FFF).view(np.float32)

    return (cut(x) @ cut(kernel))[:, 0]


@pytest.mark.usefixtures("_without_culprit")
@pytest.mark.parametrize("alone", [True, False])
def test_a_server_that_rounds_products_to_10_bits_passes_against_its_model(alone):
    """`alone`: an example by itself, too, for which other kernels may run."""
    x = np.random.default_rng(0).normal(1.0, 1.0, (64, 40)).astype(np.float32)
    model = keras.Sequential([keras.Input((40,), name="x"), keras.layers.Dense(1)])
    kernel = model.get_weights()[0]

    def served(feeds):
        rows = feeds["x"]
        exact = (rows @ kernel)[:, 0]
        coarse = _in_tensor_float_32(kernel, rows) if alone or len(rows) > 1 else exact
        return {"score": coarse[:, None]}

    server = FunctionScorer(served, remote=True, name="grpc://gpu:1/ranker")
    report = batch_invariance(server, {"x": x}, against=model, batch_sizes=[2, 16])
    assert report.passed
    assert report.max_abs_diff > 1e-5
    assert report.precision == "float16"


@pytest.mark.usefixtures("_without_culprit")
def test_a_server_that_scores_as_its_model_does_is_judged_by_that_ones_precision():
    model = keras.Sequential([keras.Input((3,), name="x"), keras.layers.Dense(1)])
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    kernel = model.get_weights()[0]

    def served(feeds):
        score = feeds["x"] @ kernel
        return {"score": score * np.float32(1.001 if len(score) == 2 else 1)}

    server = FunctionScorer(served, remote=True)
    report = batch_invariance(server, {"x": x}, against=model, batch_sizes=[2, 8])
    assert not report.passed
    assert report.precision == "float32"


@pytest.mark.usefixtures("_without_culprit")
def test_parity_goes_by_the_coarser_of_both_models():
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    layer = keras.layers.Dense(1, dtype=keras.dtype_policies.DTypePolicy("mixed_float16"))
    inputs = keras.Input((3,), name="x")
    coarse = keras.Model(inputs, keras.layers.Activation("linear", dtype="float32")(layer(inputs)))
    fine = keras.Sequential([keras.Input((3,), name="x"), keras.layers.Dense(1)])
    fine.set_weights(coarse.get_weights())
    for one, other in ((coarse, fine), (fine, coarse)):
        report = batch_invariance(one, x, against=other, batch_sizes=[2, 8])
        assert report.passed
        assert report.compositions[0].max_abs_diff > 1e-5


@pytest.mark.usefixtures("_without_culprit")
@pytest.mark.parametrize(
    ("seed", "examples", "outputs"), [(0, 2, 64), (1, 2, 64), (2, 3, 64), (3, 5, 8)]
)
def test_few_examples_of_many_outputs_are_not_accused(seed, examples, outputs):
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=outputs).astype(np.float32)

    def score(x):
        # One number of each example is rounded otherwise in a batch, and all its outputs with it.
        hidden = x[:, :1] * np.float32(1 + (len(x) > 1) * 2.0**-19)
        return {"score": hidden * factors}

    x = rng.normal(size=(examples, 4)).astype(np.float32)
    assert batch_invariance(_typed(score, {"score": "float32"}), {"x": x}).passed


@pytest.mark.usefixtures("_without_culprit")
def test_the_items_of_one_user_are_not_accused():
    rng = np.random.default_rng(0)

    def score(feeds):
        user = feeds["user"][:, 0] * np.float32(1 + (len(feeds["user"]) > 1) * 2.0**-19)
        return {"score": user * feeds["item"][:, 0]}

    item = rng.normal(size=(64, 4)).astype(np.float32)
    users = rng.normal(size=(64, 4)).astype(np.float32)
    scorer = FunctionScorer(score, precision="float32")
    assert not batch_invariance(scorer, {"user": users, "item": item}).passed
    assert batch_invariance(scorer, {"user": np.tile(users[:1], (64, 1)), "item": item}).passed


@pytest.mark.usefixtures("_without_culprit")
def test_requests_that_are_repeated_are_not_accused():
    def score(x):
        return {"score": x[:, 0] * np.float32(1 + (len(x) > 1) * 2.0**-19)}

    x = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    scorer = _typed(score, {"score": "float32"})
    assert not batch_invariance(scorer, {"x": x}).passed
    x[1:] = x[:1]
    with pytest.raises(InputError, match="score alike"):
        batch_invariance(scorer, {"x": x})


@pytest.mark.parametrize("drawn", [False, True])
def test_where_all_examples_score_alike_nothing_can_be_told(drawn):
    """Words that no vocabulary has, however the examples came about."""
    word = keras.Input((), dtype="string", name="word")
    ids = keras.layers.StringLookup(vocabulary=["red", "green"])(word)
    score = keras.layers.Dense(1)(keras.layers.Embedding(4, 2)(ids))
    model = keras.Model(word, keras.layers.Lambda(lambda x: x - keras.ops.mean(x, axis=0))(score))
    given = {"random": 8} if drawn else {"examples": np.array(list("abcdefgh"), object)}
    if drawn:
        assert not batch_invariance(model, **given, batch_sizes=[2]).passed
        # No score is another where the one number that words become is the same.
        model = keras.Model(word, keras.layers.Lambda(lambda x: 0.0 * x)(score))
    with pytest.raises(InputError, match=r"all of 8 examples score alike, .*give examples"):
        batch_invariance(model, **given, batch_sizes=[2])


def test_of_one_request_that_is_repeated_nothing_can_be_told_but_what_moves():
    """What is put beside it may score otherwise, but is no example."""
    rows = {name: np.repeat(array[:1], 64, axis=0) for name, array in EXAMPLES.items()}
    with pytest.raises(Undecided, match="all of 64 examples score alike") as told:
        batch_invariance(ranker(keras.layers.ReLU()), rows, batch_sizes=[2, 8])
    assert told.value.report.passed is None
    assert all(result.passed for result in told.value.report.compositions)
    centred = function_of(CENTRED)
    assert batch_invariance(centred, rows, batch_sizes=[2, 8]).passed is False


@pytest.mark.usefixtures("_without_culprit")
def test_a_dependence_that_shows_though_all_examples_score_alike_is_told():
    alike = {"x": np.ones((8, 6), np.float32), "id": np.zeros(8, np.int32)}
    report = batch_invariance(function_of(lambda x, ids: x - tf.reduce_max(x)), alike)
    assert not report.passed


def test_beside_scores_that_are_alike_an_id_that_is_handed_through_tells_nothing():
    model = function_of(lambda x, ids: {"id": ids, "score": tf.nn.relu(x[:, 0] - 1e9)})
    with pytest.raises(InputError, match="score alike by 'score'"):
        batch_invariance(model, EXAMPLES, batch_sizes=[2])
    hands_on = function_of(lambda x, ids: {"id": ids})
    assert batch_invariance(hands_on, EXAMPLES, batch_sizes=[2]).passed


def test_a_score_that_is_the_same_for_all_is_not_told_by_another_beside_it():
    model = function_of(lambda x, ids: {"idle": tf.nn.relu(x[:, 0] - 1e9), "score": x[:, 0]})
    with pytest.raises(Undecided, match="score alike by 'idle', so that") as told:
        batch_invariance(model, EXAMPLES, batch_sizes=[2])
    assert told.value.report.untold.keys() == {"idle"}


@pytest.mark.parametrize(
    "constant",
    [
        lambda x: tf.fill([tf.shape(x)[0]], 3.0),
        lambda x: tf.zeros_like(x[:, 0]) + 0.5,
        lambda x: tf.repeat(["1.4.2"], tf.shape(x)[0]),
    ],
)
def test_what_depends_on_no_input_may_be_the_same_for_all_beside_a_score(constant):
    def layers(x, ids):
        return {"score": x[:, 0], "constant": constant(x)}

    report = batch_invariance(function_of(layers), EXAMPLES, batch_sizes=[2])
    assert report.passed
    assert "depends on no input" in report.untold["constant"]
    assert "not told  'constant': the same for all examples: it depends on no input" in str(report)


def test_without_a_graph_it_is_not_known_whether_an_output_depends_on_no_input():
    def score(feeds):
        return {"score": feeds["x"][:, 0], "threshold": np.full(len(feeds["x"]), 0.5)}

    with pytest.raises(InputError, match=r"by 'threshold'.*or the SavedModel by --against"):
        batch_invariance(FunctionScorer(score), EXAMPLES, batch_sizes=[2])


def test_scores_that_depend_on_no_input_are_no_scores():
    model = function_of(lambda x, ids: {"score": tf.fill([tf.shape(x)[0]], 3.0)})
    with pytest.raises(InputError, match="score alike"):
        batch_invariance(model, EXAMPLES, batch_sizes=[2])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_where_no_score_is_a_finite_number_nothing_can_be_told(value):
    model = function_of(lambda x, ids: {"score": x[:, 0] * 0.0 + value, "x": x[:, 1]})
    with pytest.raises(InputError, match=r"'score' is NaN or infinite for all of 24 examples"):
        batch_invariance(model, EXAMPLES, batch_sizes=[2])


def test_a_place_of_a_score_that_is_no_number_for_any_example_is_not_told_by_the_others():
    def spoiled(x, ids):
        spoil = tf.constant([0.0, np.nan, 0.0, np.inf, 0.0, 0.0])
        return {"logits": x + spoil, "score": x[:, 0]}

    with pytest.raises(Undecided, match=r"all of 24 examples in \[1\], \[3\] of 'logits'") as told:
        batch_invariance(function_of(spoiled), EXAMPLES, batch_sizes=[2])
    assert told.value.report.untold == {
        "logits": "NaN or infinite for all examples in [1], [3]",
    }


def test_a_few_examples_without_a_number_are_told_and_the_others_judged():
    def spoiled(x, ids):
        return tf.where(x[:, 0] > tf.sort(EXAMPLES["x"][:, 0])[-3], np.nan, x[:, 1])

    report = batch_invariance(function_of(spoiled), EXAMPLES, batch_sizes=[2])
    assert report.passed
    assert "2 of 24 examples" in report.untold["score"]


@pytest.mark.usefixtures("_without_culprit")
def test_what_depends_on_the_batch_has_failed_whatever_is_not_told_beside_it():
    def mixed(x, ids):
        return {"score": x[:, 0] - tf.reduce_mean(x[:, 0]), "nan": x[:, 0] * np.nan}

    report = batch_invariance(function_of(mixed), EXAMPLES, batch_sizes=[2])
    assert report.passed is False
    assert report.untold.keys() == {"nan"}


@pytest.mark.usefixtures("_without_culprit")
def test_scores_that_are_numbers_only_in_a_batch_depend_on_it():
    def unbiased(x):
        """A variance over the batch, which one example has not."""
        deviation = x[:, 0].std(ddof=1) + 1.0 if len(x) > 1 else np.nan
        return {"score": x[:, 0] / np.float32(deviation)}

    report = batch_invariance(_typed(unbiased, {"score": "float32"}), EXAMPLES, batch_sizes=[2])
    assert not report.passed


def test_a_drift_that_hangs_on_what_a_server_computes_in_can_not_be_told():
    def drifting(feeds):
        return {"score": feeds["x"][:, 0] * np.float32(1 + (len(feeds["x"]) > 1) * 1e-3)}

    examples = {"x": EXAMPLES["x"]}
    with pytest.raises(InputError, match=r"most examples move the same way.*--against"):
        batch_invariance(FunctionScorer(drifting), examples)
    assert not batch_invariance(FunctionScorer(drifting, precision="float32"), examples).passed


def _counted(directory):
    """How many steps a history has: one that ends in the id 0 has no other length for it."""
    module = tf.Module()
    spec = [tf.TensorSpec([None, None], tf.int64, "history")]

    def serve(history):
        own = tf.reduce_sum(tf.gather(tf.constant([0.5, 1.0, -2.0, 0.25]), history), axis=1)
        return {"score": own}

    module.serve = tf.function(serve, input_signature=spec)
    tf.saved_model.save(module, str(directory), signatures=module.serve)
    return directory


def test_a_sequence_may_end_in_zeros_that_are_no_padding(tmp_path):
    model = _counted(tmp_path)
    history = {"history": np.random.default_rng(0).integers(0, 4, (24, 5))}
    report = batch_invariance(model, history, batch_sizes=[2, 8])
    assert {result.name for result in report.compositions if not result.passed} == {
        "longer padding of 'history'"
    }
    assert report.culprit.op_type == "Sum"
    said = " ".join(str(report).split())
    assert "assumed zeros at the end of 'history' are padding; an input in which they are" in said
    told = batch_invariance(model, history, batch_sizes=[2, 8], unpadded=["history"])
    assert told.passed
    assert "assumed" not in str(told)
    assert told.left_out == {
        "longer padding of 'history'": "zeros at the end of 'history' were said to be no padding"
    }


def test_what_is_no_input_can_not_be_unpadded():
    with pytest.raises(
        InputError, match="unpadded names 'history', which is no input; accepted: 'x', 'id'"
    ):
        batch_invariance(ranker(keras.layers.ReLU()), EXAMPLES, unpadded=["history"])


@pytest.mark.slow
def test_the_culprit_is_found_though_few_examples_are_concerned():
    """The first examples, which are watched else, score by themselves."""
    x = np.random.default_rng(0).normal(size=(24, 6)).astype(np.float32)
    x[:, 0] = np.where(np.arange(24) < 21, -1.0, 1.0)
    few = function_of(lambda x, ids: tf.where(x[:, 0] > 0, tf.reduce_mean(x[:, 1]), x[:, 2]))
    ids = np.zeros(24, EXAMPLES["id"].dtype)
    report = batch_invariance(few, {"x": x, "id": ids}, batch_sizes=[2])
    assert not report.passed and report.culprit.op_type == "Mean"
