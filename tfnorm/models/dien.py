"""Deep Interest Evolution Network."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfnorm._keras import scaled_loss
from tfnorm.errors import InputError
from tfnorm.models.augru import AUGRUCell
from tfnorm.models.auxiliary_loss import AuxiliaryLoss
from tfnorm.models.features.embedded import (
    embedded_features,
    given_schema,
    joined,
    layer_name,
    prefix_of,
    schema_config,
    table_layer,
)
from tfnorm.models.interest_scores import AtLeastOneStep, InterestScores
from tfnorm.models.masked_mean import MaskedMean
from tfnorm.models.tower import tower
from tfnorm.ops.replicas import sum_over_replicas
from tfnorm.schema import History, Schema

AUXILIARY = "auxiliary_loss"
"""The metric's name."""

# Whether the step that runs is one of training; replicas are threads.
_step = threading.local()


def negative(column: str) -> str:
    """The input of training that holds, for each step of a history's column, what wasn't chosen."""
    return f"negative_{column.removeprefix('history_')}"


@keras.saving.register_keras_serializable(package="tfnorm")
class DIEN(keras.Model):
    """Deep Interest Evolution Network: DIN with interests that follow each other in time.

        q = [item, category] embedded,    k_t = [history_items_t, history_categories_t] embedded
        h = GRU(k),    a_t = softmax of h_t W q,    e = the last state of AUGRU(h, a)
        m = mean of k
        score = sigmoid(tower(BatchNormalization([q, e, m, q * m])))
        loss = log loss of the score + auxiliary_weight * auxiliary loss

    where the tower is Dense and Dice by turns, then one Dense unit. The auxiliary loss is that of telling
    the next item of a history from a sampled one by h_t. Training needs negatives for it, and nothing else
    does: `tfnorm.training.Negatives` and `tfnorm.datasets.with_negatives` draw them. Its scale is our
    choice: it is the mean over the steps of all histories, padding left out. The paper takes the mean over
    examples of the sum over steps, and the authors' code the mean over all steps, padding too, where each
    step is multiplied by its mask. `fit` reports it as `auxiliary_loss`; weights of examples and of classes
    count for it as for the score.

    With a schema, k_t and the features of the user and the context are as in `DIN`. Every history has GRUs
    of its own.

    Args:
        schema: the features of the log. None to give `item_count` and `category_count` instead; an int is
            taken for `item_count`.
        category_count: without a schema, how many rows the table of categories has; None with one.
        embedding_size: without a schema, the width of an item's embedding and of a category's; the
            states of both GRUs are as wide as k_t.
        units: how many units each hidden layer of the tower has.
        item_count: without a schema, how many rows the table of items has: ids are in [0, item_count),
            and 0 is padding; None with one.
        activation: what follows each hidden layer of the tower, `dice` or `prelu`.
        batch_normalization: False to give the tower its inputs as they are.
        auxiliary_weight: the factor of the auxiliary loss; with 0 no negatives are needed.
        dropout: the share of the tower's hidden units that training leaves out, from 0 to below 1.
        embeddings_regularizer: adds a penalty on all tables to the loss, such as
            `keras.regularizers.L2(1e-6)`; None for no penalty. It reads whole tables in each step, which
            `LazyAdam`'s `embeddings_l2` does not.
        **kwargs: further arguments of `keras.Model`, such as `name`.

    Inputs, by name: the schema's columns, as for `DIN`. Training also needs a negative for each step of
    each column of ids in a history. Its input is named `negative_` and the column's name, without a
    `history_` before it: without a schema these are `negative_items` and `negative_categories`, `[N, T]`.
    Output: `[N, 1]`, from the layer `score`. An id outside its table raises or gives NaN.

    Raises:
        InputError: there is no such activation, neither a schema nor both counts are given, the
            schema has no history, its numbers lack a mean, a column or another input for negatives has
            the name of one for negatives, or training is not given the negatives.

    Example:

        >>> model = DIEN(item_count=100, category_count=10)
        >>> history = np.array([[3, 7, 0], [0, 0, 0]])
        >>> features = {"item": np.array([5, 5]), "category": np.array([1, 1]),
        ...             "history_items": history, "history_categories": history}
        >>> model.predict(features, verbose=0).shape
        (2, 1)

    Reference:
        Zhou et al., 2019, https://arxiv.org/abs/1809.03672; https://github.com/mouna99/dien.
    """

    def __init__(
        self,
        schema: Schema | Mapping[str, Any] | int | None = None,
        category_count: int | None = None,
        embedding_size: int = 18,
        units: Sequence[int] = (200, 80),
        *,
        item_count: int | None = None,
        activation: str = "dice",
        batch_normalization: bool = True,
        auxiliary_weight: float = 1.0,
        dropout: float = 0.0,
        embeddings_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        regularizer = keras.regularizers.get(embeddings_regularizer)
        found, of_items = given_schema(schema, item_count, category_count, embedding_size)
        features = embedded_features(found, regularizer, cut=not of_items)
        if not features.histories:
            raise InputError("the schema has no history; accepted: one or more")
        interests = [features.target]
        for history in features.histories:
            prefix = history.prefix
            keys, valid = AtLeastOneStep(name=f"{prefix}padded")(history.keys, history.valid)
            # The auxiliary loss multiplies an interest by a behaviour: they must be equally wide.
            width = keys.shape[-1]
            states = keras.layers.GRU(width, return_sequences=True, name=f"{prefix}extractor")(
                keys, mask=valid
            )
            states = AuxiliaryLoss(name=f"{prefix}auxiliary")(states, keys, valid)
            scores = InterestScores(name=f"{prefix}attention")(history.query, states, valid)
            weighted = keras.layers.Concatenate(name=f"{prefix}weighted")(
                [states, keras.ops.expand_dims(scores, axis=-1)]
            )
            interest = keras.layers.RNN(AUGRUCell(width), name=f"{prefix}evolution")(
                weighted, mask=valid
            )
            mean = MaskedMean(name=f"{prefix}mean")(history.keys, history.valid)
            product = keras.layers.Multiply(name=f"{prefix}product")([history.query, mean])
            interests += [interest, mean, product]
        score = tower(
            joined([*interests, *features.others], "interest"),
            units,
            activation=activation,
            batch_normalization=batch_normalization,
            dropout=dropout,
        )
        super().__init__(inputs=features.inputs, outputs=score, **kwargs)
        self.schema = found
        self._check_names()
        self._of_items = of_items
        if of_items:
            self.item_count, self.category_count = (feature.size for feature in found.ids)
            self.embedding_size = embedding_size
        self.units = tuple(units)
        self.activation = activation
        self.batch_normalization = batch_normalization
        self.auxiliary_weight = auxiliary_weight
        self.dropout = dropout
        self.embeddings_regularizer = regularizer
        metric = keras.metrics.Mean(name=AUXILIARY)
        # Behind a function, it is no part of the model that is saved.
        self._auxiliary_metric: Callable[[], keras.metrics.Metric] = lambda: metric

    def __call__(self, inputs: Any, *arguments: Any, **named: Any) -> Any:
        if isinstance(inputs, Mapping):
            # The inputs of training alone are for its loss.
            inputs = {name: x for name, x in inputs.items() if name not in self.negatives}
        return super().__call__(inputs, *arguments, **named)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tf.Tensor:
        _step.training = training
        if training and self.auxiliary_weight:
            self._check_negatives(x)
            losses, counts = tf.zeros(()), tf.zeros(())
            for history in self.schema.histories:
                layer = self.get_layer(f"{prefix_of(history)}auxiliary")
                of_history = layer.losses_of(self._negatives(history, x))
                losses, counts = losses + of_history[0], counts + of_history[1]
            steps = tf.reduce_sum(counts)
            loss = tf.reduce_sum(losses) / tf.maximum(steps, 1)
            self._auxiliary_metric().update_state(loss, sample_weight=steps)
            if sample_weight is not None:
                losses *= tf.reshape(tf.cast(sample_weight, losses.dtype), [-1])
            # Per row first, as the score's loss is: so that of replicas with other histories is right, too.
            rows = tf.cast(tf.shape(losses)[0], losses.dtype)
            steps, all_rows = tf.unstack(sum_over_replicas(tf.stack([steps, rows])))
            loss = tf.reduce_sum(losses) / tf.maximum(rows, 1) * (all_rows / tf.maximum(steps, 1))
            # Not added by a layer: those of replicas that wait for each other would be added to one another.
            auxiliary = scaled_loss(self.auxiliary_weight * loss)
            return super().compute_loss(x, y, y_pred, sample_weight, training) + auxiliary
        return super().compute_loss(x, y, y_pred, sample_weight, training)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        own = [self._auxiliary_metric()] if self.auxiliary_weight else []
        return [*super().metrics, *own]

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        found: dict[str, Any] = super().compute_metrics(x, y, y_pred, sample_weight)
        if not _step.training:
            found.pop(AUXILIARY, None)  # Only training has it.
        return found

    @property
    def negatives(self) -> dict[str, str]:
        """Name of an input that only training needs -> the feature of the target whose ids it holds."""
        return {
            negative(column): name
            for history in self.schema.histories
            for name, column in history.of.items()
        }

    def _negatives(self, history: History, x: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """In the place of each behaviour another that wasn't, embedded, with the same numbers."""
        numbers = [n.name for n in history.side_numbers]
        columns = [x[name] for name in (*map(negative, history.of.values()), *numbers)]
        prefix = prefix_of(history)
        if not self._of_items:
            kept = self.get_layer(f"{prefix}kept")
            _, *columns = kept([x[history.columns[0]], *columns])
        steps = []
        for name, rows in zip(history.of, columns, strict=False):
            feature = self.schema.id(name)
            if feature.hashed or feature.vocabulary is not None:
                rows = self.get_layer(f"{layer_name(name)}_rows")(rows)
            steps.append(self.get_layer(table_layer(self.schema, feature))(rows))
        embedded = tf.concat(steps, axis=-1)
        if numbers:
            beside = [
                self.get_layer(f"{layer_name(name)}_scaled")(column)
                for name, column in zip(numbers, columns[len(steps) :], strict=True)
            ]
            # The steps themselves have moved the statistics already.
            normalized = self.get_layer(f"{prefix}numbers_normalized")(
                tf.concat(beside, axis=-1), training=False
            )
            embedded += self.get_layer(f"{prefix}numbers")(normalized)
        return embedded

    def _check_names(self) -> None:
        taken = {name: f"the column {name!r}" for name in self.schema.columns}
        for column in (c for history in self.schema.histories for c in history.of.values()):
            name = negative(column)
            if name in taken:
                raise InputError(
                    f"the input for negatives of {column!r} is called {name!r}, as is {taken[name]}; "
                    "accepted: another name for one of these columns"
                )
            taken[name] = f"that of {column!r}"

    def _check_negatives(self, x: Any) -> None:
        given = x if isinstance(x, Mapping) else {}
        missing = [name for name in self.negatives if name not in given]
        if missing:
            raise InputError(
                f"DIEN is trained on {', '.join(given)}, without {' and '.join(missing)}; accepted: "
                "examples with negatives, as tfnorm.datasets.with_negatives draws them, or "
                "auxiliary_weight=0"
            )

    def get_config(self) -> dict[str, Any]:
        return {
            **schema_config(self.schema, self._of_items),
            "units": self.units,
            "activation": self.activation,
            "batch_normalization": self.batch_normalization,
            "auxiliary_weight": self.auxiliary_weight,
            "dropout": self.dropout,
            "embeddings_regularizer": keras.regularizers.serialize(self.embeddings_regularizer),
            "name": self.name,
            "trainable": self.trainable,
        }
