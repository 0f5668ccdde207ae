"""The signature that takes users, each once, and candidates of each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import keras
import tensorflow as tf

from tfnorm._keras import is_symbolic
from tfnorm.errors import InputError
from tfnorm.export.candidates.evaluation import Evaluation, Value
from tfnorm.export.candidates.request_shapes import checked
from tfnorm.export.candidates.rows import Rows
from tfnorm.export.tracing.interface import Interface
from tfnorm.export.tracing.unknown import spoilt
from tfnorm.schema import Schema
from tfnorm.session import CANDIDATES


def candidate_inputs(called: Interface, given: Collection[str] | None) -> tuple[str, ...]:
    """The inputs that a candidate has of its own.

    Args:
        called: the model.
        given: their names; None for the target of the schema that the model is made from.

    Raises:
        InputError: the model is no graph of Keras calls, or there is no schema, no such input, or none
            that is left to the user.
    """
    model, inputs = called.model, ", ".join(map(repr, called.inputs))
    if not is_symbolic(model) or isinstance(model, keras.Sequential):
        raise InputError(
            f"signature {CANDIDATES!r} is asked for, and {model.name!r} is no functional model; accepted: a "
            "model of keras.Input and calls on them, whose graph tells what candidates share"
        )
    if given is None:
        schema = getattr(model, "schema", None)
        if not isinstance(schema, Schema):
            raise InputError(
                f"signature {CANDIDATES!r} is asked for, and {model.name!r} has no schema that tells which "
                f"inputs are a candidate's; name them by candidates (--candidate), of {inputs}"
            )
        given = schema.target
    if isinstance(given, str) or not given or not set(given) <= called.inputs.keys():
        raise InputError(f"candidates is {given!r}; accepted: some of the inputs {inputs}")
    if set(given) == called.inputs.keys():
        raise InputError(
            f"candidates is {list(given)}, which are all inputs of {model.name!r}, so that candidates have "
            "nothing in common; accepted: some of them"
        )
    return tuple(name for name in called.inputs if name in given)


@dataclass(frozen=True)
class OfCandidates(Interface):
    """A model that is given users and candidates of each.

    Attributes:
        candidates: the inputs of candidates, `[users, candidates, ...]`; the others are `[users, ...]`.
        two_if_one: makes two rows of a single one, of rows and how many they are; None to leave it.
    """

    candidates: tuple[str, ...] = ()
    two_if_one: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None

    def score(self, features: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The scores `[users, candidates, ...]` in inference mode."""
        given, features = features, checked(features, self.inputs, self.candidates)
        users, each = tf.unstack(tf.shape(features[self.candidates[0]])[:2])
        count = users * each
        owners = tf.repeat(tf.range(users), each)
        flat = {
            name: _in_rows(x, count) if name in self.candidates else x
            for name, x in features.items()
        }
        if self.two_if_one is not None:
            owners = self.two_if_one(owners, count)
            flat = {
                name: self.two_if_one(x, count if name in self.candidates else users)
                for name, x in flat.items()
            }
            users = tf.where(users == 1, 2, users)
        prepared = self.prepared(flat)
        inputs = {
            id(tensor): Value(prepared[name], name in self.candidates)
            for name, tensor in self.tensors.items()
        }
        rows = Rows(users, owners)
        bad: list[tf.Tensor] = []
        if self.unknown is not None:
            self.unknown.begin()

        def ran(of_candidates: bool) -> None:
            if self.unknown is not None:
                count = tf.size(owners) if of_candidates else users
                for unknown in self.unknown.take(given, count):
                    bad.append(unknown if of_candidates else rows.spread(unknown))

        evaluation = Evaluation(rows, shared=self.two_if_one is None, ran=ran)
        made = evaluation.outputs(self.model, [inputs[id(tensor)] for tensor in self.model.inputs])
        spread = [v.tensor if v.of_candidates else rows.spread(v.tensor) for v in made]
        named = self._named(keras.tree.pack_sequence_as(self.model.output, spread))
        if self.unknown is not None:
            named = spoilt(named, bad)
        shape = tf.shape(features[self.candidates[0]])[:2]
        return {name: _by_user(name, x[:count], shape) for name, x in named.items()}


def of_candidates(
    called: Interface,
    candidates: Sequence[str],
    two_if_one: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None,
) -> OfCandidates:
    """A model as the signature for candidates calls it."""

    def longer(specs: Mapping[str, tf.TensorSpec]) -> dict[str, tf.TensorSpec]:
        return {
            name: tf.TensorSpec([None, None, *spec.shape[1:]], spec.dtype, name)
            if name in candidates
            else spec
            for name, spec in specs.items()
        }

    return called.as_kind(
        OfCandidates,
        inputs=longer(called.inputs),
        declared=longer(called.declared),
        candidates=tuple(candidates),
        two_if_one=two_if_one,
    )


def _in_rows(tensor: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    rows = tf.reshape(tensor, tf.concat([[count], tf.shape(tensor)[2:]], axis=0))
    rows.set_shape([None, *tensor.shape[2:]])
    return rows


def _by_user(name: str, rows: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    if rows.shape.rank == 0:
        raise InputError(f"output {name!r} is one number a batch; accepted: rows of examples")
    scores = tf.reshape(rows, tf.concat([shape, tf.shape(rows)[1:]], axis=0))
    scores.set_shape([None, None, *rows.shape[1:]])
    return scores
