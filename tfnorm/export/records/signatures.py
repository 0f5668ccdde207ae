"""Signatures that take serialized tf.Example records."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import numpy as np
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.export.difference import Tried, difference
from tfnorm.export.records.tf_example import Feature, Parser, pad
from tfnorm.export.tracing.trace import Traced
from tfnorm.scorers.messages import one_line
from tfnorm.session import CANDIDATES

TF_EXAMPLE, CLASSIFY, REGRESS = "tf_example", "classify", "regress"
# Of records: signature -> its method and its input, which TensorFlow Serving prescribes for the last two.
METHODS = {
    TF_EXAMPLE: ("tensorflow/serving/predict", "examples"),
    CLASSIFY: ("tensorflow/serving/classify", "inputs"),
    REGRESS: ("tensorflow/serving/regress", "inputs"),
}
_MORE_STEPS = 3
_PADDING_TOLERANCE = 1e-4


def check_signatures(
    names: Collection[str],
    feature_spec: Mapping[str, Feature] | None,
    candidates: Collection[str] | None = None,
) -> tuple[str, ...]:
    """The names, each once.

    Raises:
        InputError: one is unknown, or there is none that takes what `feature_spec` or `candidates` describes.
    """
    known = (*METHODS, CANDIDATES)
    if isinstance(names, str) or not set(names) <= set(known):
        raise InputError(f"signatures is {names!r}; accepted: any of {', '.join(known)}")
    if feature_spec and not METHODS.keys() & set(names):
        raise InputError(
            f"feature_spec describes records, and no signature takes them; accepted with signatures: "
            f"any of {', '.join(METHODS)}"
        )
    if candidates is not None and CANDIDATES not in names:
        raise InputError(
            f"candidates is {candidates!r}, and no signature takes them; accepted with signatures: "
            f"{CANDIDATES}"
        )
    return tuple(name for name in known if name in names)


def trace_signatures(
    names: Collection[str], traced: Traced, parse: Parser
) -> dict[str, tf.types.experimental.ConcreteFunction]:
    """Trace signatures that parse records and score them.

    Raises:
        InputError: the outputs are not what a signature's method gives, or `parse` doesn't give the
            inputs.
    """
    answers: dict[str, Callable[[Mapping[str, tf.Tensor]], Mapping[str, tf.Tensor]]] = {
        TF_EXAMPLE: lambda outputs: outputs,
        CLASSIFY: _classify,
        REGRESS: _regress,
    }

    def trace(name: str) -> tf.types.experimental.ConcreteFunction:
        records = tf.TensorSpec([None], tf.string, METHODS[name][1])
        try:
            return tf.function(
                lambda records: answers[name](traced.call(parse(records))),
                input_signature=[records],
                autograph=False,
            ).get_concrete_function()
        except (TypeError, ValueError) as error:
            if isinstance(error, InputError):
                raise InputError(one_line(error)) from error
            raise InputError(
                f"feature_spec does not give the inputs of the model: {one_line(error)}"
            ) from error

    return {name: trace(name) for name in names}


def check_padding(traced: Traced, parse: Parser, tried: Tried) -> None:
    """Raise InputError if a score changes where sequences are padded further.

    A record's sequences are padded to the longest of its batch, so its score would depend on the batch.
    """
    if not parse.sequences:
        return
    padded = {
        name: pad(tf.constant(array), _MORE_STEPS).numpy() if name in parse.sequences else array
        for name, array in tried.features.items()
    }
    moved = difference(traced.score(padded), tried.scores, _PADDING_TOLERANCE)
    if moved is not None:
        raise InputError(
            f"more padding of {', '.join(map(repr, parse.sequences))} moves a score by {moved:.2g}, "
            "and records are padded to the longest of their batch; mask the padding in the model, or "
            "leave the signatures for tf.Example out"
        )


def check_probabilities(tried: Tried) -> None:
    """Raise InputError unless the scores are in [0, 1]."""
    (scores,) = tried.scores.values()
    low, high = np.min(scores), np.max(scores)
    if not 0 <= low <= high <= 1:
        raise InputError(
            f"classify gives probabilities, and scores of the model go from {low:.3g} to {high:.3g}; "
            "end the model with a sigmoid or softmax, or leave classify out"
        )


def _classify(outputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The probability of each class; of the classes "0" and "1" where there is one score."""
    scores = _only(outputs, CLASSIFY)
    if scores.shape.rank == 1:
        scores = scores[:, tf.newaxis]
    if scores.shape[1] == 1:
        scores = tf.concat([1 - scores, scores], axis=1)
    labels = tf.constant([str(i) for i in range(scores.shape[1])])
    return {"classes": tf.broadcast_to(labels, tf.shape(scores)), "scores": scores}


def _regress(outputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    scores = _only(outputs, REGRESS)
    if scores.shape.rank == 2 and scores.shape[1] != 1:
        raise InputError(
            f"regress gives one value an example; the model gives {scores.shape.as_list()}"
        )
    return {"outputs": tf.reshape(scores, [-1])}


def _only(outputs: Mapping[str, tf.Tensor], signature: str) -> tf.Tensor:
    if len(outputs) > 1:
        raise InputError(f"{signature} takes one output; the model has {', '.join(outputs)}")
    ((name, output),) = outputs.items()
    if output.shape.rank not in (1, 2) or output.shape[-1] is None or output.shape.rank == 0:
        raise InputError(
            f"{signature} takes an output of the shape [None, n]; {name!r} has {output.shape}"
        )
    return tf.cast(output, tf.float32)
