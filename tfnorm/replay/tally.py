"""What the calls of a log come to, for each model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

import numpy as np

from tfnorm.errors import InputError
from tfnorm.parity.outputs import alike
from tfnorm.replay.comparison.bounds import HEAD, Bounds
from tfnorm.replay.comparison.compare import Answered, compare_all, refused
from tfnorm.replay.comparison.fit import Fitted
from tfnorm.replay.comparison.outputs import Pair, paired
from tfnorm.replay.judgement.diagnosis import Case, diagnose
from tfnorm.replay.judgement.sample import Sample, Seen, windows
from tfnorm.replay.log.call import Call, Log, Passed
from tfnorm.replay.log.labels import Labels
from tfnorm.replay.partial.partial import Partial
from tfnorm.replay.results import ModelResult
from tfnorm.replay.rows_file import RowsFile
from tfnorm.replay.scoring import Block, Scored, scored
from tfnorm.replay.summary import model_result
from tfnorm.scorers.scorer import Scorer
from tfnorm.session import DEFAULT_SIGNATURE
from tfnorm.verify.judgement.tolerance import Tolerance


class Tally:
    """What is added up over a log's calls, for each model.

    Args:
        log: the log.
        scorers: the models, the one that is judged first.
        labels: from a file of their own; None for those in the log.
        tolerance: how far a value may be off.
        seed: of the draws.
        rows: where rows go that differ from the first model's; None for nowhere.
        progress: called with the calls scored so far and those there are.

    Attributes:
        drawn: the calls that were looked at.
        passed_over: why some of them have nothing to compare -> how many.
    """

    def __init__(
        self,
        log: Log,
        scorers: Sequence[Scorer],
        labels: Labels | None,
        tolerance: Tolerance,
        seed: int,
        rows: RowsFile | None,
        progress: Callable[[int, int], None] | None,
    ):
        self.drawn = 0
        self.passed_over: Counter[str] = Counter()
        self._log, self._scorers, self._labels = log, scorers, labels
        self._tolerance, self._seed, self._rows, self._progress = tolerance, seed, rows, progress
        self._pairs: list[list[Pair]] = []
        self._partials: list[Partial] = []
        self._samples = [Sample(seed) for _ in scorers]
        self._unpaired: list[InputError | None] = [None for _ in scorers]

    def run(
        self,
        entries: Iterable[tuple[int, object]],
        total: int,
        one_signature: bool,
        threads: int | None,
    ) -> None:
        """Score all, and add up.

        Args:
            entries: of the log.
            total: how many there are; 0 where that isn't known.
            one_signature: whether calls that asked another signature than is scored are passed over.
            threads: in which they are scored; None for one a core.

        Raises:
            InputError: the log is damaged, or none of its calls can be compared.
        """
        calls = self._calls(entries, one_signature)
        stream = self._counted(scored(calls, self._scorers, threads), total)
        head: list[Scored] = []
        rows = 0
        for block in stream:
            head += block
            rows += sum(one.call.rows for one in block)
            if rows >= HEAD:
                break
        if not head:
            raise InputError(f"{self._log.name}: no call can be replayed: {self._why_none()}")
        for place in range(len(self._scorers)):
            self._pairs.append(self._paired(place, head))
            self._partials.append(Partial(self._bounds(place, head), self._seed))
        added = chain.from_iterable(map(self._added, chain([head], stream)))
        for before, of_call, after in windows(added):
            for place, sample in enumerate(self._samples):
                seen = of_call[place]
                if seen is not None and seen.compared.problem is None:
                    sample.add([s[place] for s in before], seen, [s[place] for s in after])

    def results(self) -> list[ModelResult]:
        """What each model came to, and why where it differs.

        Raises:
            InputError: none of the calls can be given to the first.
        """
        found = []
        for place, scorer in enumerate(self._scorers):
            partial = self._partials[place]
            if not partial.calls:
                # Of the other model it is told beside the first, which could.
                reason = "; ".join(partial.unfit) or str(self._unpaired[place])
                if place == 0:
                    raise InputError(
                        f"{self._log.name}: no call can be given to {scorer.name}: {reason}"
                    )
            others = [other for other in self._scorers if other is not scorer]
            case = Case(
                scorer,
                others[0] if others else None,
                self._pairs[place],
                self._samples[place],
                partial,
                self._log.batches_known,
            )
            found.append(model_result(case, diagnose(case)))
        return found

    def _calls(
        self, entries: Iterable[tuple[int, object]], one_signature: bool
    ) -> Iterator[Call | Passed]:
        """The calls that are replayed, and those that are passed over."""
        asked = self._scorers[0].signature
        named: str | None = None
        for number, entry in entries:
            self.drawn += 1
            call = self._log.call(number, entry)
            if isinstance(call, Call):
                named = named or call.spec.name
                signature = call.spec.signature or DEFAULT_SIGNATURE
                if one_signature and asked is not None and signature != asked:
                    call = Passed(number, f"it asked signature {signature!r}")
                elif call.spec.name and call.spec.name != named:
                    call = Passed(number, f"model {call.spec.name!r} answered")
            yield call

    def _counted(self, stream: Iterable[Block], total: int) -> Iterator[list[Scored]]:
        done = 0
        for block in stream:
            done += len(block)
            if self._progress is not None:
                self._progress(done, total)
            self.passed_over.update(one.reason for one in block if isinstance(one, Passed))
            yield [one for one in block if isinstance(one, Scored)]

    def _paired(self, place: int, head: Sequence[Scored]) -> list[Pair]:
        """The outputs that belong together, by the first call that a model gives any for."""
        for one in head:
            outputs = one.answers[place].outputs
            if outputs is not None:
                try:
                    return self._known(paired(one.call.outputs, outputs))
                except InputError as error:
                    if place == 0:
                        raise InputError(f"{self._log.name}: {error}") from error
                    self._unpaired[place] = error
                    return []
        return []

    def _known(self, pairs: list[Pair]) -> list[Pair]:
        """The pairs, if no column of features or labels could be one of them.

        Raises:
            InputError: one could.
        """
        if not self._log.scores_known:
            for pair in pairs:
                if pair.logged != pair.new:
                    raise InputError(
                        f"which of its columns has scores is not known: none is called {pair.new!r}, as the "
                        "model's output is; name one by score"
                    )
        return pairs

    def _bounds(self, place: int, head: Sequence[Scored]) -> Bounds:
        by_output: dict[str, list[np.ndarray]] = {}
        for one in head:
            answer = one.answers[place]
            for pair in self._pairs[place]:
                if (
                    answer.outputs is None
                    or answer.fitted is None
                    or pair.logged not in one.call.outputs
                ):
                    continue
                found = alike(
                    one.call.outputs[pair.logged], answer.outputs[pair.new], answer.fitted.count
                )
                if not isinstance(found, str):
                    by_output.setdefault(pair.logged, []).append(found[0])
        precision = self._scorers[place].precision
        tolerance = Tolerance(self._tolerance.atol, self._tolerance.rtol, precision=precision)
        return Bounds.of(tolerance, by_output)

    def _added(self, block: list[Scored]) -> Iterator[tuple[Seen | None, ...]]:
        """Calls as each model has seen them, once they are added up."""
        by_model = (self._add(place, block) for place in range(len(self._scorers)))
        return zip(*by_model, strict=True)

    def _add(self, place: int, block: list[Scored]) -> list[Seen | None]:
        partial, pairs = self._partials[place], self._pairs[place]
        fitting = [
            (at, one.call, one.answers[place], fitted)
            for at, one in enumerate(block)
            if (fitted := self._fitted(place, one)) is not None
        ]
        answered = [
            Answered(call.outputs, answer.outputs, fitted.count)
            for _, call, answer, fitted in fitting
            if answer.outputs is not None
        ]
        compared = iter(compare_all(pairs, answered, partial.bounds))
        found = [
            next(compared)
            if answer.outputs is not None
            else refused(fitted.count, answer.problem or "the model gives nothing")
            for _, _, answer, fitted in fitting
        ]
        partial.add(
            [
                (call, one, self._labels_of(call, fitted.count))
                for (_, call, _, fitted), one in zip(fitting, found, strict=True)
            ],
            ranks=self._log.batches_known,
        )
        seen: list[Seen | None] = [None for _ in block]
        for (at, call, answer, fitted), one in zip(fitting, found, strict=True):
            if place == 0 and self._rows is not None and one.differs:
                self._rows.write(call, fitted, answer.outputs, one, pairs)
            if answer.outputs is not None:
                seen[at] = Seen(call, fitted, answer.outputs, one)
        return seen

    def _fitted(self, place: int, one: Scored) -> Fitted | None:
        """What a model was fed for a call; None, and that is counted, where nothing can be compared."""
        partial, call, answer = self._partials[place], one.call, one.answers[place]
        if answer.fitted is None or self._unpaired[place] is not None:
            partial.add_unfit(answer.problem or str(self._unpaired[place]))
            return None
        compared = any(pair.logged in call.outputs for pair in self._pairs[place])
        if answer.outputs is not None and not compared:
            partial.add_unfit(f"its answer has {', '.join(map(repr, sorted(call.outputs)))} alone")
            return None
        for note in answer.fitted.notes:
            partial.add_note(note)
        return answer.fitted

    def _labels_of(self, call: Call, rows: int) -> np.ndarray | None:
        if self._labels is not None:
            return self._labels.of(call, rows)
        if call.labels is None:
            return None
        labels = np.asarray(call.labels)
        if labels.size != rows or labels.dtype.kind not in "biuf":
            raise InputError(
                f"{self._log.name}: call {call.number} has labels of dtype {labels.dtype} and shape "
                f"{list(labels.shape)}; accepted: one number for each of its {rows} rows"
            )
        return labels.reshape(rows).astype(np.float64)

    def _why_none(self) -> str:
        if not self.drawn:
            return "it holds none"
        return ", ".join(f"{reason} ({n:,})" for reason, n in self.passed_over.most_common())
