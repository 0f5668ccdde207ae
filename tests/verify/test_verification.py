import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from verify.dependent_models import (
    FUNCTIONS,
    BatchDice,
    Counting,
    examples,
    function_of,
    in_training_mode,
    ranker,
)

import tfnorm.layers
from tfnorm.errors import InputError
from tfnorm.verify import InvarianceReport, Undecided, batch_invariance, load_scorer

EXAMPLES = examples()
LARGER = {"others at 10x", "others at -10x", "others at 1000x", "10x the largest"}


@pytest.fixture(autouse=True)
def _without_culprit(monkeypatch):
    """What is to blame has tests of its own, and takes its time."""
    monkeypatch.setattr("tfnorm.verify.run.blame", lambda *arguments: (None, None))


def _saved_model(model, directory):
    model.export(directory / "model", verbose=False)
    return directory / "model"


def _keras_file(model, directory):
    model.save(directory / "model.keras")
    return directory / "model.keras"


TARGETS = {
    "Keras model": lambda model, directory: model,
    ".keras file": _keras_file,
    "SavedModel": _saved_model,
}


@pytest.fixture(params=TARGETS)
def as_target(request, tmp_path):
    """A model as each kind of target on this machine."""
    return lambda model: TARGETS[request.param](model, tmp_path)


def test_a_mlp_of_keras_own_layers_passes(as_target):
    model = ranker(
        keras.layers.BatchNormalization(), keras.layers.ReLU(), keras.layers.Dropout(0.5)
    )
    tfnorm.recalibrate_statistics(model, [EXAMPLES])
    report = batch_invariance(as_target(model), EXAMPLES)
    assert report.passed
    assert report.max_abs_diff < 1e-6
    assert report.examples == 24
    assert report.culprit is None


def test_of_a_folder_of_versions_the_newest_counts(tmp_path):
    ranker(BatchDice()).export(tmp_path / "2", verbose=False)
    ranker(keras.layers.ReLU()).export(tmp_path / "10", verbose=False)
    report = batch_invariance(tmp_path, EXAMPLES, batch_sizes=[2])
    assert report.passed
    assert report.target == str(tmp_path / "10")


def test_dice_with_the_batchs_own_statistics_fails(as_target):
    keras.saving.register_keras_serializable("tests")(BatchDice)
    report = batch_invariance(as_target(ranker(BatchDice())), EXAMPLES)
    assert not report.passed
    assert report.max_abs_diff > 1e-2
    assert max(result.rows_changed for result in report.compositions) == 24


def test_batch_normalization_in_training_mode_fails(as_target):
    model = ranker(in_training_mode(tfnorm.layers.BatchNormalization()))
    report = batch_invariance(as_target(model), EXAMPLES)
    assert not report.passed
    assert report.max_abs_diff > 1e-2


def test_tfnorms_layers_pass(as_target):
    model = ranker(tfnorm.layers.BatchNormalization(), tfnorm.layers.Dice())
    tfnorm.recalibrate_statistics(model, [EXAMPLES])
    assert batch_invariance(as_target(model), EXAMPLES).passed


@pytest.mark.parametrize("defect", FUNCTIONS)
def test_each_way_to_depend_on_the_batch_is_found(defect):
    assert not batch_invariance(function_of(FUNCTIONS[defect]), EXAMPLES).passed


def test_a_hidden_counter_is_found_by_scoring_again():
    report = batch_invariance(ranker(Counting()), EXAMPLES)
    assert not report.passed
    assert report.compositions[-1].name == "one at a time, again"
    assert not report.compositions[-1].passed


def test_the_frequency_of_an_id_that_no_two_examples_share_is_found_among_copies():
    report = batch_invariance(function_of(FUNCTIONS["frequency of an id"]), EXAMPLES)
    failed = {result.name for result in report.compositions if not result.passed}
    assert "copies of each" in failed
    assert "batches of 8" not in failed


def test_what_only_larger_neighbours_bring_out_is_found_among_them():
    report = batch_invariance(function_of(FUNCTIONS["a neighbour's NaN"]), EXAMPLES)
    failed = {result.name for result in report.compositions if not result.passed}
    assert failed == {f"among {name}" for name in LARGER}
    assert report.max_ulp is None


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.LayerNormalization(),
        keras.layers.GroupNormalization(4),
        keras.layers.UnitNormalization(),
        keras.layers.GaussianNoise(1.0),
        keras.layers.Softmax(),
    ],
    ids=lambda layer: layer.name,
)
def test_layers_that_look_at_one_example_pass(layer):
    assert batch_invariance(ranker(layer), EXAMPLES).passed


def test_every_output_is_compared_and_the_worst_is_on_top():
    model = function_of(
        lambda x, ids: {"clean": x[:, :1], "moved": x - tf.reduce_mean(x), "id": ids}
    )
    report = batch_invariance(model, EXAMPLES)
    assert [report.outputs[name].passed for name in ("clean", "moved", "id")] == [True, False, True]
    assert report.outputs["id"].dtype == "int32"
    assert report.max_abs_diff == report.outputs["moved"].max_abs_diff > 0
    assert report.outputs["clean"].max_abs_diff == 0
    for result in report.compositions:
        assert result.max_abs_diff == max(move.max_abs_diff for move in result.outputs.values())


def test_the_largest_move_is_that_of_numpy():
    report = batch_invariance(
        function_of(lambda x, ids: x[:, 0] - tf.reduce_mean(x[:, 0])), EXAMPLES, batch_sizes=[2]
    )
    x = EXAMPLES["x"][:, 0].astype(np.float64)
    pairs = x.reshape(-1, 2)
    in_twos = next(result for result in report.compositions if result.name == "batches of 2")
    expected = np.abs(pairs - pairs.mean(axis=1, keepdims=True)).max()
    assert in_twos.max_abs_diff == pytest.approx(expected, rel=1e-6)
    assert in_twos.rows_changed == 24


def test_an_output_without_the_batch_fails_and_says_so():
    report = batch_invariance(function_of(FUNCTIONS["a mean over the batch"]), EXAMPLES)
    assert "batch dimension is lost" in report.compositions[0].outputs["score"].problem
    json.loads(report.to_json())


def test_nan_scores_that_stay_nan_pass():
    model = function_of(lambda x, ids: tf.where(ids < 5, np.nan, x[:, 0]))
    assert batch_invariance(model, EXAMPLES).passed


def test_bitwise_does_not_pass_what_is_only_rounding():
    wide = {"x": np.random.default_rng(0).normal(size=(64, 500)).astype(np.float32)}
    model = keras.Sequential([keras.Input((500,), name="x"), keras.layers.Dense(1)])
    report = batch_invariance(model, wide)
    assert report.passed
    assert batch_invariance(model, wide, bitwise=True).passed == (report.max_abs_diff == 0)
    copied = function_of(lambda x, ids: x[:, 0])
    assert batch_invariance(copied, EXAMPLES, bitwise=True).passed


def test_a_tolerance_wider_than_the_move_passes_it():
    model = function_of(lambda x, ids: x[:, 0] + 1e-5 * tf.reduce_mean(x))
    assert not batch_invariance(model, EXAMPLES).passed
    assert batch_invariance(model, EXAMPLES, atol=1.0).passed
    assert batch_invariance(model, EXAMPLES | {"x": EXAMPLES["x"] + 100}, rtol=1.0).passed


def test_a_half_precision_model_that_only_rounds_passes():
    model = keras.Sequential(
        [keras.Input((500,), dtype="float16"), keras.layers.Dense(1, "sigmoid", dtype="float16")]
    )
    wide = np.random.default_rng(0).normal(size=(64, 500)).astype(np.float16)
    report = batch_invariance(model, wide)
    assert report.outputs["score"].dtype == "float16"
    assert report.passed


def test_verification_leaves_the_model_as_it_was():
    model = ranker(in_training_mode(tfnorm.layers.BatchNormalization()), Counting())
    before = [np.copy(weight) for weight in model.get_weights()]
    assert not batch_invariance(model, EXAMPLES).passed
    for was, weight in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(was, weight)


def test_a_neighbour_that_the_model_refuses_is_left_out():
    def checked(x, ids):
        with tf.control_dependencies([tf.debugging.assert_less(x, 20.0)]):
            return tf.identity(x[:, 0])

    report = batch_invariance(function_of(checked), EXAMPLES)
    assert report.passed
    assert report.left_out.keys() == {f"among {name}" for name in LARGER}
    assert not report.left_out.keys() & {result.name for result in report.compositions}


@pytest.mark.parametrize("target", ["Keras model", "SavedModel"])
def test_a_batch_that_the_model_refuses_is_not_a_verdict(target, tmp_path):
    def at_most_five(x, ids):
        with tf.control_dependencies([tf.debugging.assert_less(tf.shape(x)[0], 6)]):
            return tf.identity(x[:, 0])

    with pytest.raises(Undecided, match=r"stopped at 'batches of 7'.* refuses .* failed") as error:
        batch_invariance(TARGETS[target](function_of(at_most_five), tmp_path), EXAMPLES)
    assert "\n" not in str(error.value)
    assert "Graph execution error" not in str(error.value)
    report = error.value.report
    assert report.passed is None
    assert {r.name for r in report.compositions} >= {"batches of 2", "batches of 3", "a batch of 5"}
    assert report.left_out.keys() >= {"batches of 7", "all at once", "among zeros"}
    assert InvarianceReport.from_dict(json.loads(report.to_json())) == report


def _missing_file(largest):
    name = tf.where(largest > 100.0, "/no/such/file", "/proc/self/comm")
    return tf.strings.length(tf.io.read_file(name))


@pytest.mark.parametrize("company", [False, True])
@pytest.mark.parametrize("target", ["Keras model", "SavedModel"])
def test_an_error_among_neighbours_leaves_the_report_of_what_is_known(target, company, tmp_path):
    def score(x, ids):
        largest = tf.reduce_max(x) - tf.reduce_min(x) if company else tf.reduce_max(x)
        failed = tf.cast(_missing_file(largest), tf.float32)
        return x[:, 0] + 0.0 * failed

    model = TARGETS[target](function_of(score), tmp_path)
    report = batch_invariance(model, EXAMPLES, batch_sizes=[2, 8])
    assert report.passed
    assert report.left_out.keys() >= {"among others at 1000x"}
    assert {name.partition(" ")[0] for name in report.left_out} == {"among"}
    kinds = {result.kind for result in report.compositions}
    assert kinds >= {"size", "neighbours", "position", "repeat"}


def test_a_model_that_runs_out_of_memory_leaves_the_report_of_what_is_known(tmp_path, monkeypatch):
    scorer = load_scorer(_saved_model(function_of(lambda x, ids: x[:, 0]), tmp_path))
    score = scorer._model.run

    def run(feeds, **options):
        if feeds["x"].max() > 100 or len(feeds["x"]) > 100:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")
        return score(feeds, **options)

    monkeypatch.setattr(scorer._model, "run", run)
    with pytest.raises(Undecided, match=r"'batches of 256', in a batch of 256.*OOM") as error:
        batch_invariance(scorer, EXAMPLES)
    report = error.value.report
    assert report.left_out.keys() >= {"batches of 256", "a batch of 127", "among others at 1000x"}
    assert {"batches of 100", "all at once"} <= {result.name for result in report.compositions}
    assert batch_invariance(scorer, EXAMPLES, batch_sizes=[2, 16]).passed


def test_a_dependence_is_told_though_the_model_refuses_batches_that_it_should_take():
    def at_most_five(x, ids):
        with tf.control_dependencies([tf.debugging.assert_less(tf.shape(x)[0], 6)]):
            return x[:, 0] - tf.reduce_mean(x)

    report = batch_invariance(function_of(at_most_five), EXAMPLES)
    assert report.passed is False
    assert report.left_out.keys() >= {"batches of 7", "among other examples"}


def test_the_examples_of_an_export_are_the_default(tmp_path):
    path = _saved_model(ranker(keras.layers.ReLU()), tmp_path)
    with pytest.raises(InputError, match="comes with no examples"):
        batch_invariance(path)
    (path / "assets.extra").mkdir()
    np.savez_compressed(path / "assets.extra" / "examples.npz", **EXAMPLES)
    report = batch_invariance(tmp_path / "model")
    assert report.passed
    assert report.examples == 24
    assert report.signature == "serving_default"
    assert report.target == str(path)


def test_a_scorer_is_verified_as_it_is_and_stays_open():
    scorer = load_scorer(ranker(keras.layers.ReLU()))
    assert batch_invariance(scorer, EXAMPLES).passed
    assert scorer.score(EXAMPLES)["score"].shape == (24, 1)


def test_progress_counts_the_rows_to_the_end():
    seen = []
    batch_invariance(
        ranker(keras.layers.ReLU()), EXAMPLES, progress=lambda done, of: seen.append((done, of))
    )
    done = [rows for rows, _ in seen]
    assert done == sorted(done)
    assert done[0] == 1
    assert len({of for _, of in seen}) == 1
    assert seen[-1][0] == seen[-1][1]


def test_the_same_seed_gives_the_same_report():
    model = ranker(BatchDice())
    first, second = (batch_invariance(model, EXAMPLES, seed=7) for _ in range(2))
    assert first == second
    assert first.to_json() != batch_invariance(model, EXAMPLES, seed=8).to_json()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_sizes": []}, r"batch_sizes is \[\]"),
        ({"batch_sizes": [1, 2]}, "2 or more"),
        ({"batch_sizes": [2.5]}, "whole numbers"),
        ({"atol": -1e-6}, "atol is -1e-06"),
        ({"rtol": float("nan")}, "rtol is nan"),
        ({"seed": -1}, "seed is -1"),
        ({"signature": "serving_default"}, "a Keras model has no signatures"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        batch_invariance(ranker(keras.layers.ReLU()), EXAMPLES, **options)


def test_what_was_left_out_counts_as_done():
    def checked(x, ids):
        with tf.control_dependencies([tf.debugging.assert_less(x, 20.0)]):
            return tf.identity(x[:, 0])

    seen = []
    batch_invariance(function_of(checked), EXAMPLES, progress=lambda *counts: seen.append(counts))
    assert seen[-1][0] == seen[-1][1]


def test_a_bitwise_report_is_json_whatever_numbers_it_was_asked_with():
    report = batch_invariance(
        function_of(lambda x, ids: x[:, 0]),
        EXAMPLES,
        batch_sizes=np.array([8, 4, 8]),
        atol=np.float32(1e-6),
        seed=np.int64(3),
        bitwise=True,
    )
    document = json.loads(report.to_json())
    assert document["seed"] == 3
    names = [composition["name"] for composition in document["compositions"]]
    assert {"batches of 4", "batches of 8"} <= set(names) and len(set(names)) == len(names)
