"""A log of several files, replayed whole and in parts."""

import json
import pickle

import pytest
from replay.traffic import Numpy, answered, lines, requests, write

import tfnorm
from tfnorm.errors import InputError
from tfnorm.replay import Replayer
from tfnorm.replay.judgement.sample import DIFFERENT, OTHERS

ASKED = requests(3, 90)


@pytest.fixture
def folder(tmp_path):
    """Three files, of which the first alone tells too little of magnitudes."""
    folder = tmp_path / "logs"
    folder.mkdir()
    for name, part in (("a", ASKED[:4]), ("b", ASKED[4:50]), ("c", ASKED[50:])):
        write(folder / name, answered(Numpy(1), part))
    (folder / "_SUCCESS").touch()
    return folder


def said(report):
    """All but the provenance, with sums of floats as far as they are the same in any order."""
    document = json.loads(report.to_json())
    del document["provenance"]
    for model in filter(None, (document["model"], document["against"])):
        model["ranking"]["tau"] = round(model["ranking"]["tau"], 12)
    return document


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_parts_merge_in_any_order_to_the_report_on_the_whole(folder, order):
    whole = tfnorm.replay(folder, Numpy(2), Numpy(1))
    with Replayer(folder, Numpy(2), Numpy(1)) as first:
        parts = []
        for place in order:
            basis = pickle.loads(pickle.dumps(first.basis))
            with Replayer(folder, Numpy(2), Numpy(1), basis=basis) as other:
                below = parts[0].below if parts else None
                parts.append(
                    pickle.loads(pickle.dumps(other.part([first.files[place]], below=below)))
                )
                for part in parts[1:2]:
                    parts[0].merge(part)
                    del parts[1:]
        assert said(first.report(parts[0])) == said(whole)
    assert whole.model.calls == 90
    assert {one.file for one in whole.model.worst} <= {str(folder / name) for name in "abc"}
    assert f"{whole.model.worst[0].number}" in str(whole) and "against" not in str(whole)[:20]


def test_a_part_keeps_no_call_that_the_others_leave_out(folder, monkeypatch):
    # What is drawn depends on the paths, of which that of the test's own folder is another each time.
    monkeypatch.chdir(folder.parent)
    with Replayer(folder.name, Numpy(2)) as replayer:
        a, b, c = ([file] for file in replayer.files)
        first = replayer.part(b)
        assert len(first.samples[0].different) == DIFFERENT and not first.samples[0].others
        assert len(replayer.part(c).samples[0].different) == DIFFERENT
        assert 0 < len(replayer.part(c, below=first.below).samples[0].different) < DIFFERENT
        assert len(replayer.part(a).samples[0].different) == 4
    with Replayer(folder.name, Numpy(1)) as replayer:
        assert len(replayer.part(b).samples[0].others) == OTHERS


def test_a_pattern_is_the_files_that_fit_and_none_is_an_error(folder, tmp_path):
    assert tfnorm.replay(f"{folder}/[ab]", Numpy(1)).model.calls == 50
    for place in (f"{folder}/x*", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(InputError, match="has no files; accepted: a file, a folder"):
            tfnorm.replay(place, Numpy(1))


def test_a_limit_is_of_all_files(folder):
    report = tfnorm.replay(folder, Numpy(1), limit=20)
    assert (report.calls_given, report.calls_drawn, report.model.calls) == (90, 20, 20)


def test_labels_by_the_numbers_of_lines_are_refused_where_several_files_have_each(tmp_path):
    for name in "ab":
        lines(tmp_path / f"{name}.jsonl", ASKED[:3], Numpy(1))
    labels = tmp_path / "labels.csv"
    labels.write_text("request,row,label\n1,0,1\n")
    with pytest.raises(InputError, match="a log of several files has more than once"):
        tfnorm.replay(f"{tmp_path}/*.jsonl", Numpy(1), labels=labels)
