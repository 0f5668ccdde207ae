"""Layers that compute what candidates share once, in place of once for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from tfnorm.export.candidates.rows import Rows
from tfnorm.models.attention import TargetAttention
from tfnorm.models.augru import AUGRUCell
from tfnorm.models.interest_scores import InterestScores

Form = Callable[..., tf.Tensor]
"""Rows and the arguments in, what the layer gives for each candidate out."""


def attention_form(operation: keras.Operation, of_candidates: Sequence[bool]) -> Form | None:
    """The form of an attention of each candidate over what there is of its user; None for other calls.

    Args:
        operation: the layer.
        of_candidates: of each tensor that it is called with, whether it has a row for each candidate.
    """
    attends = isinstance(operation, TargetAttention | InterestScores)
    if not attends or list(of_candidates) != [True, False, False]:
        return None

    def attend(rows: Rows, query: tf.Tensor, keys: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
        return rows.in_rows(operation.of_candidates(rows.by_user(query), keys, valid))

    return attend


def evolution_form(operation: keras.Operation, of_candidates: Sequence[bool]) -> Form | None:
    """The form of an evolution of a user's interests by each candidate's scores; None for other calls.

    Args:
        operation: the layer.
        of_candidates: of each part of the sequence that it is called with, whether it has a row for each
            candidate.
    """
    if list(of_candidates) != [False, True] or not isinstance(operation, keras.layers.RNN):
        return None
    told = ("return_sequences", "return_state", "go_backwards", "stateful")
    cell = operation.cell
    if not isinstance(cell, AUGRUCell) or any(getattr(operation, name) for name in told):
        return None

    def evolve(rows: Rows, interests: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
        by_user = rows.by_user(scores)[..., 0]
        return rows.in_rows(cell.of_candidates(interests, by_user))

    return evolve
