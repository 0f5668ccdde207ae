"""Train or load a model, export it for TensorFlow Serving, and keep it only if it passes.

Copy this script into your project and put your own training into `trained_model`. It exits with 0 and
prints the new version, or with 1 where a score depends on the batch, or with 2 where its input can't be
used; in both of the latter no version is left behind.

    python serving/export.py exports/din
    python serving/export.py exports/din --model din.keras --examples examples.npz
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import keras
import numpy as np

import tfnorm
from tfnorm.errors import InputError
from tfnorm.examples.load import load_examples
from tfnorm.pipeline import KEPT_EXAMPLES, deliver
from tfnorm.scorers.keras_model import load_keras_file
from tfnorm.training import Recipe, train


def trained_model(epochs: int) -> tuple[keras.Model, dict[str, np.ndarray]]:
    """Your training: a Keras model, and some examples of what it will be asked."""
    log = tfnorm.datasets.synthetic()
    features = {name: array[:KEPT_EXAMPLES] for name, array in log.test.features.items()}
    return train(log, Recipe(epochs=epochs)).model, features


def loaded_model(model: Path, examples: Path) -> tuple[keras.Model, dict[str, np.ndarray]]:
    """A model that was trained before, and its examples from an .npz file."""
    loaded = load_keras_file(model)
    return loaded, load_examples(examples, tfnorm.load_scorer(loaded))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path, help="the folder of versions to export to")
    parser.add_argument("--version", type=int, help="its number; the next free one if not given")
    parser.add_argument("--model", type=Path, help="a .keras file, in place of training")
    parser.add_argument("--examples", type=Path, help="an .npz file for --model")
    parser.add_argument(
        "--allow-misfit-statistics",
        action="store_true",
        help="export moving statistics that are not those of the examples",
    )
    parser.add_argument("--epochs", type=int, default=2, help="of the training")
    given = parser.parse_args()
    if (given.model is None) != (given.examples is None):
        parser.error("--model and --examples go together")
    try:
        model, examples = (
            trained_model(given.epochs)
            if given.model is None
            else loaded_model(given.model, given.examples)
        )
        delivered = deliver(
            model,
            given.directory,
            examples,
            version=given.version,
            allow_misfit_statistics=given.allow_misfit_statistics,
        )
    except InputError as error:
        print(f"export.py: {error}", file=sys.stderr)
        return 2
    print(delivered.verdict)
    if delivered.export is None:
        return 1
    if delivered.export.statistics is not None:
        print(f"the moving statistics {delivered.export.statistics}")
    print(delivered.export.path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
