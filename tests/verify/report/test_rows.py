import dataclasses
import math

from verify.made_reports import make_report

from tfnorm.verify.report.rows import move, rows, rows_moved, ulps
from tfnorm.verify.report.text import to_text


def report(*changes):
    made = make_report()
    (result,) = made.compositions
    results = [dataclasses.replace(result, **change) for change in changes]
    return dataclasses.replace(made, compositions=results)


def same(name, size, **changes):
    still = {"max_abs_diff": 0.0, "max_ulp": 0, "rows_changed": 0, "verdict": "same"}
    return {"name": name, "batch_size": size, "passed": True, **still, **changes}


def test_compositions_of_which_the_same_is_told_are_one_row_and_the_worst_come_first():
    made = report(
        same("shuffled", 1024),
        {"name": "batches of 3", "batch_size": 3},
        same("batches of 2", 2),
        {"name": "batches of 7", "batch_size": 7, "max_abs_diff": 0.5},
        {"name": "batches of 8", "batch_size": 8},
        same("all at once", 512),
    )
    found = [(row.name, row.sizes, row.moved, row.largest, len(row.results)) for row in rows(made)]
    assert found == [
        ("batches of 7", "7", "3 / 4", "5.0e-01", 1),
        ("batches of 3 and 1 more", "3 to 8", "3 / 4", "2.5e-01", 2),
        ("shuffled and 2 more", "2 to 1,024", "0 / 4", "0", 3),
    ]
    text = to_text(made)
    assert sum("0 / 4" in line for line in text.splitlines()) == 1


def test_another_model_has_a_row_of_its_own():
    made = report(same("against b", 1, kind="parity"), same("batches of 2", 2))
    assert [row.name for row in rows(made)] == ["against b", "batches of 2"]


def test_what_only_rounds_has_not_moved_unless_identical_bits_were_asked_for():
    rounding = {"verdict": "rounding", "passed": True, "max_abs_diff": 1e-7}
    (passed,) = report(rounding).compositions
    assert rows_moved(passed, 4) == "3 rounded"
    (refused,) = report({**rounding, "passed": False}).compositions
    assert rows_moved(refused, 4) == "3 / 4"


def test_figures_are_short():
    assert [move(value) for value in (0.0, 1.24e-7, math.inf)] == ["0", "1.2e-07", "-"]
    assert [ulps(count) for count in (0, 12_345, 1_000_000, None)] == ["0", "12,345", "-", "-"]
