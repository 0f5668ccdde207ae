"""What everyone knows of something that scores examples, and all that anyone knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, runtime_checkable

import keras
import numpy as np
import tensorflow as tf

from tfnorm.session import SavedModel

Call = Callable[[Mapping[str, tf.Tensor]], Mapping[str, tf.Tensor]]
"""Features by name in, outputs by name out."""


@runtime_checkable
class BareScorer(Protocol):
    """The least that a scorer of one's own must have; `completed` takes the rest as `Scorer` has it.

    Attributes:
        name: what it is, for people.
        signature: which of its signatures is called; None for a Keras model, which has none.
        inputs: input name -> dtype and shape, the first dimension being the batch; None where it
            doesn't say (a subclassed Keras model).
    """

    name: str
    signature: str | None
    inputs: dict[str, tf.TensorSpec] | None

    def score(self, examples: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Score a batch: input name -> `[batch, ...]` in, output name -> `[batch, ...]` out.

        Raises:
            InputError: it can't be reached, or it refuses these examples.
        """
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


@runtime_checkable
class Scorer(BareScorer, Protocol):
    """Something that scores examples: a Keras model, a file, a server, or a class of one's own.

    A subclass defines `name`, `signature`, `inputs`, `score` and `close`. Whatever else it does not define
    is as it stands here.

    Attributes:
        precision: the coarsest floating-point type that it computes in, such as "float16", once it
            has scored; None if unknown.
        remote: whether requests may be sent at the same time.
        concurrent: whether `score` may be called from several threads at once, and then gives the same as
            one call after the other.
        kept_examples: the file of examples that an export keeps beside the model; None for none.
        defaults: input name -> its value where `score` is not given it, for inputs that need not be given.
        constants: input name -> its value in every batch, for inputs that are no part of the examples.
        candidates: the inputs that have an axis of candidates after the batch's, where the target's
            `serving_default` has none; candidates share the other inputs.
        outside: input name -> an id that its embedding table lacks, for inputs where such an id must not
            change the scores of other rows.
        places: where inputs stand that are in nested dicts or in lists: path, such as "user/age" -> name.

    Example:

        >>> class Doubling(Scorer):
        ...     name, signature, inputs = "a function", None, None
        ...
        ...     def score(self, examples):
        ...         return {"score": 2 * examples["x"]}
        ...
        ...     def close(self):
        ...         pass
        >>> tfnorm.verify_batch_invariance(Doubling(), {"x": np.arange(8.0)}).passed
        True
    """

    precision: str | None = None
    remote: bool = False
    concurrent: bool = False
    kept_examples: Path | None = None
    defaults: Mapping[str, np.ndarray] = MappingProxyType({})
    constants: Mapping[str, np.ndarray] = MappingProxyType({})
    candidates: tuple[str, ...] = ()
    outside: Mapping[str, int] = MappingProxyType({})
    places: Mapping[str, str] = MappingProxyType({})

    def keras_model(self) -> tuple[keras.Model, Call] | None:
        """The Keras model that scores, and how it is called; None where it is no Keras model."""
        return None

    def precision_of(self, output: str) -> str | None:
        """The coarsest floating-point type that one output is computed in; None if unknown."""
        return self.precision

    @contextmanager
    def as_saved_model(self) -> Iterator[SavedModel | None]:
        """A SavedModel of what scores, to look into while the context lasts; None where there is none.

        Its signature `signature` is what scores, or the default one where that is None.

        Raises:
            InputError: it should be possible, but is not.
        """
        yield None


def completed(scorer: BareScorer) -> Scorer:
    """The scorer as it is, or, of one that says less, with all that a `Scorer` says."""
    return scorer if isinstance(scorer, Scorer) else _Completed(scorer)


class Fed(Scorer):
    """A scorer of which some inputs are given the same in every batch.

    Args:
        scorer: the scorer.
        constants: input name -> what it is in every batch; no input of this scorer any more.
    """

    def __init__(self, scorer: Scorer, constants: Mapping[str, np.ndarray]):
        self._scorer = scorer
        self.name, self.signature = scorer.name, scorer.signature
        self.precision, self.remote = scorer.precision, scorer.remote
        self.concurrent = scorer.concurrent
        self.kept_examples, self.places = scorer.kept_examples, scorer.places
        self.constants = constants
        self.outside = scorer.outside
        self.candidates = tuple(name for name in scorer.candidates if name not in constants)
        self.defaults = {k: v for k, v in scorer.defaults.items() if k not in constants}
        self.inputs = scorer.inputs
        if scorer.inputs is not None:
            self.inputs = {k: v for k, v in scorer.inputs.items() if k not in constants}

    def score(self, examples: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs = self._scorer.score({**examples, **self.constants})
        self.precision = self._scorer.precision
        return outputs

    def keras_model(self) -> tuple[keras.Model, Call] | None:
        found = self._scorer.keras_model()
        if found is None:
            return None
        model, call = found
        fixed = {name: tf.constant(value) for name, value in self.constants.items()}
        return model, lambda features: call({**features, **fixed})

    def precision_of(self, output: str) -> str | None:
        return self._scorer.precision_of(output)

    @contextmanager
    def as_saved_model(self) -> Iterator[SavedModel | None]:
        with self._scorer.as_saved_model() as model:
            yield model

    def close(self) -> None:
        self._scorer.close()


class _Completed(Scorer):
    """A scorer that isn't made from `Scorer`, with what it doesn't say taken as `Scorer` has it."""

    def __init__(self, scorer: BareScorer):
        self.name, self.signature, self.inputs = scorer.name, scorer.signature, scorer.inputs
        self.remote = getattr(scorer, "remote", self.remote)
        self.concurrent = getattr(scorer, "concurrent", self.concurrent)
        self.kept_examples = getattr(scorer, "kept_examples", self.kept_examples)
        self.defaults = getattr(scorer, "defaults", self.defaults)
        self.places = getattr(scorer, "places", self.places)
        self._scorer = scorer
        for name in ("keras_model", "as_saved_model"):
            setattr(self, name, getattr(scorer, name, getattr(self, name)))

    def score(self, examples: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs = self._scorer.score(examples)
        self.precision = getattr(self._scorer, "precision", None)
        return outputs

    def close(self) -> None:
        self._scorer.close()
