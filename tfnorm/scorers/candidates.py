"""Signatures that take each user once and many candidates of each, and how to score candidates by them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.scorers.candidates_graph import write_by_candidate
from tfnorm.scorers.scorer import Scorer
from tfnorm.session import DEFAULT_SIGNATURE, SavedModel

USERS = 4
"""Of how many users candidates are scored at once."""


def takes_users_once(scorer: Scorer, examples: object) -> bool:
    """Whether a scorer takes users and candidates of each, and examples are a row for each candidate."""
    if not scorer.candidates or scorer.inputs is None:
        return False
    given = examples if isinstance(examples, Mapping) else {}
    return not any(
        np.ndim(given[name]) == scorer.inputs[name].shape.rank
        for name in scorer.candidates
        if name in given
    )


def candidate_inputs(
    inputs: Mapping[str, tf.TensorSpec], of_rows: Mapping[str, tf.TensorSpec]
) -> tuple[str, ...]:
    """The inputs of a signature that have an axis more than in one that takes a row for each candidate.

    Args:
        inputs: of the signature.
        of_rows: of `serving_default`.

    Returns:
        Their names; none where that is not the difference between the two.
    """
    if inputs.keys() != of_rows.keys():
        return ()
    more = {}
    for name, spec in inputs.items():
        if spec.shape.rank is None or of_rows[name].shape.rank is None:
            return ()
        more[name] = spec.shape.rank - of_rows[name].shape.rank
    found = tuple(name for name, axes in more.items() if axes)
    return found if {*more.values()} == {0, 1} else ()


class _OfUsers(Scorer):
    """Scores candidates for some users, each candidate being an example.

    Args:
        scorer: what scores.
        users: input name -> `[users, ...]`, of all inputs but the candidates'.
        candidates: input name -> dtype and shape, of a candidate's inputs, `[candidates, ...]`.
    """

    def __init__(
        self,
        scorer: Scorer,
        users: Mapping[str, np.ndarray],
        candidates: Mapping[str, tf.TensorSpec],
    ):
        self.name, self.signature = scorer.name, scorer.signature
        self.precision, self.remote = scorer.precision, scorer.remote
        self.concurrent = scorer.concurrent
        self.inputs = dict(candidates)
        self.outside = scorer.outside
        self._scorer = scorer
        self._users = users
        self._count = len(next(iter(users.values())))

    def precision_of(self, output: str) -> str | None:
        return self._scorer.precision_of(output)

    def close(self) -> None:
        self._scorer.close()


class CandidatesScorer(_OfUsers):
    """`[candidates, ...]` in, `[candidates, users, ...]` out, by a signature that takes users once."""

    def score(self, examples: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        shown = {name: np.stack([array] * self._count) for name, array in examples.items()}
        outputs = self._scorer.score({**self._users, **shown})
        self.precision = self._scorer.precision
        return {name: np.moveaxis(scores, 0, 1) for name, scores in outputs.items()}

    @contextmanager
    def as_saved_model(self) -> Iterator[SavedModel | None]:
        """A SavedModel whose signature takes a row for each candidate."""
        with self._scorer.as_saved_model() as saved:
            if saved is None:
                yield None
                return
            signature = self.signature or DEFAULT_SIGNATURE
            with tempfile.TemporaryDirectory() as folder:
                write_by_candidate(saved.path, signature, self._users, Path(folder))
                with SavedModel(folder) as model:
                    yield model


class PairsScorer(_OfUsers):
    """The same by `serving_default`, or a Keras model, which is given a row for each pair."""

    def score(self, examples: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        each = len(next(iter(examples.values())))
        users = {name: np.repeat(array, each, axis=0) for name, array in self._users.items()}
        shown = {name: np.concatenate([array] * self._count) for name, array in examples.items()}
        outputs = self._scorer.score({**users, **shown})
        self.precision = self._scorer.precision
        return {
            name: np.moveaxis(scores.reshape(self._count, each, *scores.shape[1:]), 0, 1)
            for name, scores in outputs.items()
        }

    @contextmanager
    def as_saved_model(self) -> Iterator[SavedModel | None]:
        raise InputError(
            f"{self.name}: what is to blame is looked for where each candidate is a row: verify the "
            "signature 'serving_default'"
        )
        yield None


def by_candidate(
    scorer: Scorer, of_rows: Scorer, rows: Mapping[str, np.ndarray]
) -> tuple[CandidatesScorer, PairsScorer, dict[str, np.ndarray]]:
    """Score the candidates of rows for the users of a few of them, evenly spread.

    Args:
        scorer: of a signature that takes users once.
        of_rows: of a signature, or a model, that takes a row for each candidate.
        rows: such rows.

    Returns:
        Both as scorers of candidates, and the candidates.
    """
    assert scorer.inputs is not None
    last = len(next(iter(rows.values()))) - 1
    chosen = np.unique(np.linspace(0, last, USERS).astype(int))
    of_users = {name: a[chosen] for name, a in rows.items() if name not in scorer.candidates}
    shown = {name: rows[name] for name in scorer.candidates}
    specs = {
        name: tf.TensorSpec([None, *scorer.inputs[name].shape[2:]], scorer.inputs[name].dtype, name)
        for name in shown
    }
    return (
        CandidatesScorer(scorer, of_users, specs),
        PairsScorer(of_rows, of_users, specs),
        shown,
    )
