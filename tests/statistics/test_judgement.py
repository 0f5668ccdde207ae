import dataclasses

import numpy as np
import pytest

from tfnorm.statistics.judgement import (
    DOUBTFUL,
    FITS,
    KEPT,
    OFF,
    TRACE,
    UNDECIDED,
    Estimate,
    InitialShare,
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


def share_of(x, used):
    return initial_share([residue(parts_of(x), used)])


@pytest.mark.parametrize("share", [0.0, 0.15, 0.4, 0.8])
@pytest.mark.parametrize("rows", [64, 1024])
@pytest.mark.parametrize("centred", [False, True])
def test_means_and_variances_tell_what_is_left_of_the_initial_statistics(share, rows, centred):
    x, mean, variance = channels(np.random.default_rng(0), rows, centred)
    used = used_after(mean, variance, share)
    found = residue(parts_of(x), dataclasses.replace(used, settled=True))
    for estimate in (found.of_variances, *([] if centred else [found.of_means])):
        assert estimate.least - 0.01 <= share <= estimate.most + 0.01
    told = initial_share([found])
    blur = 0.04 if rows > 64 else 0.15
    assert share - blur < told.at_least <= share + 0.01
    assert share - 0.01 <= told.at_most < share + blur


@pytest.mark.parametrize("share", [0.15, 0.4])
def test_estimates_are_not_drawn_to_one_by_what_a_few_rows_get_wrong(share):
    """Errors of the mean on both sides would pass for initial values; over many samples it is right."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        x = rng.normal(0.5, 1, (64, 12))
        used = used_after(np.full(12, 0.5), np.ones(12), share)
        found.append(residue(parts_of(x), dataclasses.replace(used, settled=True)).of_means)
    shares = np.array([estimate.share for estimate in found])
    assert np.mean(shares) == pytest.approx(share, abs=0.03)
    assert np.std(shares) == pytest.approx(np.mean([e.error for e in found]), rel=0.5)
    inside = [estimate.least <= share <= estimate.most for estimate in found]
    assert np.mean(inside) > 0.88


@pytest.mark.parametrize("rows", [64, 512, 4096])
def test_right_statistics_are_not_refused_where_a_sample_lacks_the_largest_values(rows):
    # Log-normal columns: most samples of 64 rows have half the variance or less.
    mean, variance = np.exp(0.72), (np.exp(1.44) - 1) * np.exp(1.44)
    used = used_after(np.full(32, mean) / 8, np.full(32, variance) / 64, 0.0)
    rng = np.random.default_rng(0)
    for settled in (True, False):
        for _ in range(30):
            x = np.exp(1.2 * rng.normal(size=(rows, 32))) / 8
            assert share_of(x, dataclasses.replace(used, settled=settled)).at_least < KEPT


def test_means_that_are_the_initial_ones_but_for_chance_refuse_nothing():
    """Symmetric and heavy-tailed: whatever the means of few rows are, they are none that training saw."""
    for seed in range(40):
        x = np.random.default_rng(seed).standard_t(2, (64, 12))
        true = Used(np.zeros(12), np.full(12, 12.0), np.zeros(12), np.ones(12))
        found = share_of(x, true)
        assert found is None or found.at_least < TRACE, seed


def test_flags_set_in_one_percent_of_rows_do_not_refuse_right_statistics():
    rng = np.random.default_rng(0)
    x = (rng.random((64, 32)) < 0.01).astype(float)
    used = used_after(np.full(32, 0.01), np.full(32, 0.0099), 0.0)
    assert share_of(x, used).at_least < TRACE
    assert share_of(x, used_after(used.mean, used.variance, 0.15)).at_least > KEPT


def test_a_column_that_has_changed_since_the_training_does_not_speak_for_the_others():
    """A constant of 6 that is 7 now looks by itself like a share of a seventh."""
    x, mean, variance = channels(np.random.default_rng(0), 512)
    x[:, 0], mean[0], variance[0] = 7, 6, 0
    used = dataclasses.replace(used_after(mean, variance, 0.0), settled=True)
    assert share_of(x, used).at_least < TRACE


def test_without_initial_values_or_values_nothing_is_said():
    x, mean, variance = channels(np.random.default_rng(0), 64)
    assert residue(parts_of(x), Used(mean, variance)) == Residue(None, None, False)
    empty = [Moments(np.zeros(32), np.zeros(32), np.zeros(32))] * 8
    assert residue(empty, used_after(mean, variance, 0.5)) == Residue(None, None, False)
    assert initial_share([Residue(None, None, False)]) is None


def test_statistics_that_no_training_has_moved_are_the_initial_ones_whatever_is_before_them():
    x, _, _ = channels(np.random.default_rng(0), 64)
    zeros, ones = np.zeros(32), np.ones(32)
    assert share_of(x, Used(zeros, ones, zeros, ones)) == InitialShare(1.0, 1.0)


def test_weights_that_still_move_make_a_layer_behind_them_less_certain():
    x, mean, variance = channels(np.random.default_rng(0), 4096)
    used = used_after(mean, variance, 0.1)
    behind = residue(parts_of(x), used)
    settled = residue(parts_of(x), dataclasses.replace(used, settled=True))
    assert behind.of_means.bias > settled.of_means.bias == 0
    assert behind.of_variances.bias > 2 * settled.of_variances.bias
    assert behind.of_means.least < settled.of_means.least
    assert behind.of_means.most > settled.of_means.most


def test_a_layer_whose_inputs_are_settled_limits_what_others_say():
    """Their statistics are behind, or their inputs wrong."""
    exact = Residue(Estimate(0.01, 0.02, 0.0), None, True)
    behind = Residue(Estimate(0.9, 0.01, 0.0), Estimate(0.3, 0.03, 0.0), False)
    told = initial_share([exact, behind])
    assert told.at_least == pytest.approx(0.04)
    assert told.at_most == pytest.approx(0.372)  # They contradict each other.
    assert initial_share([behind, exact]) == told
    unsure = Residue(None, Estimate(0.0, 0.5, 0.0), True)
    assert initial_share([unsure, behind]).at_least > 0.2


def test_where_nothing_is_settled_the_most_exact_limits_what_others_say():
    exact = Residue(None, Estimate(0.0, 0.001, 0.0), False)
    behind = Residue(None, Estimate(0.3, 0.03, 0.0), False)
    assert initial_share([behind, exact]).at_least < 0.01


def test_the_most_exact_says_how_much_it_is_at_most():
    rough, exact = Estimate(0.1, 0.01, 0.5), Estimate(0.03, 0.01, 0.001)
    told = initial_share([Residue(None, rough, False), Residue(None, exact, False)])
    assert told.at_most == pytest.approx(exact.most)
    assert told.at_least == pytest.approx(exact.least)
    assert initial_share([Residue(Estimate(-0.3, 0.01, 0.0), None, True)]) == InitialShare(0.0, 0.0)


@pytest.mark.parametrize(
    ("share", "effect", "noise", "said"),
    [
        ((0.3, 0.4), 0.5, 0.1, OFF),
        ((0.3, 0.4), 0.03, 0.01, FITS),  # No score shows it.
        ((0.05, 0.2), 0.5, 0.1, DOUBTFUL),
        ((0.0, 0.01), 1.5, 0.1, OFF),
        ((0.0, 0.01), 1.5, 0.9, UNDECIDED),
        ((0.0, 0.01), 0.7, 0.1, DOUBTFUL),
        (
            (0.0, 0.01),
            0.7,
            0.4,
            FITS,
        ),  # Half the sample moves scores as far.
        ((0.0, 0.2), 0.1, 0.05, UNDECIDED),
        ((0.0, 0.01), 0.1, 0.05, FITS),
        (None, 0.1, 0.05, FITS),
        (None, 0.4, 0.3, UNDECIDED),
        (None, NAN, NAN, UNDECIDED),
        ((0.3, 0.4), NAN, NAN, OFF),
    ],
)
def test_the_verdict_rests_on_what_is_left_and_on_what_it_does_to_scores(
    share, effect, noise, said
):
    assert verdict(None if share is None else InitialShare(*share), effect, noise) == said
