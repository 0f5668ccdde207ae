"""How long scoring through the session, and a verification, take beside an earlier commit.

    taskset -c 1 python benchmarks/scoring.py 2666bf3
    python benchmarks/scoring.py 2666bf3 --clock wall

2666bf3 is the commit before signatures were called as the C++ session takes them. Exports of DIN, DIEN, a
tower and a model of 300 inputs are made once. The commit's package comes out of git, and each of both runs
in a process of its own; they take turns. A ratio is the time of now over that of before, of the processor or
of the clock: the median over rounds, with the least and the most. The scores must have the same bits, and a
verification as many compositions with the same verdicts; else the exit status is 1. Each row is printed once
it is there.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import click
from packages import ROOT, Package, unpack
from timing import spread_of

ROWS = {1: 40, 64: 10, 1024: 3}
"""Batch size -> calls in a round."""
VERIFIED = ("DIN", "300 inputs")

WORKER = """
import hashlib, json, sys, time
import numpy as np
from tfnorm.session import SavedModel
from tfnorm.verify import %(verify)s as verify
folder, clock = sys.argv[1], getattr(time, sys.argv[2])
models = {}
print("ready", flush=True)
for line in sys.stdin:
    name, rows, calls = json.loads(line)
    examples = dict(np.load(f"{folder}/{name}.npz"))
    if not rows:
        start = clock()
        # Statistics are not what is timed.
        report = verify(f"{folder}/{name}", examples, allow_misfit_statistics=True, budget=600.0)
        took, digest = clock() - start, [[c.name, c.batch_size, c.passed] for c in report.compositions]
    else:
        if name not in models:
            models[name] = SavedModel(f"{folder}/{name}")
        feeds, times = {key: array[:rows] for key, array in examples.items()}, []
        models[name].run(feeds)
        for _ in range(calls):
            start = clock()
            scores = models[name].run(feeds)
            times.append(clock() - start)
        took = sorted(times)[len(times) // 2]
        digest = {key: hashlib.sha256(array.tobytes()).hexdigest() for key, array in scores.items()}
    print(json.dumps([took, digest]), flush=True)
"""


def make_exports(folder: Path) -> list[str]:
    import keras
    import numpy as np
    from export import features, give_statistics, tower

    from tfnorm.export import export_saved_model
    from tfnorm.models import DIEN, DIN

    def many_inputs() -> keras.Model:
        inputs = [keras.Input((1,), name=f"feature_{number}") for number in range(300)]
        x = keras.layers.Concatenate()(inputs)
        for units in (64, 32):
            x = keras.layers.ReLU()(keras.layers.BatchNormalization()(keras.layers.Dense(units)(x)))
        return keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid", name="score")(x))

    items = {"item_count": 3_000, "category_count": 1_601}
    models = {
        "DIN": lambda: DIN(**items),
        "DIEN": lambda: DIEN(**items),
        "tower": tower,
        "300 inputs": many_inputs,
    }
    for name, make in models.items():
        model = make()
        give_statistics(model)
        examples = features(model, max(ROWS))
        export_saved_model(model, folder / name, examples=examples, allow_misfit_statistics=True)
        np.savez(folder / f"{name}.npz", **examples)
    return list(models)


def worker(package: Path) -> str:
    """What a process with that package runs."""
    verify = "verify_batch_invariance"
    if f'"{verify}"' not in (package / "tfnorm" / "verify" / "_public.py").read_text():
        verify = "batch_invariance"
    return WORKER % {"verify": verify}


@click.command()
@click.argument("commit")
@click.option("--rounds", type=click.IntRange(3), default=7, show_default=True)
@click.option(
    "--clock", type=click.Choice(["processor", "wall"]), default="processor", show_default=True
)
def main(commit: str, rounds: int, clock: str) -> None:
    """Time scoring and verification as they are and as they were at COMMIT."""
    counter = {"processor": "process_time", "wall": "perf_counter"}[clock]
    print("model | work | now / before | before | now | same")
    all_same = True
    with tempfile.TemporaryDirectory() as old, tempfile.TemporaryDirectory() as exports:
        names = make_exports(Path(exports))
        unpack(commit, Path(old))
        packages = [
            Package(folder, worker(folder), exports, counter) for folder in (Path(old), ROOT)
        ]
        work = [(name, rows, calls) for name in names for rows, calls in ROWS.items()]
        for name, rows, calls in [*work, *((name, 0, 1) for name in VERIFIED)]:
            answers = [
                [package.ask((name, rows, calls)) for package in packages]
                for _ in range(rounds if rows else 3)
            ]
            was, now = ([took for took, _ in each] for each in zip(*answers, strict=True))
            found = spread_of([b / a for a, b in zip(was, now, strict=True)])
            same = all(one[0][1] == one[1][1] for one in answers)
            all_same &= same
            work_done = f"batch of {rows}" if rows else f"verification of {max(ROWS):,}"
            took = " | ".join(f"{statistics.median(each) * 1e3:,.2f} ms" for each in (was, now))
            print(f"{name} | {work_done} | {found.shown(2)} | {took} | {same}", flush=True)
        for package in packages:
            package.close()
    if not all_same:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
