"""Why do logged scores differ from the model's? Each cause is tried on calls, the surest first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from tfnorm.replay.comparison.outputs import Pair
from tfnorm.replay.judgement import batch, digits, inputs, padding, versions
from tfnorm.replay.judgement.sample import Sample, Seen
from tfnorm.replay.judgement.transforms import transformed
from tfnorm.replay.judgement.trial import Agreement, Rescored, Trial, Way
from tfnorm.replay.partial.partial import Partial
from tfnorm.replay.results import (
    BATCH,
    INPUTS,
    NOT_FOUND,
    PADDING,
    SERVER_BATCHING,
    TRANSFORMED,
    VERSION,
    Cause,
    Dependence,
)
from tfnorm.scorers.scorer import Scorer

_PLAUSIBLE = 0.9
"""Share of the calls whose scores other neighbours must be able to move as far as they are off."""


@dataclass(frozen=True, eq=False)
class Case:
    """What is to be explained.

    Attributes:
        scorer: the model.
        other: the other model, where there is one.
        pairs: the outputs that belong together.
        sample: some calls.
        partial: what all calls came to.
        batches_known: whether the log says which rows were scored together.
    """

    scorer: Scorer
    other: Scorer | None
    pairs: list[Pair]
    sample: Sample
    partial: Partial
    batches_known: bool

    @property
    def logged_versions(self) -> set[int]:
        """Those that the log has."""
        return {int(version) for version in self.partial.versions if version}


@dataclass
class Diagnosis:
    """What explains a difference, and what does not."""

    dependence: Dependence
    causes: list[Cause] = field(default_factory=list)
    ruled_out: list[str] = field(default_factory=list)

    def tried(self, kind: str, said: str, agreement: Agreement) -> bool:
        """Keep a cause that explains some calls, and whether it explains all of them."""
        if agreement.calls:
            self.causes.append(Cause(kind, said, True, agreement.calls, agreement.of))
        return agreement.whole


def diagnose(case: Case) -> Diagnosis:
    """Whether scores depend on the batch and, where logged ones differ, why.

    Raises:
        Unreachable: a server does not answer.
    """
    # Where all but a few moved the same way, no call differs by itself.
    calls = case.sample.different or (case.sample.others if case.partial.one_way else [])
    trial = Trial(case.scorer, case.pairs, case.partial.bounds, calls)
    found = Diagnosis(batch.dependence(trial, [*case.sample.different, *case.sample.others]))
    if case.partial.equal or not calls:
        return found
    # The surest first: what follows is asked only as long as not all is explained.
    for tried in (
        _versions,
        _batch,
        _padding,
        _transformed,
        _merged,
        _inputs,
        _digits,
        _what_is_left,
    ):
        if tried(case, trial, found):
            break
    found.causes.sort(key=lambda cause: (not cause.certain, -cause.calls))
    return found


def _versions(case: Case, trial: Trial, found: Diagnosis) -> bool:
    own, logged = versions.own_version(case.scorer), case.logged_versions
    elsewhere = sorted(logged - {own}) if own is not None else []
    if case.other is not None:
        agreement = versions.agreement(trial, case.other)
        if found.tried(VERSION, f"{case.other.name} gives the logged scores", agreement):
            return True
        if not agreement.calls:
            found.ruled_out.append(f"{case.other.name}: its scores are not those logged either")
    for number, path in versions.others(case.scorer, logged):
        with versions.opened(path, case.scorer.signature) as scorer:
            if scorer is None:
                continue
            agreement = versions.agreement(trial, scorer)
            said = f"version {number} ({path}) gives the logged scores; version {own} was given"
            if found.tried(VERSION, said, agreement):
                return True
            if not agreement.calls:
                found.ruled_out.append(f"version {number}: its scores are not those logged either")
    if elsewhere and not _is_version(found) and _differ_by_version(case, own, elsewhere):
        listed = ", ".join(map(str, elsewhere))
        there = {number for number, _ in versions.others(case.scorer, logged)} & set(elsewhere)
        next_step = (
            "replay against it to see why" if there else "give it to see whether that is all"
        )
        either = ", which does not give the logged scores either" if there else ""
        found.causes.append(
            Cause(
                VERSION,
                f"version {listed} answered{either}, and version {own} was given; {next_step}",
                False,
            )
        )
    return False


def _differ_by_version(case: Case, own: int | None, elsewhere: list[int]) -> bool:
    """Whether it is the calls that other versions answered which differ, and no others."""
    by_version = case.partial.versions
    own_calls = by_version.get(str(own), [0, 0])
    return not own_calls[1] and all(by_version[str(number)][1] for number in elsewhere)


def _batch(case: Case, trial: Trial, found: Diagnosis) -> bool:
    if not found.dependence.depends:
        if found.dependence.calls:
            found.ruled_out.append(
                "the batch: scored one at a time, and with other requests, rows score as in their own "
                f"({found.dependence.calls:,} requests tried)"
            )
        return False
    ways: list[tuple[str, Way]] = [("production scored each row by itself", batch.alone)]
    for size, said in (
        (0, "the next power of two"),
        (8, "a multiple of 8"),
        (32, "a multiple of 32"),
    ):
        ways.append(
            (
                f"production filled batches up to {said} with copies of their first row",
                batch.filled(size),
            )
        )
    return any(found.tried(BATCH, said, trial.agreement(way)) for said, way in ways)


def _padding(case: Case, trial: Trial, found: Diagnosis) -> bool:
    tried = 0
    for said, way in padding.ways(case.scorer, trial.calls):
        tried += 1
        agreement = trial.agreement(way)
        said = f"production scored the inputs {said}"
        # Of one call alone it may be chance: this many ways are tried.
        enough = agreement.calls > 1 or agreement.whole
        if enough and found.tried(PADDING, said, agreement):
            return True
    if tried and not any(cause.kind == PADDING for cause in found.causes):
        found.ruled_out.append("padding: shorter and longer, it does not give what was logged")
    return False


def _transformed(case: Case, trial: Trial, found: Diagnosis) -> bool:
    for said, way in _other_outputs(trial):
        if found.tried(TRANSFORMED, said, trial.agreement(way)):
            return True
    logged, new = case.partial.points.logged, case.partial.points.new
    bound = case.partial.bounds.bound(trial.pairs[0].logged, logged[:, None])[:, 0]
    # Where numbers do not differ, a function of them tells nothing.
    any_apart = case.partial.one_way or (np.abs(new - logged) > bound).any()
    function = transformed(logged, new) if any_apart else None
    if function is None:
        no = "a transformed score: no function of the model's gives the logged ones"
        found.ruled_out.append(no)
        return False
    found.causes.append(Cause(TRANSFORMED, function, True))
    return True


def _other_outputs(trial: Trial) -> Iterator[tuple[str, Way]]:
    """Another output of the model in the place of the one that goes by the name; softmaxes of it."""
    for pair in trial.pairs:
        for name in trial.calls[0].outputs:
            if name != pair.new:
                yield (
                    f"what is logged as {pair.logged!r} is the model's output {name!r}",
                    _renamed(pair, name),
                )
        if trial.calls[0].outputs[pair.new][:1].size > 1:
            yield f"the log has the softmax of the model's {pair.new!r}", _softmax(pair)


def _renamed(pair: Pair, name: str) -> Way:
    def way(trial: Trial, seen: Seen) -> Rescored | None:
        return Rescored({**seen.outputs, pair.new: seen.outputs[name]})

    return way


def _softmax(pair: Pair) -> Way:
    def way(trial: Trial, seen: Seen) -> Rescored | None:
        logits = seen.outputs[pair.new]
        if logits.dtype.kind != "f" or not logits.ndim:
            return None
        powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return Rescored({**seen.outputs, pair.new: powers / powers.sum(axis=-1, keepdims=True)})

    return way


def _merged(case: Case, trial: Trial, found: Diagnosis) -> bool:
    """Server-side batching: what it did, and whether it could have."""
    if not found.dependence.depends or _is_version(found):
        return False
    agreement = trial.agreement(batch.merged)
    possible = batch.reachable(trial)
    moves = f"scores depend on the batch, by up to {found.dependence.move:.1e}"
    if agreement.calls:
        found.causes.append(
            Cause(
                SERVER_BATCHING,
                f"{moves}, and with the requests before and after it in one batch a request scores as was "
                "logged: the server batches requests together, which explains what differs",
                True,
                agreement.calls,
                agreement.of,
            )
        )
        return True
    if possible.of and possible.calls >= _PLAUSIBLE * possible.of:
        found.causes.append(
            Cause(
                SERVER_BATCHING,
                f"{moves}, as far as they are off: server-side batching, which scores requests "
                "together, would explain what differs",
                False,
                possible.calls,
                possible.of,
            )
        )
        return True
    found.ruled_out.append(
        f"server-side batching alone: other requests in the batch do not move scores as far as they are off "
        f"({possible.of - possible.calls:,} of {possible.of:,} requests tried)"
    )
    return False


def _inputs(case: Case, trial: Trial, found: Diagnosis) -> bool:
    if _is_version(found):
        return False
    change = inputs.changed(trial, independent=not found.dependence.depends)
    if change is not None:
        said, agreement = change
        return found.tried(INPUTS, f"other inputs were scored than those logged: {said}", agreement)
    return False


def _digits(case: Case, trial: Trial, found: Diagnosis) -> bool:
    explained = None if _is_version(found) else digits.explained(trial)
    if explained is None:
        return False
    lacks, agreement = explained
    if agreement.calls < _PLAUSIBLE * agreement.of:
        found.ruled_out.append(f"digits that the log lacks: {lacks}, not as far as they are off")
        return False
    said = f"inputs were scored with digits that the log lacks: {lacks}, as far as they are off"
    found.causes.append(Cause(INPUTS, said, False, agreement.calls, agreement.of))
    return True


def _what_is_left(case: Case, trial: Trial, found: Diagnosis) -> bool:
    """Other inputs or other weights, told apart by the version, or by rows that are equal beside others."""
    if _is_version(found) or any(cause.certain for cause in found.causes):
        return False
    own, logged = versions.own_version(case.scorer), case.logged_versions
    places = [] if found.dependence.depends else inputs.possible(trial)
    alone = f"; another value of {' or '.join(places)} alone could give it" if places else ""
    if own is not None and logged == {own}:
        found.causes.append(
            Cause(
                INPUTS,
                f"other inputs were scored than those logged: version {own} answered, the one given, "
                f"and nothing else explains it (or that version was exported again since){alone}",
                False,
            )
        )
    elif not found.dependence.depends and _mixed(trial):
        found.causes.append(
            Cause(
                INPUTS,
                "other inputs were scored than those logged, in some rows: others of the same requests "
                f"are equal, as they would not be by another version{alone}",
                False,
            )
        )
    else:
        unknown = (
            "the log does not say which version answered"
            if not logged
            else ("the version that was given has no number")
        )
        found.causes.append(
            Cause(
                NOT_FOUND,
                f"other weights, or other inputs than those logged: they can't be told apart, as "
                f"{unknown}{alone}",
                False,
            )
        )
    return True


def _is_version(found: Diagnosis) -> bool:
    return any(cause.kind == VERSION for cause in found.causes)


def _mixed(trial: Trial) -> bool:
    """Whether in most requests some rows are equal and others not, scores that are 0 or 1 aside."""
    mixed = 0
    for seen in trial.calls:
        scores = seen.compared.new
        inside = (
            np.ones(seen.compared.rows, bool) if scores is None else (scores != 0) & (scores != 1)
        )
        equal = (seen.compared.difference == 0) & inside
        mixed += bool(equal.any() and seen.compared.different.any())
    return mixed > len(trial.calls) / 2
