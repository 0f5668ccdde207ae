"""Deep Interest Network."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from tfnorm.layers import BatchNormalization, Dice
from tfnorm.models.attention import TargetAttention
from tfnorm.models.embedding import IdEmbedding
from tfnorm.models.masked_mean import MaskedMean


@keras.saving.register_keras_serializable(package="tfnorm")
class DIN(keras.Model):
    """Deep Interest Network: the probability that a user with this history clicks this item.

        q = [item, category] embedded,    k_t = [history_items_t, history_categories_t] embedded
        m = mean of k,    a = target attention of q over k
        score = sigmoid(tower(BatchNormalization([q, a, m, q * m])))

    where the tower is Dense and Dice by turns, then one Dense unit. It is the model of the DIEN
    authors' code, without its user embedding, and with the history's mean for its sum.

    Args:
        item_count: rows of the item table; items are ids in [0, item_count), and 0 is padding.
        category_count: rows of the category table, likewise.
        embedding_size: width of an item's embedding and of a category's.
        attention_units: widths of the attention's hidden layers.
        units: widths of the tower's hidden layers.
        **kwargs: of `keras.Model`, such as `name`.

    Inputs, by name, all int32: `item` `[N]`, `category` `[N]`, `history_items` `[N, T]`,
    `history_categories` `[N, T]`, T free; a history is padded with 0, and more padding changes no
    score. Output: `[N, 1]`, from the layer `score`. An id outside its table raises or gives NaN.

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
        item_count: int,
        category_count: int,
        embedding_size: int = 18,
        attention_units: Sequence[int] = (80, 40),
        units: Sequence[int] = (200, 80),
        **kwargs,
    ):
        inputs = {
            name: keras.Input(shape, name=name, dtype="int32")
            for name, shape in {
                "item": (),
                "category": (),
                "history_items": (None,),
                "history_categories": (None,),
            }.items()
        }
        items = IdEmbedding(item_count, embedding_size, name="items")
        categories = IdEmbedding(category_count, embedding_size, name="categories")
        target = keras.layers.Concatenate(name="target")(
            [items(inputs["item"]), categories(inputs["category"])]
        )
        history = keras.layers.Concatenate(name="history")(
            [items(inputs["history_items"]), categories(inputs["history_categories"])]
        )
        valid = keras.ops.not_equal(inputs["history_items"], 0)

        attention = TargetAttention(attention_units, name="attention")(target, history, valid)
        mean = MaskedMean(name="mean")(history, valid)
        product = keras.layers.Multiply(name="product")([target, mean])
        x = keras.layers.Concatenate(name="interest")([target, attention, mean, product])
        x = BatchNormalization(name="normalization")(x)
        for i, width in enumerate(units, start=1):
            x = keras.layers.Dense(width, name=f"dense_{i}")(x)
            x = Dice(name=f"dice_{i}")(x)
        score = keras.layers.Dense(1, activation="sigmoid", name="score")(x)
        super().__init__(inputs=inputs, outputs=score, **kwargs)
        self.item_count = item_count
        self.category_count = category_count
        self.embedding_size = embedding_size
        self.attention_units = tuple(attention_units)
        self.units = tuple(units)

    def get_config(self) -> dict:
        return {
            "item_count": self.item_count,
            "category_count": self.category_count,
            "embedding_size": self.embedding_size,
            "attention_units": self.attention_units,
            "units": self.units,
            "name": self.name,
            "trainable": self.trainable,
        }
