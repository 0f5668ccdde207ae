"""TensorFlow Serving's file of batching parameters."""

import pytest
import zoo

from tfnorm.errors import InputError
from tfnorm.export.deployment.config import write_serving_config
from tfnorm.server import BatchingParameters, read_batching_parameters


def test_the_parameters_of_a_deployment_are_read(tmp_path):
    directory = zoo.exported("perceptron")[1]
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "1").symlink_to(directory)
    write_serving_config(tmp_path / "exports" / "1", tmp_path / "deploy")
    parameters = read_batching_parameters(tmp_path / "deploy" / "batching.config")
    assert parameters.allowed_batch_sizes == (8, 16, 32, 64, 128, 256, 512, 1024)
    assert parameters.max_batch_size == 1024
    assert parameters.max_enqueued_batches == 64


def test_split_batches_are_filled_up_to_sizes_of_which_the_last_is_the_largest_request():
    parameters = BatchingParameters(
        max_batch_size=8,
        enable_large_batch_splitting=True,
        max_execution_batch_size=4,
        allowed_batch_sizes=(2, 8),
    )
    assert [parameters.filled_up(rows) for rows in (1, 2, 3, 4)] == [2, 2, 8, 8]


def test_parameters_that_are_left_out_have_their_defaults(tmp_path):
    file = tmp_path / "batching.config"
    file.write_text("# nothing")
    assert read_batching_parameters(file) == BatchingParameters()
    file.write_text('thread_pool_name { value: "a" } enable_large_batch_splitting { value: true }')
    assert read_batching_parameters(file) == BatchingParameters(enable_large_batch_splitting=True)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("max_batch_size: 8", "holds no batching parameters"),
        ("largest { value: 8 }", "holds no batching parameters"),
        ("max_batch_size { value: 0 }", "max_batch_size is 0; accepted: 1 or more"),
        ("batch_timeout_micros { value: -1 }", "batch_timeout_micros is -1; accepted: 0 or more"),
        ("allowed_batch_sizes: [8, 4]", "accepted: positive and increasing"),
        ("max_batch_size { value: 8 } allowed_batch_sizes: 4", "the last being max_batch_size, 8"),
        (
            "max_batch_size { value: 8 } enable_large_batch_splitting { value: true } "
            "max_execution_batch_size { value: 4 } allowed_batch_sizes: [2, 4]",
            "the last being max_batch_size, 8",
        ),
        (
            "enable_large_batch_splitting { value: true } max_execution_batch_size { value: 2000 }",
            "accepted: 1 to max_batch_size, which is 1000",
        ),
    ],
)
def test_parameters_that_can_not_be_are_refused(text, reason, tmp_path):
    file = tmp_path / "batching.config"
    file.write_text(text)
    with pytest.raises(InputError, match=reason) as caught:
        read_batching_parameters(file)
    assert str(file) in str(caught.value)
    with pytest.raises(InputError, match="can't be read"):
        read_batching_parameters(tmp_path)
