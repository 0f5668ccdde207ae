import numpy as np
import pytest

from tfnorm.statistics.judgement import (
    DOUBTFUL,
    FITS,
    KEPT,
    OFF,
    TRACE,
    UNDECIDED,
    Moments,
    Residue,
    Used,
    initial_share,
    merged,
    residue,
    verdict,
)

NAN = float("nan")


def parts_of(x, count=8):
    return [
        Moments(np.full(x.shape[1], len(part)), part.mean(0), part.var(0) * len(part))
        for part in (x[i::count] for i in range(count))
    ]


def used_after(mean, variance, share):
    """What moving averages hold that still have this share of 0 and 1."""
    zeros, ones = np.zeros_like(mean), np.ones_like(variance)
    return Used((1 - share) * mean, (1 - share) * variance + share, zeros, ones)


def channels(rng, rows, centred=False):
    """Columns of many scales, whose true means and variances are known."""
    std = np.geomspace(0.1, 10, 32)
    mean = 0 * std if centred else np.linspace(1, 3, 32) * std
    return rng.normal(mean, std, (rows, 32)), mean, std**2


def test_parts_merge_to_the_moments_of_all_rows():
    x = np.random.default_rng(0).normal(3, 2, (101, 4))
    whole = merged(parts_of(x))
    np.testing.assert_array_equal(whole.count, np.full(4, 101))
    np.testing.assert_allclose(whole.mean, x.mean(0))
    np.testing.assert_allclose(whole.variance, x.var(0))


@pytest.mark.parametrize("share", [0.0, 0.15, 0.4, 0.8])
@pytest.mark.parametrize("rows", [64, 1024])
def test_means_tell_what_is_left_of_the_initial_statistics(share, rows):
    x, mean, variance = channels(np.random.default_rng(0), rows)
    found = residue(parts_of(x), used_after(mean, variance, share))
    assert found.at_least - 0.02 <= share <= found.at_most + 0.02
    assert found.at_least > share - 0.1
    assert found.of_variances <= share + 0.02


@pytest.mark.parametrize("share", [0.0, 0.15, 0.4, 0.8])
def test_variances_tell_it_where_means_are_zero(share):
    x, mean, variance = channels(np.random.default_rng(0), 512, centred=True)
    found = residue(parts_of(x), used_after(mean, variance, share))
    assert found.at_least is None
    assert share - 0.1 < found.of_variances <= share + 0.02
    assert initial_share([found, found]) == pytest.approx(max(0, found.of_variances))


@pytest.mark.parametrize("rows", [64, 512, 4096])
def test_right_statistics_are_not_refused_where_a_sample_lacks_the_largest_values(rows):
    # Log-normal columns: most samples of 64 rows have half the variance or less.
    mean, variance = np.exp(0.72), (np.exp(1.44) - 1) * np.exp(1.44)
    used = used_after(np.full(32, mean) / 8, np.full(32, variance) / 64, 0.0)
    rng = np.random.default_rng(0)
    for _ in range(30):
        x = np.exp(1.2 * rng.normal(size=(rows, 32))) / 8
        assert initial_share([residue(parts_of(x), used)]) < KEPT


def test_flags_set_in_one_percent_of_rows_do_not_refuse_right_statistics():
    rng = np.random.default_rng(0)
    x = (rng.random((64, 32)) < 0.01).astype(float)
    used = used_after(np.full(32, 0.01), np.full(32, 0.0099), 0.0)
    assert initial_share([residue(parts_of(x), used)]) < TRACE
    assert initial_share([residue(parts_of(x), used_after(used.mean, used.variance, 0.15))]) > KEPT


def test_without_initial_values_or_enough_channels_nothing_is_said():
    x, mean, variance = channels(np.random.default_rng(0), 64)
    nothing = Residue(None, None, None)
    assert residue(parts_of(x), Used(mean, variance)) == nothing
    few = used_after(mean[:3], variance[:3], 0.5)
    assert residue(parts_of(x[:, :3]), few) == nothing
    assert initial_share([nothing]) is None


def test_variances_of_one_layer_alone_do_not_speak_for_three():
    silent, telling = Residue(None, None, None), Residue(None, None, 0.3)
    assert initial_share([silent, telling, silent]) == 0
    assert initial_share([silent, telling, telling]) == 0.3


def test_no_layer_says_more_than_the_means_of_the_first():
    assert initial_share([Residue(-0.1, 0.14, 0.3), Residue(None, None, 0.3)]) == pytest.approx(
        0.02
    )


@pytest.mark.parametrize(
    ("share", "effect", "noise", "said"),
    [
        (0.3, 0.5, 0.1, OFF),
        (0.3, 0.01, 0.01, FITS),  # No score shows it.
        (0.05, 0.5, 0.1, DOUBTFUL),
        (0.0, 1.5, 0.1, OFF),
        (0.0, 1.5, 0.9, UNDECIDED),
        (0.0, 0.7, 0.1, DOUBTFUL),
        (0.0, 0.1, 0.05, FITS),
        (None, 0.1, 0.05, FITS),
        (None, 0.4, 0.3, UNDECIDED),
        (None, NAN, NAN, UNDECIDED),
        (0.3, NAN, NAN, OFF),
    ],
)
def test_the_verdict_rests_on_what_is_left_and_on_what_it_does_to_scores(
    share, effect, noise, said
):
    assert verdict(share, effect, noise) == said
