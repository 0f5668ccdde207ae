"""How long an export takes to be written, beside an earlier commit's and Keras's own.

    python benchmarks/writing.py f65ee38^

f65ee38^ is the commit before of large examples only 16 MB were compared. Each model is exported with 128
examples by the package as it is and as it was at the commit, and without any by `model.export`, each in a
process of its own; they take turns. Seconds of processor time, the median of the rounds with the least and
the most; a ratio is that of two turns of one round. Each row is printed once it is there.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
from packages import ROOT, Package, unpack
from timing import spread_of

WORKER = """
import json, shutil, sys, tempfile, time
import keras, numpy as np
from tfnorm.export import export_saved_model
folder, by = sys.argv[1:]
print("ready", flush=True)
for line in sys.stdin:
    name = json.loads(line)
    model = keras.saving.load_model(f"{folder}/{name}.keras")
    examples = dict(np.load(f"{folder}/{name}.npz"))
    place = tempfile.mkdtemp()
    start = time.process_time()
    if by == "keras":
        model.export(place, verbose=False)
    else:
        # Statistics are not what is timed.
        allowed = dict.fromkeys(("allow_misfit_statistics", "allow_untrained_statistics"), True)
        export_saved_model(model, place, examples=examples, **allowed)
    print(json.dumps(time.process_time() - start), flush=True)
    shutil.rmtree(place)
"""


def make_models(folder: Path) -> list[str]:
    """Save each with its examples."""
    import keras
    import numpy as np
    from export import features, give_statistics

    from tfnorm.models import DIEN, DIN

    items = {"item_count": 3_000, "category_count": 1_601}
    models = {
        "DIN": DIN(**items),
        "DIEN": DIEN(**items),
        "ResNet50": keras.applications.ResNet50(weights=None),
    }
    for name, model in models.items():
        if name == "ResNet50":
            examples = {model.layers[0].name: np.random.rand(128, 224, 224, 3).astype(np.float32)}
        else:
            give_statistics(model)
            examples = features(model, 128)
        model.save(folder / f"{name}.keras")
        np.savez(folder / f"{name}.npz", **examples)
    return list(models)


@click.command()
@click.argument("commit")
@click.option("--rounds", type=click.IntRange(3), default=5, show_default=True)
def main(commit: str, rounds: int) -> None:
    """Time exports as they are, as they were at COMMIT, and Keras's own."""
    print("model | now | before | keras | now / before | now / keras")
    with tempfile.TemporaryDirectory() as old, tempfile.TemporaryDirectory() as models:
        names = make_models(Path(models))
        unpack(commit, Path(old))
        exporters = [
            Package(folder, WORKER, models, by)
            for folder, by in ((ROOT, "tfnorm"), (Path(old), "tfnorm"), (ROOT, "keras"))
        ]
        for name in names:
            took = [[one.ask(name) for one in exporters] for _ in range(rounds)]
            ratios = [[turn[0] / turn[other] for turn in took] for other in (1, 2)]
            columns = [spread_of(column).shown(2) for column in (*zip(*took, strict=True), *ratios)]
            print(" | ".join([name, *columns]), flush=True)
        for one in exporters:
            one.close()


if __name__ == "__main__":
    main()
