"""MirroredStrategy on three logical CPUs, compared with NumPy."""

import distribute_cases as cases
import distribute_oracle as oracle
import keras
import numpy as np
import pytest
import tensorflow as tf
from apart import apart
from distribute import mirrored
from oracles import assert_close
from releases import release

pytestmark = pytest.mark.slow
CASES = pytest.mark.parametrize("case", cases.ARGUMENTS)
LEARNS = pytest.mark.skipif(
    release(keras) < (3, 8),
    reason="in this Keras not even a Dense learns on replicas what it learns on one device",
)
SYNCHRONIZED = pytest.mark.parametrize("case", ["bn synchronized", "dice synchronized"])


@pytest.fixture(scope="module")
def results():
    (results,) = apart(mirrored.main, ())
    return results


@CASES
def test_a_custom_loop_trains_as_numpy_does(results, case):
    """With a short last shard, an empty one, and a step where one replica alone has rows."""
    steps, weights = oracle.train(case, cases.STEPS)
    for n, (y, dx) in enumerate(steps):
        assert_close(results[f"{case}/loop/y {n}"], y)
        assert_close(results[f"{case}/loop/dx {n}"], dx)
    names = ["alpha"] if case.startswith("dice") else ["gamma", "beta"]
    for name, expected in zip([*names, "moving_mean", "moving_variance"], weights, strict=True):
        assert_close(results[f"{case}/loop/{name}"], expected)


@CASES
def test_fit_moves_the_statistics_by_the_global_batch_or_to_the_mean_of_the_replicas(results, case):
    """Keras's layer keeps one replica's, where its statistics are not synchronized."""
    x = cases.data(9, cases.FIT_ROWS)
    moving = oracle.initial_statistics()
    for start in range(0, cases.FIT_ROWS, cases.FIT_BATCH):
        batch = x[start : start + cases.FIT_BATCH]
        rows = -(-len(batch) // cases.REPLICAS)
        parts = [batch[rows * n : rows * (n + 1)] for n in range(cases.REPLICAS)]
        moving = oracle.update(case, moving, parts)
    assert_close(results[f"{case}/fit/moving_mean"], moving[0])
    assert_close(results[f"{case}/fit/moving_variance"], moving[1])


@CASES
def test_synchronized_statistics_take_one_collective_a_call(results, case):
    """Others take two: for the mean over the replicas of the moving mean, and of the variance."""
    expected = 1 if cases.ARGUMENTS[case].get("synchronized") else 2
    assert results[f"{case}/collectives"] == expected


@CASES
@pytest.mark.parametrize("inside", ["cond", "map_fn", "function"])
def test_a_call_from_where_replicas_can_not_meet_is_told_in_a_line(results, case, inside):
    kind, message = results[f"{case}/refusal/{inside}"]
    assert kind == "InputError"
    assert "tf.function around strategy.run" in message


@SYNCHRONIZED
@pytest.mark.parametrize(("ratio", "bound"), [(1000, 1e-5), (10_000, 1e-3)])
def test_the_synchronized_variance_is_right_far_from_zero(results, case, ratio, bound):
    x = np.concatenate(cases.far_shards(ratio, cases.REPLICAS))
    ddof = 1 if cases.ARGUMENTS[case].get("unbiased_variance") else 0
    expected = x.var(0, dtype=np.float64, ddof=ddof)
    np.testing.assert_allclose(results[f"{case}/variance/{ratio}"], expected, rtol=bound)


@LEARNS
@pytest.mark.parametrize("by_loop", [False, True], ids=["fit", "loop"])
def test_dien_learns_on_replicas_what_it_learns_on_one_device(results, by_loop):
    """Its auxiliary loss, too, is the mean over all steps of the global batch, whichever replica has them."""
    history, weights = cases.train_dien(tf.distribute.get_strategy(), by_loop)
    found, trained = results[f"dien/{by_loop}"]
    for name in ("loss", "auxiliary_loss"):
        np.testing.assert_allclose(found[name], history[name], rtol=1e-5, err_msg=name)
    for one, other in zip(trained, weights, strict=True):
        assert_close(one, other)


@LEARNS
def test_lazy_adam_moves_on_replicas_what_it_moves_on_one_device(results):
    for n, weight in enumerate(cases.train_lazily(tf.distribute.get_strategy())):
        np.testing.assert_allclose(results[f"lazily/weight {n}"], weight, rtol=1e-5, atol=1e-6)
