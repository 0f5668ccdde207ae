"""Deep Interest Network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tfnorm.errors import InputError
from tfnorm.models.attention import TargetAttention
from tfnorm.models.features.embedded import embedded_features, given_schema, joined, schema_config
from tfnorm.models.masked_mean import MaskedMean
from tfnorm.models.tower import tower
from tfnorm.schema import Schema


@keras.saving.register_keras_serializable(package="tfnorm")
class DIN(keras.Model):
    """Deep Interest Network: the probability that a user with this history clicks this item.

        q = [item, category] embedded,    k_t = [history_items_t, history_categories_t] embedded
        m = mean of k,    a = target attention of q over k
        score = sigmoid(tower(BatchNormalization([q, a, m, q * m])))

    where the tower is Dense and Dice by turns, then one Dense unit. It is the model of the DIEN authors'
    code, without its user embedding, and with the mean of the history in the place of its sum. The variants
    in that code are arguments here: their BaseModel is `attention=False, activation="prelu"`.

    With a schema, q is the features of the target, and k_t is what a history holds of them at step t, with
    the step's numbers (k_t + W BatchNormalization(numbers_t)). Every history has an attention of its own,
    and the features of the user and the context join the tower.

    Args:
        schema: the features of the log. None to give `item_count` and `category_count` instead; an int is
            taken for `item_count`.
        category_count: without a schema, how many rows the table of categories has; None with one.
        embedding_size: without a schema, the width of an item's embedding and of a category's.
        attention_units: how many units each hidden layer of the attention has.
        units: how many units each hidden layer of the tower has.
        item_count: without a schema, how many rows the table of items has: ids are in [0, item_count),
            and 0 is padding; None with one.
        attention: False for the BaseModel, which knows a history by its mean alone: the tower is
            given [q, m].
        softmax: False for an attention without it, which keeps the intensity of an interest.
        activation: what follows each hidden layer of the tower, `dice` or `prelu`.
        batch_normalization: False to give the tower its inputs as they are.
        dropout: the share of the tower's hidden units that training leaves out, from 0 to below 1.
        embeddings_regularizer: adds a penalty on all tables to the loss, such as
            `keras.regularizers.L2(1e-6)`; None for no penalty. It reads whole tables in each step, which
            `LazyAdam`'s `embeddings_l2` does not.
        **kwargs: further arguments of `keras.Model`, such as `name`.

    Inputs, by name: the schema's columns as the log has them; hashing and look-ups are part of the model.
    Without a schema, all int32: `item` `[N]`, `category` `[N]`, `history_items` `[N, T]`,
    `history_categories` `[N, T]`. T is free, 0 too; a history is padded with 0, or the empty string, at its
    end, and more padding changes no score. If a history is longer than the schema says, the model keeps the
    same steps of it as a log of the schema does, so that it is served as it was trained. Output: `[N, 1]`,
    from the layer `score`. An id outside its table raises or gives NaN.

    Raises:
        InputError: there is no such activation, neither a schema nor both counts are given, the
            schema has no history, or its numbers lack a mean.

    Example:

        >>> model = DIN(item_count=100, category_count=10)
        >>> history = np.array([[3, 7, 0], [0, 0, 0]])
        >>> features = {"item": np.array([5, 5]), "category": np.array([1, 1]),
        ...             "history_items": history, "history_categories": history}
        >>> model.predict(features, verbose=0).shape
        (2, 1)

    Reference:
        Zhou et al., 2018, https://arxiv.org/abs/1706.06978; https://github.com/mouna99/dien.
    """

    def __init__(
        self,
        schema: Schema | Mapping[str, Any] | int | None = None,
        category_count: int | None = None,
        embedding_size: int = 18,
        attention_units: Sequence[int] = (80, 40),
        units: Sequence[int] = (200, 80),
        *,
        item_count: int | None = None,
        attention: bool = True,
        softmax: bool = True,
        activation: str = "dice",
        batch_normalization: bool = True,
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
            mean = MaskedMean(name=f"{history.prefix}mean")(history.keys, history.valid)
            if not attention:
                interests.append(mean)
                continue
            attended = TargetAttention(
                attention_units, softmax=softmax, name=f"{history.prefix}attention"
            )(history.query, history.keys, history.valid)
            product = keras.layers.Multiply(name=f"{history.prefix}product")([history.query, mean])
            interests += [attended, mean, product]
        score = tower(
            joined([*interests, *features.others], "interest"),
            units,
            activation=activation,
            batch_normalization=batch_normalization,
            dropout=dropout,
        )
        super().__init__(inputs=features.inputs, outputs=score, **kwargs)
        self.schema = found
        self._of_items = of_items
        if of_items:
            self.item_count, self.category_count = (feature.size for feature in found.ids)
            self.embedding_size = embedding_size
        self.attention_units = tuple(attention_units)
        self.units = tuple(units)
        self.attention = attention
        self.softmax = softmax
        self.activation = activation
        self.batch_normalization = batch_normalization
        self.dropout = dropout
        self.embeddings_regularizer = regularizer

    def get_config(self) -> dict[str, Any]:
        return {
            **schema_config(self.schema, self._of_items),
            "attention_units": self.attention_units,
            "units": self.units,
            "attention": self.attention,
            "softmax": self.softmax,
            "activation": self.activation,
            "batch_normalization": self.batch_normalization,
            "dropout": self.dropout,
            "embeddings_regularizer": keras.regularizers.serialize(self.embeddings_regularizer),
            "name": self.name,
            "trainable": self.trainable,
        }
