"""Train or load a model, export it for TensorFlow Serving, and keep it only if it passes.

Copy this script into your project and put your own training into `trained_model`. It exits with 0 and
prints the new version, or with 1 where a score depends on the batch, or with 2 where its input can't be
used or the verification could not tell; in both of the latter no version is left behind.

    python serving/export.py exports/din
    python serving/export.py exports/din --model din.keras --examples examples.npz --signature tf_example
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import keras
import numpy as np

import tfnorm

KEPT_EXAMPLES = 512


def trained_model(epochs: int) -> tuple[keras.Model, dict[str, np.ndarray]]:
    """Your training: a Keras model, and some examples of what it will be asked."""
    log = tfnorm.datasets.synthetic()
    features = {name: array[:KEPT_EXAMPLES] for name, array in log.test.features.items()}
    return tfnorm.training.train(log, tfnorm.training.Recipe(epochs=epochs)).model, features


def number_or_word(given: str) -> int | str:
    return int(given) if given.isdecimal() else given


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path, help="the folder of versions to export to")
    parser.add_argument("--version", type=int, help="its number; the next free one if not given")
    parser.add_argument("--model", type=Path, help="a .keras file, in place of training")
    parser.add_argument("--examples", type=Path, help="a file of examples for --model")
    parser.add_argument("--epochs", type=int, default=2, help="of the training")
    parser.add_argument(
        "--signature",
        dest="signatures",
        choices=["tf_example", "classify", "regress", "candidates"],
        action="append",
        default=[],
        help="a further signature: three of serialized tf.Example records, and one of users, each once, "
        "and many candidates of each; may be repeated",
    )
    parser.add_argument(
        "--candidate",
        dest="candidates",
        action="append",
        help="an input that a candidate has of its own; may be repeated; the target of the model's "
        "schema if not given",
    )
    parser.add_argument(
        "--feature-spec", type=Path, help="a JSON file that says how records hold the inputs"
    )
    parser.add_argument(
        "--warmup-batch-size",
        dest="warmup_batch_sizes",
        type=int,
        action="append",
        default=[],
        help="the size of a request that the server replays before it takes traffic; may be repeated",
    )
    parser.add_argument(
        "--unknown-ids",
        type=number_or_word,
        default="error",
        metavar="error|nan|ROW",
        help="what an id gets that its embedding table lacks: an error for the whole batch, NaN for its own "
        "row, or that row of the table",
    )
    parser.add_argument(
        "--embeddings",
        choices=["float32", "float16", "int8"],
        default="float32",
        help="how embedding tables are stored",
    )
    parser.add_argument(
        "--history-length",
        type=number_or_word,
        metavar="N|schema",
        help="how long the lists of a request are, so that a server can batch requests",
    )
    parser.add_argument(
        "--batch-invariance",
        choices=["tolerance", "bitwise"],
        default="tolerance",
        help="whether an example scores the same in every batch but for rounding, or to the last bit",
    )
    parser.add_argument(
        "--allow-misfit-statistics",
        action="store_true",
        help="export moving statistics that are not those of the examples",
    )
    parser.add_argument(
        "--junit", type=Path, help="write the verification to this file, as JUnit XML"
    )
    parser.add_argument("--html", type=Path, help="write it to this file, as an HTML page")
    given = parser.parse_args()
    if (given.model is None) != (given.examples is None):
        parser.error("--model and --examples go together")
    return given


def deliver(given: argparse.Namespace) -> tfnorm.Delivered:
    """Export, verify and publish what the arguments say."""
    spec = given.feature_spec
    model, examples = (
        trained_model(given.epochs) if given.model is None else (given.model, given.examples)
    )
    return tfnorm.deliver(
        model,
        given.directory,
        examples,
        version=given.version,
        signatures=given.signatures,
        candidates=given.candidates,
        feature_spec=None if spec is None else tfnorm.export.load_feature_spec(spec),
        warmup_batch_sizes=given.warmup_batch_sizes,
        history_length=given.history_length,
        unknown_ids=given.unknown_ids,
        embeddings=given.embeddings,
        batch_invariance=given.batch_invariance,
        allow_misfit_statistics=given.allow_misfit_statistics,
    )


def write_reports(given: argparse.Namespace, verdict: tfnorm.verify.InvarianceReport) -> None:
    """Write the verification to the files that were asked for."""
    if given.junit is not None:
        given.junit.write_text(tfnorm.verify.to_junit(verdict), encoding="utf-8")
    if given.html is not None:
        given.html.write_text(tfnorm.verify.to_html(verdict), encoding="utf-8")


def main() -> int:
    given = arguments()
    try:
        delivered = deliver(given)
    except tfnorm.verify.Undecided as error:
        write_reports(given, error.report)
        print(f"export.py: {error}", file=sys.stderr)
        return 2
    except tfnorm.InputError as error:
        print(f"export.py: {error}", file=sys.stderr)
        return 2
    write_reports(given, delivered.verdict)
    print(delivered.verdict)
    if delivered.export is None:
        return 1
    if delivered.export.statistics is not None:
        print(f"the moving statistics {delivered.export.statistics}")
    print(delivered.export.path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
