"""The features of a click log as data: what a model takes, a log holds and a `tf.Example` carries."""

from tfnorm.schema.columns import Column
from tfnorm.schema.features import History, Id, Number
from tfnorm.schema.items import item_schema
from tfnorm.schema.schema import Schema

__all__ = ["Column", "History", "Id", "Number", "Schema", "item_schema"]
