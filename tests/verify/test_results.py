import dataclasses

import pytest

from tfnorm.verify import results


def test_the_largest_of_the_last_places_says_nothing_where_one_says_nothing():
    assert results.largest([3, 7, 0]) == 7
    assert results.largest(iter([2, None, 5])) is None
    assert results.largest([]) == 0


@pytest.mark.parametrize(
    "kind",
    [value for value in vars(results).values() if dataclasses.is_dataclass(value)],
    ids=lambda kind: kind.__name__,
)
def test_a_result_is_frozen_and_does_nothing(kind):
    assert kind.__dataclass_params__.frozen
    own = {name for name in vars(kind) if not name.startswith("_")}
    assert own <= {field.name for field in dataclasses.fields(kind)}
