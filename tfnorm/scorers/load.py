"""A scorer of whatever the model is: in memory, a file, or behind a server."""

from __future__ import annotations

from pathlib import Path

import keras

from tfnorm.errors import InputError, installed_by
from tfnorm.scorers.keras_model import KerasScorer, load_keras_file
from tfnorm.scorers.saved_model import SavedModelScorer
from tfnorm.scorers.scorer import Scorer
from tfnorm.scorers.servers.connection import Connection
from tfnorm.session import DEFAULT_SIGNATURE

ACCEPTED = (
    "a Keras model, a .keras file, the directory of a SavedModel or of its versions, "
    "grpc://HOST:PORT/NAME[/VERSION] or http://HOST:PORT/v1/models/NAME[/versions/N] "
    "(grpcs and https for TLS)"
)


def load_scorer(
    target: keras.Model | str | Path,
    *,
    signature: str | None = None,
    connection: Connection | None = None,
) -> Scorer:
    """Open a model, a file or a server, to score examples with all of them in one way.

    A SavedModel is run by the C++ session that TensorFlow Serving uses, never by re-tracing Python.
    For a server, the version that it serves now is scored, even if it serves a newer one later.

    Args:
        target: a Keras model, a `.keras` file, the directory of a SavedModel or of its versions
            (the newest is taken), `grpc://HOST:PORT/NAME[/VERSION]`, or
            `http://HOST:PORT/v1/models/NAME[/versions/N]`; `.../labels/LABEL` for the version that
            has a label, `grpcs` and `https` for TLS.
        signature: the name of a signature of a SavedModel or a server; None for "serving_default".
        connection: how to reach a server; None for the defaults.

    Returns:
        A scorer: `scorer.inputs` says what it takes, and `scorer.score(examples)` returns a dict of arrays.

    Raises:
        InputError: `target` can't be understood, reached or loaded.

    Example:

        >>> model = keras.Sequential([keras.Input((3,), name="x"), keras.layers.Dense(1)])
        >>> scorer = load_scorer(model)
        >>> scorer.score({"x": np.zeros((2, 3), np.float32)})
        {'score': array([[0.],
               [0.]], dtype=float32)}
    """
    if isinstance(target, keras.Model):
        _refuse_signature(signature, "a Keras model")
        return KerasScorer(target)
    if not isinstance(target, str | Path):
        raise InputError(f"can't score {type(target).__name__} {target!r}; accepted: {ACCEPTED}")
    if isinstance(target, str) and "://" in target:
        return _connect(target, signature or DEFAULT_SIGNATURE, connection)
    if Path(target).suffix == ".keras":
        _refuse_signature(signature, "a .keras file")
        return KerasScorer(load_keras_file(target), name=str(target))
    return SavedModelScorer(target, signature or DEFAULT_SIGNATURE)


def _connect(url: str, signature: str, connection: Connection | None) -> Scorer:
    scheme = url.partition("://")[0]
    try:
        if scheme in ("grpc", "grpcs"):
            from tfnorm.scorers.servers.grpc_server import GrpcScorer

            return GrpcScorer(url, signature, connection)
        if scheme in ("http", "https"):
            from tfnorm.scorers.servers.rest_server import RestScorer

            return RestScorer(url, signature, connection)
    except ImportError as error:
        raise InputError(
            f"{url}: a server is reached with packages that are not installed ({error}); "
            f"install them with: {installed_by('serving')}"
        ) from error
    raise InputError(f"{url}: the scheme {scheme!r} is not known; accepted: {ACCEPTED}")


def _refuse_signature(signature: str | None, target: str) -> None:
    if signature is not None:
        raise InputError(f"signature {signature!r} was given, but {target} has no signatures")
