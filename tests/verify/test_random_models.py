"""A sample of `benchmarks/verdict.py`: no clean model is accused, and what is planted is found."""

import itertools

import numpy as np
import pytest
from verify.random_models import FORMS, clean, judged, planted

SEEDS = [seed for seed in range(60) if "16" not in clean(seed).dtype][: len(FORMS)]
"""Models that compute in 32 or 64 bits."""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_a_clean_model_is_not_accused(seed, tmp_path):
    verdict = judged(clean(seed), tmp_path / "model")
    assert verdict.word != "failed", verdict.by


@pytest.mark.slow
@pytest.mark.parametrize(("form", "seed"), list(zip(FORMS, SEEDS, strict=True)))
def test_each_form_of_dependence_is_found(form, seed, tmp_path):
    effect = 1e-7 if form in ("mean", "cumulative sum") else 1e-3
    made = planted(seed, form, effect)
    assert (made.form, made.effect) == (form, effect)
    assert judged(made, tmp_path / "model").word == "failed"


def test_the_same_seed_makes_the_same_model():
    for seed in range(3):
        one, other = planted(seed), planted(seed)
        assert (one.form, one.effect, one.kinds) == (other.form, other.effect, other.kinds)
        for name, array in one.examples.items():
            np.testing.assert_array_equal(array, other.examples[name])
        np.testing.assert_array_equal(one.score(one.examples), other.score(other.examples))


def test_models_are_of_many_kinds():
    made = [clean(seed) for seed in range(300)]
    assert len({one.dtype for one in made}) == 5
    counts = [len(one.examples["x"]) for one in made]
    assert min(counts) == 2 and max(counts) > 150
    kinds = set(itertools.chain(*(one.kinds for one in made)))
    assert kinds >= {"id", "history", "user", "different", "one request", "few", "one user"}
