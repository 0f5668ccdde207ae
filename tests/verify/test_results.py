import dataclasses

import pytest

from tfnorm.verify import results


def test_the_largest_of_the_last_places_says_nothing_where_one_says_nothing():
    assert results.largest([3, 7, 0]) == 7
    assert results.largest(iter([2, None, 5])) is None
    assert results.largest([]) == 0


@pytest.mark.parametrize(
    "kind",
    [
        v
        for v in vars(results).values()
        if getattr(v, "__module__", None) == results.__name__ and dataclasses.is_dataclass(v)
    ],
    ids=lambda kind: kind.__name__,
)
def test_a_result_is_frozen_and_does_nothing(kind):
    assert kind.__dataclass_params__.frozen
    # What it only says of its own fields is no doing.
    own = {
        name
        for name, value in vars(kind).items()
        if not name.startswith("_") and not isinstance(value, property)
    }
    assert own <= {field.name for field in dataclasses.fields(kind)}
