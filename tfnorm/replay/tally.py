"""What the calls of a log come to, for each model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from tfnorm.errors import InputError
from tfnorm.parity.outputs import alike
from tfnorm.replay.comparison.bounds import HEAD, Bounds
from tfnorm.replay.comparison.compare import Answered, compare_all, refused
from tfnorm.replay.comparison.fit import Fitted
from tfnorm.replay.comparison.outputs import Pair, paired
from tfnorm.replay.judgement.sample import Sample, Seen, windows
from tfnorm.replay.log.call import Call, Log, Passed
from tfnorm.replay.log.labels import Labels
from tfnorm.replay.partial.partial import Partial
from tfnorm.replay.parts import Basis, Part
from tfnorm.replay.rows_file import RowsFile
from tfnorm.replay.scoring import Block, Scored, scored
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
        basis: what the first calls of the whole log have decided; None to decide it by those that come.
        below: of each model, what a sample need not keep; None for nothing.

    Attributes:
        basis: as given, or as decided.
    """

    def __init__(
        self,
        log: Log,
        scorers: Sequence[Scorer],
        labels: Labels | None,
        tolerance: Tolerance,
        seed: int,
        rows: RowsFile | None = None,
        progress: Callable[[int, int], None] | None = None,
        basis: Basis | None = None,
        below: Sequence[tuple[float, float]] | None = None,
    ):
        self.basis = basis
        self._drawn = 0
        self._passed_over: Counter[str] = Counter()
        self._log, self._scorers, self._labels = log, scorers, labels
        self._tolerance, self._seed, self._rows, self._progress = tolerance, seed, rows, progress
        self._named = None if basis is None else basis.named
        self._partials: list[Partial] = []
        self._samples = [
            Sample(seed) if below is None else Sample(seed, below[place])
            for place in range(len(scorers))
        ]

    def head(
        self,
        entries: Iterable[tuple[Any, Any]],
        total: int,
        one_signature: bool,
        threads: int | None,
    ) -> tuple[list[Scored], Iterator[list[Scored]]]:
        """Score the first calls, which decide the basis where none is given.

        Args:
            entries: of the log.
            total: how many there are; 0 where that isn't known.
            one_signature: whether calls that asked another signature than is scored are passed over.
            threads: how many threads score them; None for one for each core.

        Returns:
            Those calls, and what gives the others.

        Raises:
            InputError: the log is damaged, or none of its calls can be compared.
        """
        calls = self._calls(entries, one_signature)
        stream = self._counted(scored(calls, self._scorers, threads), total)
        head: list[Scored] = []
        if self.basis is not None:
            return head, stream
        rows = 0
        for block in stream:
            head += block
            rows += sum(one.call.rows for one in block)
            if rows >= HEAD:
                break
        if not head:
            raise InputError(f"{self._log.name}: no request can be replayed: {self._why_none()}")
        self.basis = self._basis(head)
        return head, stream

    def run(
        self,
        entries: Iterable[tuple[Any, Any]],
        total: int,
        one_signature: bool,
        threads: int | None,
    ) -> Part:
        """Score all, and add up; the arguments and errors are those of `head`."""
        head, stream = self.head(entries, total, one_signature, threads)
        assert self.basis is not None
        self._partials = [Partial(bounds, self._seed) for bounds in self.basis.bounds]
        added = chain.from_iterable(map(self._added, chain([head], stream)))
        for before, of_call, after in windows(added):
            for place, sample in enumerate(self._samples):
                seen = of_call[place]
                if seen is not None and seen.compared.problem is None:
                    sample.add([s[place] for s in before], seen, [s[place] for s in after])
        known = self._log.batches_known
        return Part(self._drawn, known, self._passed_over, self._partials, self._samples)

    def _calls(
        self, entries: Iterable[tuple[Any, Any]], one_signature: bool
    ) -> Iterator[Call | Passed]:
        """The calls that are replayed, and those that are passed over."""
        asked = self._scorers[0].signature
        for number, entry in entries:
            self._drawn += 1
            call = self._log.call(number, entry)
            if isinstance(call, Call):
                self._named = self._named or call.spec.name
                signature = call.spec.signature or DEFAULT_SIGNATURE
                if one_signature and asked is not None and signature != asked:
                    call = Passed(number, f"it asked signature {signature!r}")
                elif call.spec.name and call.spec.name != self._named:
                    call = Passed(number, f"model {call.spec.name!r} answered")
            yield call

    def _counted(self, stream: Iterable[Block], total: int) -> Iterator[list[Scored]]:
        done = 0
        for block in stream:
            done += len(block)
            if self._progress is not None:
                self._progress(done, total)
            self._passed_over.update(one.reason for one in block if isinstance(one, Passed))
            yield [one for one in block if isinstance(one, Scored)]

    def _basis(self, head: Sequence[Scored]) -> Basis:
        pairs: list[list[Pair]] = []
        bounds: list[Bounds] = []
        unpaired: list[str | None] = []
        for place in range(len(self._scorers)):
            found, why = self._paired(place, head)
            pairs.append(found)
            unpaired.append(why)
            bounds.append(self._bounds(place, head, found))
        return Basis(self._named, pairs, bounds, unpaired)

    def _paired(self, place: int, head: Sequence[Scored]) -> tuple[list[Pair], str | None]:
        """The outputs that belong together, by the first call that a model gives any for; or why none do."""
        for one in head:
            outputs = one.answers[place].outputs
            if outputs is not None:
                try:
                    return self._known(paired(one.call.outputs, outputs)), None
                except InputError as error:
                    if place == 0:
                        raise InputError(f"{self._log.name}: {error}") from error
                    return [], str(error)
        return [], None

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
                        "model's output is; name one by score (--score)"
                    )
        return pairs

    def _bounds(self, place: int, head: Sequence[Scored], pairs: Sequence[Pair]) -> Bounds:
        by_output: dict[str, list[np.ndarray]] = {}
        for one in head:
            answer = one.answers[place]
            for pair in pairs:
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
        assert self.basis is not None
        partial, pairs = self._partials[place], self.basis.pairs[place]
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
        assert self.basis is not None
        partial, call, answer = self._partials[place], one.call, one.answers[place]
        if answer.fitted is None or self.basis.unpaired[place] is not None:
            partial.add_unfit(answer.problem or str(self.basis.unpaired[place]))
            return None
        compared = any(pair.logged in call.outputs for pair in self.basis.pairs[place])
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
                f"{self._log.name}: request {call.number} has labels of dtype {labels.dtype} and shape "
                f"{list(labels.shape)}; accepted: one number for each of its {rows} rows"
            )
        return labels.reshape(rows).astype(np.float64)

    def _why_none(self) -> str:
        if not self._drawn:
            return "it holds none"
        return ", ".join(f"{reason} ({n:,})" for reason, n in self._passed_over.most_common())
