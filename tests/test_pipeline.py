import click_rows
import keras
import numpy as np
import pytest

from tfnorm import datasets, models, pipeline
from tfnorm.errors import InputError
from tfnorm.pipeline import deliver, main_job, recalibrate_by_file
from tfnorm.session import SavedModel, versions
from tfnorm.statistics import recalibrate_statistics


@pytest.fixture(scope="module")
def log():
    return datasets.synthetic()


@pytest.fixture(scope="module")
def steps():
    return []


@pytest.fixture(scope="module")
def job(log, steps, tmp_path_factory):
    directory = tmp_path_factory.mktemp("din")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "KEPT_EXAMPLES", 32)
        return main_job(log, directory, progress=lambda *step: steps.append(step))


@pytest.mark.slow
def test_the_main_job_ends_with_an_export_that_three_targets_verify(job):
    assert job.passed
    assert set(job.reports) == {"file", "gRPC", "REST"}
    assert all(report.max_abs_diff <= 1e-6 for report in job.reports.values())
    assert job.delivered.export.version == 1
    assert job.reports["file"].target == str(job.delivered.export.path)


@pytest.mark.slow
def test_the_trained_model_comes_near_the_best_possible_auc(job):
    assert job.trained.best_auc - 0.03 < job.trained.auc < job.trained.best_auc + 0.005


@pytest.mark.slow
def test_progress_goes_from_the_first_step_to_the_last(job, steps):
    stages = list(dict.fromkeys(stage for stage, _, _ in steps))
    assert stages == ["train", "verify the file", "verify gRPC", "verify REST"]
    for stage in stages:
        done = [(n, total) for name, n, total in steps if name == stage]
        assert [n for n, _ in done] == sorted(n for n, _ in done)
        assert done[-1][0] == done[-1][1]


@pytest.mark.slow
def test_the_export_scores_what_the_model_scores(job, log):
    examples = {name: array[:64] for name, array in log.test.features.items()}
    with SavedModel(job.delivered.export.path) as saved:
        scores = saved.run(examples)["score"]
    np.testing.assert_allclose(scores, job.trained.model.predict(examples, verbose=0), atol=1e-6)


class MeanCentred(keras.layers.Layer):
    """Subtracts the batch's mean, in training and in serving."""

    def call(self, inputs):
        return inputs - keras.ops.mean(inputs, axis=0, keepdims=True)


def dependent():
    inputs = keras.Input((4,), name="x")
    return keras.Model(inputs, keras.layers.Dense(1)(MeanCentred()(inputs)))


def test_a_model_that_fails_leaves_no_version_behind(tmp_path):
    examples = {"x": np.random.default_rng(0).standard_normal((32, 4)).astype(np.float32)}
    delivered = deliver(dependent(), tmp_path / "exports", examples)
    assert delivered.export is None
    assert not delivered.verdict.passed
    assert not versions(tmp_path / "exports")


def test_a_place_that_can_not_be_written_is_refused_before_the_work(tmp_path, log):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file is not a folder"):
        main_job(log, tmp_path / "file")


FORMATS = {
    "log.parquet": click_rows.write_parquet,
    "log.jsonl": click_rows.write_jsonl,
    "log.csv": click_rows.write_csv,
    "log.tfrecord": click_rows.write_tfrecord,
}


@pytest.fixture(scope="module")
def ranker():
    keras.utils.set_random_seed(0)
    return models.DIN(click_rows.SCHEMA, units=(4, 2))


@pytest.fixture(scope="module")
def normalizations(ranker):
    return [layer for layer in ranker.layers if hasattr(layer, "moving_mean")]


@pytest.fixture(scope="module")
def expected(ranker, normalizations, tmp_path_factory):
    """The statistics of a log that training reads: those of its schema, whatever its format."""
    path = tmp_path_factory.mktemp("log") / "log.parquet"
    click_rows.write_parquet(path, click_rows.rows(60))
    recalibrate_statistics(ranker, datasets.read(path, click_rows.SCHEMA).batches(16))
    return [(x.moving_mean.numpy(), x.moving_variance.numpy()) for x in normalizations]


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_a_file_gives_a_schema_s_model_the_statistics_of_the_log(
    tmp_path, ranker, normalizations, expected, name
):
    """Its histories are longer than the schema lets them be, and it has columns that are no inputs."""
    given = click_rows.rows(60)
    assert max(len(row["hist_items"]) for row in given) > 4
    FORMATS[name](tmp_path / name, given)
    for layer in normalizations:
        layer.moving_mean.assign(np.full(layer.moving_mean.shape, 3))
        layer.moving_variance.assign(np.full(layer.moving_variance.shape, 5))
    done = recalibrate_by_file(ranker, tmp_path / name)
    assert done.examples == 60
    for layer, (mean, variance) in zip(normalizations, expected, strict=True):
        np.testing.assert_allclose(layer.moving_mean, mean, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(layer.moving_variance, variance, rtol=1e-4, atol=1e-6)
