"""Files, worked on by whichever worker is free; what died is started and done again."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from tfnorm._start.version import __version__
from tfnorm.cluster.connection import connected, ray
from tfnorm.cluster.worker import Said, Work, Worker
from tfnorm.errors import InputError
from tfnorm.examples.files import is_address

ATTEMPTS = 3
"""How many workers may die in the middle of a file, or as they start, until it is given up."""

PATIENCE = 300
"""Seconds that a cluster has to place a worker where none runs."""

_DIED = f"{ATTEMPTS} workers died on it, one after the other; they may need more memory"
_NOT_THERE = re.compile(r"(?:ModuleNotFoundError|ImportError): (.*)")


def everywhere(place: str | Path) -> str:
    """A path, a pattern or an address as it is in any folder: workers may run in others."""
    return str(place if is_address(place) else Path(place).absolute())


def none_taken(skipped: Mapping[str, str]) -> InputError:
    """What is said where no file is left, of which there may be thousands."""
    if not skipped:
        return InputError("the files hold no examples")
    first = next(iter(skipped.values()))
    return InputError(f"no file is left: {len(skipped):,} were left out, such as {first}")


def check_count(count: int | None) -> None:
    """Raise InputError where it is no number of workers."""
    if count is not None and count < 1:
        raise InputError(f"workers is {count}; accepted: 1 or more")


class Workers:
    """Processes of a cluster that each load a model once, and then work on files.

    A worker that dies, alone or with its machine, is replaced, and its file is done again: what comes back
    of a file comes back whole, and once.

    Args:
        address: of the cluster, as `connected` takes it.
        make: loads what the work needs, in each worker; it is pickled.
        fingerprint: that of the model here, which those of the workers must be equal to; None where nothing
            tells.
        count: how many workers; None for one for each core.
        skip_damaged: whether a file that can't be worked on is left out, and told by `skipped`.

    Raises:
        InputError: Ray isn't installed, or nothing answers at the address.

    Attributes:
        skipped: the files that were left out -> why.
    """

    def __init__(
        self,
        address: str,
        make: Callable[[], Work],
        *,
        fingerprint: str | None = None,
        count: int | None = None,
        skip_damaged: bool = False,
    ):
        check_count(count)
        self.skipped: dict[str, str] = {}
        self._fingerprint, self._skip = fingerprint, skip_damaged
        self._make = ray("cloudpickle").dumps(make)
        self._running: dict[Any, tuple[Any, str | None]] = {}
        self._free: list[Any] = []
        self._failures = 0
        self._stack = ExitStack()
        self._stack.enter_context(connected(address))
        cores = int(ray().cluster_resources().get("CPU", 0))
        if not cores:
            self._stack.close()
            raise InputError(f"the Ray cluster {address!r} has no core; accepted: 1 or more")
        self._count = count or cores

    def map(
        self,
        files: Sequence[Path],
        arguments: Callable[[], tuple[Any, ...]] = tuple,
        progress: Callable[[int, int], None] | None = None,
    ) -> Iterator[Any]:
        """What each file comes to, as they are done.

        Args:
            files: at their paths on the workers.
            arguments: what the work is given beside a file, asked for each.
            progress: called with the files done so far and all of them; None for nothing.

        Raises:
            InputError: a file can't be worked on, no worker can be started, or one has another tfnorm or
                another model.
        """
        waiting = deque(str(file) for file in files if str(file) not in self.skipped)
        total, left, deaths = len(waiting), len(waiting), Counter[str]()
        for _ in range(min(self._count, total) - len(self._free) - len(self._running)):
            self._start()
        while left:
            while waiting and self._free:
                worker, file = self._free.pop(), waiting.popleft()
                self._running[worker.run.remote(file, arguments())] = worker, file
            worker, done, said = self._next()
            if done is None:
                self._started(worker, said)
                continue
            if said is None:
                deaths[done] += 1
                if deaths[done] < ATTEMPTS:
                    waiting.append(done)
                    continue
            left -= 1
            if progress is not None:
                progress(total - left, total)
            kind, result = said or ("refused", f"{done}: {_DIED}")
            if kind == "done":
                yield result
            elif self._skip:
                self.skipped[done] = result
            else:
                raise InputError(result)

    def close(self) -> None:
        """End the workers."""
        for worker in [*self._free, *(worker for worker, _ in self._running.values())]:
            ray().kill(worker)
        self._free, self._running = [], {}
        self._stack.close()

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _start(self) -> None:
        actor = ray().remote(num_cpus=1, max_restarts=0)(Worker)
        worker = actor.remote(1, self._make)
        self._running[worker.start.remote()] = worker, None

    def _next(self) -> tuple[Any, str | None, Said | None]:
        """A worker that has ended something, with which file, and what came of it; None where it died."""
        exceptions = ray("exceptions")
        busy = any(file is not None for _, file in self._running.values())
        done, _ = ray().wait(list(self._running), timeout=None if busy else PATIENCE)
        if not done:
            raise InputError(
                f"the cluster has placed no worker in {PATIENCE} s; accepted: one with a free core, of "
                f"{ray().cluster_resources().get('CPU', 0):.0f} that it has"
            )
        worker, file = self._running.pop(done[0])
        try:
            said: Said = ray().get(done[0])
        except (
            exceptions.RayActorError,
            exceptions.WorkerCrashedError,
            exceptions.NodeDiedError,
            exceptions.OutOfMemoryError,
            exceptions.ObjectLostError,
        ) as error:
            missing = _NOT_THERE.search(str(error))
            if missing:
                raise InputError(
                    f"a worker can't import what it needs: {missing[1]}; accepted: tfnorm {__version__} and "
                    "the packages that it needs on each machine"
                ) from error
            ray().kill(worker)
            self._failures += 1
            if file is None and self._failures >= ATTEMPTS and not self._free and not busy:
                reason = str(error).strip().splitlines()[0]
                raise InputError(
                    f"{ATTEMPTS} workers died before one could begin; they may need more memory: {reason}"
                ) from error
            self._start()
            return worker, file, None
        if file is not None:
            self._free.append(worker)
        return worker, file, said

    def _started(self, worker: Any, said: Said | None) -> None:
        if said is None:
            return
        kind, result = said
        if kind == "refused":
            raise InputError(f"a worker can't start: {result}")
        version, fingerprint = result
        if version != __version__:
            raise InputError(
                f"a worker has tfnorm {version}; accepted: {__version__}, as here, on each machine"
            )
        if fingerprint != self._fingerprint:
            raise InputError(
                f"a worker has another model by that path, {fingerprint}; accepted: {self._fingerprint}, as "
                "here, on each machine"
            )
        self._failures = 0
        self._free.append(worker)
