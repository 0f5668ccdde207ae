import numpy as np

from tfnorm.verify.judgement.growth import grows_with_size

SIZES = [64, 65, 100, 127, 128, 256, 512, 1024]
NOISE = np.random.default_rng(1).uniform(0.8, 1.2, len(SIZES))


def _moves(function):
    return [(size, function(size) * noise) for size, noise in zip(SIZES, NOISE, strict=True)]


def test_a_move_in_proportion_to_a_power_of_the_size_grows():
    assert grows_with_size(_moves(lambda size: 0.1 * size))
    assert grows_with_size([(size, size**0.7) for size in SIZES])


def test_what_grows_slower_than_the_root_of_the_size_may_be_rounding():
    assert grows_with_size([(size, size**0.55) for size in SIZES])
    assert not grows_with_size([(size, size**0.45) for size in SIZES])


def test_a_move_of_one_size_or_above_a_threshold_does_not_grow():
    assert not grows_with_size(_moves(lambda size: 3.0))
    assert not grows_with_size([(size, float(size > 500)) for size in SIZES])
    assert not grows_with_size([(size, 2.0 + (size > 100)) for size in SIZES])
    assert not grows_with_size([(size, 0.0) for size in SIZES])


def test_what_scatters_about_its_growth_is_not_told_from_chance():
    scattered = np.random.default_rng(2).permutation(SIZES)
    assert not grows_with_size(list(zip(SIZES, scattered.astype(float), strict=True)))


def test_growth_with_every_second_size_far_off_is_no_power():
    moves = [(size, size * (6.0 if place % 2 else 1.0)) for place, size in enumerate(SIZES)]
    assert not grows_with_size(moves)
    nearly = [(size, size * (1.2 if place % 2 else 1.0)) for place, size in enumerate(SIZES)]
    assert grows_with_size(nearly)


def test_below_64_rows_rounding_grows_too():
    small = [2, 3, 7, 8, 16, 31, 32, 63]
    assert not grows_with_size([(size, float(size)) for size in small])


def test_four_sizes_are_too_few_however_often_they_are_tried():
    sizes = [64, 128, 256, 512]
    assert not grows_with_size([(size, float(size)) for size in sizes * 3])
    assert grows_with_size([(size, float(size)) for size in [*sizes, 1024]])


def test_it_must_move_in_a_quarter_of_the_sizes():
    moving = [(size, float(size)) for size in (64, 128, 256, 512, 1024)]
    still = [(size, 0.0) for size in range(65, 80)]
    assert grows_with_size([*moving, *still])
    assert not grows_with_size([*moving, *still, (90, 0.0)])
