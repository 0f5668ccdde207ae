import json

import numpy as np
import pytest

from tfnorm.errors import InputError
from tfnorm.replay import Bounds, Partial
from tfnorm.replay.comparison.compare import Answered, compare, refused
from tfnorm.replay.comparison.outputs import Pair
from tfnorm.replay.log.call import Call, ModelSpec
from tfnorm.verify.judgement.tolerance import Tolerance

SCORE = [Pair("score", "score")]
BOUNDS = Bounds(Tolerance(precision="float32"), {"score": [0.5]})


def add(partial, number, move, labels=None):
    rng = np.random.default_rng(number)
    logged = rng.random(6).astype(np.float32)
    new = (logged + np.float32(move) * rng.normal(size=6)).astype(np.float32)
    call = Call(number, {}, {"score": logged}, spec=ModelSpec(version=number % 2))
    compared = compare(SCORE, Answered(call.outputs, {"score": new}, 6), BOUNDS)
    partial.add([(call, compared, labels)])


def filled(numbers):
    partial = Partial(BOUNDS)
    for number in numbers:
        add(partial, number, 0.1 if number % 3 == 0 else 0, np.arange(6) % 2)
        partial.add_note("cast")
    return partial


def plain(partial):
    """What it says, with sums of floats as far as they are the same in any order."""
    document = partial.to_dict()
    for values in (document["logged"], document["new"]):
        values["loss"] = round(values["loss"], 9)
    document["ranking"]["tau"] = round(document["ranking"]["tau"], 9)
    return document


def test_parts_merge_to_the_whole_in_any_order_and_go_through_json():
    parts = [filled(range(start, 60, 3)) for start in (2, 0, 1)]
    merged = Partial.from_dict(json.loads(json.dumps(parts[0].to_dict())))
    for part in parts[1:]:
        merged.merge(Partial.from_dict(json.loads(json.dumps(part.to_dict()))))
    whole = filled(range(60))
    assert {**plain(merged), "notes": None} == {**plain(whole), "notes": None}
    assert merged.notes == {"cast": 60}
    assert (merged.calls_different, merged.equal) == (20, False)


def test_parts_with_other_bounds_do_not_merge():
    with pytest.raises(InputError, match="other bounds"):
        filled(range(2)).merge(Partial(Bounds(Tolerance(atol=1e-3))))


def test_what_can_not_be_compared_differs():
    partial = Partial(BOUNDS)
    call = Call(7, {}, {"score": np.zeros(3)})
    partial.add([(call, refused(3, "the model refuses it"), None)])
    assert (partial.calls_different, partial.rows_different) == (1, 3)
    assert partial.problems == {"the model refuses it": 1}
    assert partial.largest == np.inf and not partial.equal


def test_reasons_that_are_each_another_do_not_fill_the_memory():
    partial = Partial(BOUNDS)
    for number in range(500):
        partial.add_unfit(f"id {number} is unknown")
    assert len(partial.unfit) == 21 and sum(partial.unfit.values()) == 500


def test_rows_that_are_alike_are_rounded_alike():
    call = Call(0, {}, {"score": np.tile(np.linspace(0.1, 0.9, 10, dtype=np.float32), 20)})
    new = {"score": (call.outputs["score"] + np.float32(4e-6)).astype(np.float32)}
    partial = Partial(BOUNDS)
    compared = compare(SCORE, Answered(call.outputs, new, 200), BOUNDS)
    partial.add([(call, compared, None)])
    assert partial.equal


def test_nearly_all_values_off_the_same_way_are_no_rounding():
    call = Call(0, {}, {"score": np.linspace(0.1, 0.9, 40, dtype=np.float32)})
    for sign, one_way in ((np.ones(40), True), (np.where(np.arange(40) % 2, 1, -1), False)):
        new = {"score": (call.outputs["score"] + 4e-6 * sign).astype(np.float32)}
        partial = Partial(BOUNDS)
        compared = compare(SCORE, Answered(call.outputs, new, 40), BOUNDS)
        assert not compared.differs
        partial.add([(call, compared, None)])
        assert partial.one_way == one_way and partial.equal != one_way
