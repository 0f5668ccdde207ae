import pytest

from tfnorm.verify.judgement.tolerance import ATOL, RTOL, Tolerance


def test_the_defaults_are_those_that_the_documentation_has():
    tolerance = Tolerance()
    assert (tolerance.atol, tolerance.rtol) == (ATOL, RTOL) == (1e-6, 1e-5)
    assert tolerance.widened == tolerance.tightened == 1.0
    assert not tolerance.bitwise and tolerance.precision is None


@pytest.mark.parametrize(
    ("atol", "rtol", "widened", "tightened"),
    [
        (1e-5, 1e-5, 10, 1),
        (1e-6, 1e-3, 100, 1),
        (1e-4, 1e-4, 100, 1),
        (1e-7, 1e-5, 1, 1),
        (1e-8, 1e-6, 1, 0.1),
        (0.0, 0.0, 1, 0),
        (1e-8, 1e-4, 10, 1),
    ],
)
def test_the_wider_of_the_two_widens_and_both_must_be_tighter_to_tighten(
    atol, rtol, widened, tightened
):
    tolerance = Tolerance(atol, rtol)
    assert tolerance.widened == pytest.approx(widened)
    assert tolerance.tightened == pytest.approx(tightened)
