"""A made-up Ray: its workers say what a test has them say, or work in this process."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import ray.cloudpickle

from tfnorm._start.version import __version__
from tfnorm.cluster import workers
from tfnorm.cluster.worker import Worker

STARTED = ("done", (__version__, "abc"))


class RayError(Exception):
    """Another that only tells of a death."""


class Died(RayError):
    """What the made-up Ray raises of a worker that is no more."""


class MadeUp:
    """Ray, whose workers answer what they are told to, at once and in the order in which they were asked.

    Args:
        run: gives what a worker says of a file, or raises `Died`.
        starts: what workers say as they start, one after the other; then all say the last.
    """

    def __init__(self, run, starts=(STARTED,)):
        self.run, self.starts = run, list(starts)
        self.started, self.killed, self.given = 0, [], []

    def __call__(self, part=None):
        if part == "cloudpickle":
            return ray.cloudpickle
        if part == "exceptions":
            return SimpleNamespace(
                RayActorError=Died,
                **dict.fromkeys(
                    ("WorkerCrashedError", "NodeDiedError", "OutOfMemoryError", "ObjectLostError"),
                    RayError,
                ),
            )
        return self

    def cluster_resources(self):
        return {"CPU": 2.0}

    def remote(self, **options):
        assert options == {"num_cpus": 1, "max_restarts": 0}
        return lambda cls: SimpleNamespace(remote=self.made)

    def made(self, cores, pickled):
        self.started += 1
        name = self.started
        says = self.starts.pop(0) if len(self.starts) > 1 else self.starts[0]

        def run(file, arguments):
            self.given.append((name, file, *arguments))
            return self.run(name, file)

        return actor(name, lambda: says, run)

    def wait(self, pending, timeout):
        return pending[:1], pending[1:]

    def get(self, future):
        said = future[1]()
        if isinstance(said, Exception):
            raise said
        return said

    def kill(self, worker):
        self.killed.append(worker.name)


class InProcess(MadeUp):
    """Ray, whose workers do in this process what they do in one of their own."""

    def __init__(self):
        super().__init__(None)

    def made(self, cores, pickled):
        self.started += 1
        # The threads that a worker has are set before TensorFlow starts, which it has here.
        worker = Worker.__new__(Worker)
        worker._pickled = pickled
        return actor(self.started, worker.start, worker.run)


def actor(name, start, run):
    """A worker as Ray hands it out; its work is done when it is asked what came of it."""

    def remote(method):
        return SimpleNamespace(remote=lambda *given: (object(), lambda: method(*given)))

    return SimpleNamespace(name=name, start=remote(start), run=remote(run))


def use(patch, made_up):
    """Have `Workers` find a made-up Ray at any address."""
    patch.setattr(workers, "ray", made_up)
    patch.setattr(workers, "connected", lambda address: contextlib.nullcontext())
