import dataclasses
import math
import re

import pytest
import tensorflow as tf
from verify.dependent_models import FUNCTIONS, BatchDice, examples, function_of, ranker
from verify.made_reports import make_report

from tfnorm.verify import batch_invariance
from tfnorm.verify.report.text import to_text, verdict_lines
from tfnorm.verify.results import Stake

EXAMPLES = examples()


def _words(report):
    """The text in one line."""
    return " ".join(to_text(report).split())


@pytest.fixture(scope="module")
def failed():
    return batch_invariance(ranker(BatchDice()), EXAMPLES)


@pytest.fixture(scope="module")
def passed():
    return batch_invariance(function_of(lambda x, ids: x[:, 0]), EXAMPLES)


def test_a_report_fits_one_screen_and_starts_with_what_was_done(failed, passed):
    for report in (failed, passed):
        lines = to_text(report, width=100).splitlines()
        assert len(lines) <= 24
        assert max(map(len, lines)) <= 100
        assert lines[0].startswith(report.target)
        assert "24 examples" in lines[0]
        assert "score: float32" in lines[0]


def test_a_passed_report_says_how_far_any_score_moved(passed):
    assert passed.max_abs_diff == 0
    compositions = len(passed.compositions)
    ending = f"PASSED  24 examples, {compositions} compositions: no score moves at all"
    found, made = to_text(passed).rstrip().split("\n\n  tfnorm ")
    assert found.endswith(ending)
    assert passed.provenance.started.replace("+00:00", "Z") in made
    rounded = to_text(make_report(2.4e-7, 2, True, stake=None, culprit=None))
    assert "no score moves by more than 2.4e-07 (rounding)" in rounded
    assert "3 rounded" in rounded and "3 / 4" not in rounded


def test_what_is_said_of_the_statistics_stands_below_the_verdict_not_below_the_other_model():
    model = function_of(lambda x, ids: x[:, 0])
    report = batch_invariance(model, EXAMPLES, against=model)
    report = dataclasses.replace(report, statistics_unknown="they are in no file")
    words = [word for word, _ in verdict_lines(report)]
    assert words[:3] == ["PASSED", "", "against"]


def test_a_failed_report_shows_the_worst_composition_first_and_what_to_do(failed):
    lines = to_text(failed).splitlines()
    worst = max(failed.compositions, key=lambda result: result.max_abs_diff)
    assert lines[4].split("  ")[1] == worst.name
    assert f"{worst.rows_changed} / 24" in lines[4]
    said = to_text(failed)
    assert f"a score moves by up to {worst.max_abs_diff:.1e} with the batch around it" in said
    assert "tfnorm.Dice" in to_text(failed)


def test_a_long_name_takes_two_lines_and_no_figure_is_cut():
    report = make_report(difference=1.25e-3)
    name = f"longer padding of 'a_history', {'x' * 90}"
    report.compositions[0] = dataclasses.replace(report.compositions[0], name=name)
    lines = to_text(report, 80).splitlines()
    assert max(map(len, lines)) <= 80
    header, _, *table = lines[lines.index("") + 1 : lines.index("", 2)]
    assert re.search("rows moved +largest move +ulp", header)
    assert re.search(r" 2 +3 / 4 +1\.3e-03 +7$", table[0])
    assert len(table) == 2
    shown = "".join(line[2:].partition("   ")[0].rstrip() for line in table)
    assert name.replace(" ", "").startswith(shown.removesuffix("…").replace(" ", ""))


def test_of_what_nothing_can_be_told_it_is_said_with_the_reason(passed):
    untold = {"version": "the same", "threshold": "the same", "margin": "NaN"}
    said = to_text(dataclasses.replace(passed, untold=untold))
    assert "not told  'version' (and 1 more): the same" in said
    assert "not told  'margin': NaN" in said


def test_every_composition_is_shown_or_counted(failed):
    table, _, rest = to_text(failed).partition("\n  and ")
    shown = [row.split("  ")[1] for row in table.splitlines() if " / 24" in row]
    alike = sum(int(more) for more in re.findall(r" and (\d+) more$", "\n".join(shown), re.M))
    assert int(rest.partition(" more: ")[0]) == len(failed.compositions) - len(shown) - alike


def test_the_culprit_is_named_when_it_is_known(failed):
    culprit = failed.culprit
    assert culprit.op_type == "Mean"
    said = f"culprit {culprit.op}: Mean over the batch axis, in layer {culprit.layer} next"
    assert f"{said} {culprit.advice}" in _words(failed)
    with_source = dataclasses.replace(culprit, source="model.py:7")
    assert "(model.py:7)" in _words(dataclasses.replace(failed, culprit=with_source))


def test_a_culprit_that_is_not_known_is_told_with_the_reason(failed):
    unknown = dataclasses.replace(failed, culprit=None, culprit_unknown="it is far away")
    assert "culprit not known: it is far away next look for what" in _words(unknown)
    assert "tfnorm.Dice" in _words(unknown)


def test_a_random_score_is_not_blamed_on_the_batch():
    report = batch_invariance(function_of(FUNCTIONS["dropout left on"]), EXAMPLES)
    text = _words(report)
    assert "from one call to the next" in text
    assert "so that dropout is off" in text
    assert "batch around it" not in text


def test_an_output_without_the_batch_dimension_is_named():
    model = function_of(lambda x, ids: {"score": x[:, 0], "loss": tf.reduce_mean(x)})
    text = " ".join(to_text(batch_invariance(model, EXAMPLES)).split())
    assert "FAILED output 'loss': it has the shape [] for one example" in text


def test_a_score_that_becomes_nan_is_told_in_words():
    report = batch_invariance(function_of(FUNCTIONS["a neighbour's NaN"]), EXAMPLES)
    assert report.max_abs_diff == math.inf
    assert "a score becomes another (NaN, infinite or another string) with" in _words(report)


def test_a_neighbour_that_was_left_out_is_told(passed):
    left_out = {"far": "f", "among zeros": "refused", "more": "refused", "g": "g", "h": "h"}
    report = dataclasses.replace(passed, left_out=left_out)
    lines = [line.strip() for line in to_text(report).splitlines() if "left out" in line]
    assert lines[1:] == [
        "left out  among zeros (and 1 more): refused",
        "left out  far: f",
        "left out  g: g",
        "left out  1 more, for other reasons",
    ]
    done = f"24 examples, {len(passed.compositions)} compositions in batches of up to 4,096, 5 left out"
    assert f"PASSED {done}: no score moves at all" in _words(report)


def test_what_is_undecided_is_said_to_be_neither_passed_nor_failed(passed):
    undecided = dataclasses.replace(passed, passed=None, left_out={"batches of 7": "refused"})
    text = _words(undecided)
    assert "UNDECIDED 24 examples" in text and "PASSED" not in text and "FAILED" not in text
    assert "left out batches of 7: refused" in text


def test_text_is_plain(failed):
    assert "\x1b" not in to_text(failed)


def test_names_in_brackets_are_not_taken_for_markup(passed):
    assert to_text(dataclasses.replace(passed, target="[red]a/[b]")).startswith("[red]a/[b]")


def _moved(*kinds, against="one at a time"):
    """The FAILED line for compositions of these kinds that failed."""
    report = make_report()
    (result,) = report.compositions
    results = [
        dataclasses.replace(result, kind=kind, name=f"longer {kind} of 'history'", against=against)
        for kind in kinds
    ]
    return to_text(dataclasses.replace(report, compositions=results))


@pytest.mark.parametrize(
    ("kinds", "cause"),
    [
        (["size"], "with the size of the batch"),
        (["size", "neighbours", "order"], "with the size of the batch"),
        (["size", "position", "padding rows"], "with the size of the batch, or its place in it"),
        (["position", "neighbours"], "with its place in the batch"),
        (["padding"], "with the padding of 'history'"),
        (["size", "neighbours", "repeat"], "from one call to the next"),
        (["concurrent"], "with the requests that come at the same time"),
        (["neighbours"], "with the batch around it"),
    ],
)
def test_what_a_score_moves_with_is_told_by_the_compositions_that_move_it(kinds, cause):
    assert f"a score moves by up to 2.5e-01 {cause}\n" in _moved(*kinds)


def test_neighbours_are_blamed_where_they_alone_changed():
    moved = _moved("size", "neighbours", "position", against="among other examples")
    assert "with the batch around it\n" in moved


def test_what_is_at_stake_is_told():
    assert (
        "at stake 3.4% of pairs change order (batches of 2, 2 a batch); "
        "AUC 0.8221 at 1,024 a batch, 0.8183 at 1"
    ) in _words(make_report())
    stake = Stake("score", None, None, 0.0, {1: 0.70001, 2: 0.70002})
    for passed in (True, False):
        said = to_text(make_report(0.0, 0, passed, stake=stake))
        assert "labels AUC 0.7000 at every batch size, 1 to 2" in " ".join(said.split())


def test_some_of_the_examples_are_told_as_such():
    assert "4 of 4,000,000 examples" in to_text(make_report(examples_given=4_000_000))
