"""Deep Interest Evolution Network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from tfnorm._keras import loss_metric
from tfnorm.errors import InputError
from tfnorm.models.augru import AUGRUCell
from tfnorm.models.auxiliary_loss import auxiliary_loss
from tfnorm.models.features import embedded_features
from tfnorm.models.interest_scores import InterestScores
from tfnorm.models.masked_mean import MaskedMean
from tfnorm.models.tower import tower

NEGATIVES = ("negative_items", "negative_categories")
"""The inputs of training alone: for each item of a history another that the user didn't choose."""


@keras.saving.register_keras_serializable(package="tfnorm")
class DIEN(keras.Model):
    """Deep Interest Evolution Network: DIN with interests that follow each other in time.

        q = [item, category] embedded,    k_t = [history_items_t, history_categories_t] embedded
        h = GRU(k),    a_t = softmax of h_t W q,    e = the last state of AUGRU(h, a)
        m = mean of k
        score = sigmoid(tower(BatchNormalization([q, e, m, q * m])))
        loss = log loss of the score + auxiliary_weight * auxiliary loss

    where the tower is Dense and Dice by turns, then one Dense unit. The auxiliary loss is that of
    telling the next item of a history from a sampled one by h_t; training needs negatives for it,
    and nothing else does: `tfnorm.datasets.with_negatives` draws them.

    Args:
        item_count: rows of the item table; items are ids in [0, item_count), and 0 is padding.
        category_count: rows of the category table, likewise.
        embedding_size: width of an item's embedding and of a category's; the states of both GRUs
            are twice as wide.
        units: widths of the tower's hidden layers.
        activation: of the tower, `dice` or `prelu`.
        batch_normalization: False to give the tower its inputs as they are.
        auxiliary_weight: of the auxiliary loss; with 0 no negatives are needed.
        dropout: the share of the tower's hidden units that training leaves out.
        embeddings_regularizer: of both tables, such as `keras.regularizers.L2(1e-6)`.
        **kwargs: of `keras.Model`, such as `name`.

    Inputs, by name, all int32: `item` `[N]`, `category` `[N]`, `history_items` `[N, T]`,
    `history_categories` `[N, T]`, T free; a history is padded with 0 at its end, and more padding
    changes no score. In training also `negative_items` and `negative_categories`, `[N, T]`. Output:
    `[N, 1]`, from the layer `score`. An id outside its table raises or gives NaN.

    Raises:
        InputError: there is no such activation, or training is not given the negatives.

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
        item_count: int,
        category_count: int,
        embedding_size: int = 18,
        units: Sequence[int] = (200, 80),
        *,
        activation: str = "dice",
        batch_normalization: bool = True,
        auxiliary_weight: float = 1.0,
        dropout: float = 0.0,
        embeddings_regularizer=None,
        **kwargs,
    ):
        regularizer = keras.regularizers.get(embeddings_regularizer)
        inputs, target, history, valid = embedded_features(
            item_count, category_count, embedding_size, regularizer
        )
        # The auxiliary loss multiplies an interest by a behaviour: they must be equally wide.
        width = 2 * embedding_size
        interests = keras.layers.GRU(width, return_sequences=True, name="extractor")(
            history, mask=valid
        )
        scores = InterestScores(name="attention")(target, interests, valid)
        weighted = keras.layers.Concatenate(name="weighted")(
            [interests, keras.ops.expand_dims(scores, axis=-1)]
        )
        interest = keras.layers.RNN(AUGRUCell(width), name="evolution")(weighted, mask=valid)
        mean = MaskedMean(name="mean")(history, valid)
        product = keras.layers.Multiply(name="product")([target, mean])
        score = tower(
            keras.layers.Concatenate(name="interest")([target, interest, mean, product]),
            units,
            activation=activation,
            batch_normalization=batch_normalization,
            dropout=dropout,
        )
        super().__init__(inputs=inputs, outputs=score, **kwargs)
        self.item_count = item_count
        self.category_count = category_count
        self.embedding_size = embedding_size
        self.units = tuple(units)
        self.activation = activation
        self.batch_normalization = batch_normalization
        self.auxiliary_weight = auxiliary_weight
        self.dropout = dropout
        self.embeddings_regularizer = regularizer

    def train_step(self, data) -> dict:
        if not self.auxiliary_weight:
            return super().train_step(data)
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        _check_negatives(x)
        # Keras adds up what the replicas learn: its losses are shares of their mean (whole ones before 3.8).
        share = keras.losses.MeanAbsoluteError()(tf.ones([1, 1]), tf.zeros([1, 1]))
        with tf.GradientTape() as tape:
            score, auxiliary = self._score_and_auxiliary_loss(x)
            loss = self.compute_loss(x, y, score, sample_weight)
            loss += share * tf.cast(self.auxiliary_weight * auxiliary, loss.dtype)
            scaled = self.optimizer.scale_loss(loss)
        self.optimizer.apply(tape.gradient(scaled, self.trainable_weights), self.trainable_weights)
        loss_metric(self).update_state(loss / share, sample_weight=tf.shape(score)[0])
        return self.compute_metrics(x, y, score, sample_weight)

    def _score_and_auxiliary_loss(self, x: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        inner = [self.get_layer(name).output for name in ("extractor", "history")]
        score, interests, behaviours = keras.Model(self.input, [self.output, *inner])(
            {name: x[name] for name in self.input}, training=True
        )
        negatives = [
            self.get_layer(table)(x[name])
            for table, name in zip(("items", "categories"), NEGATIVES, strict=True)
        ]
        valid = tf.not_equal(x["history_items"], 0)
        negatives = tf.concat(negatives, axis=-1)
        return score, auxiliary_loss(interests, behaviours, negatives, valid)

    def get_config(self) -> dict:
        return {
            "item_count": self.item_count,
            "category_count": self.category_count,
            "embedding_size": self.embedding_size,
            "units": self.units,
            "activation": self.activation,
            "batch_normalization": self.batch_normalization,
            "auxiliary_weight": self.auxiliary_weight,
            "dropout": self.dropout,
            "embeddings_regularizer": keras.regularizers.serialize(self.embeddings_regularizer),
            "name": self.name,
            "trainable": self.trainable,
        }


def _check_negatives(x: Mapping[str, tf.Tensor]) -> None:
    missing = [name for name in NEGATIVES if name not in x]
    if missing:
        raise InputError(
            f"DIEN is trained on {', '.join(x)}, without {' and '.join(missing)}; accepted: "
            "examples with negatives, as tfnorm.datasets.with_negatives draws them, or "
            "auxiliary_weight=0"
        )
