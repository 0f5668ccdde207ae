"""A click log split for training and testing, of any features and any size."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tfnorm.datasets.click_log import ClickLog
from tfnorm.datasets.logs.arrays import as_logs
from tfnorm.datasets.logs.log import Log
from tfnorm.datasets.standardize import standardize
from tfnorm.errors import InputError
from tfnorm.schema import Schema


@dataclass(frozen=True, eq=False)
class Splits:
    """A click log, split for training and testing, that is read a part at a time.

    Args:
        name: what it is called in tables.
        train: what to train on.
        test: what to test on.
        validation: what early stopping measures on; None to keep a share of the training log's users for
            it.
        best_auc: the AUC of the true click probabilities on `test`; None if they aren't known.

    Raises:
        InputError: the logs' schemas differ.

    Example:

        schema = tfnorm.Schema.load("schema.json")
        log = Splits("march", tfnorm.datasets.parquet("train/*.parquet", schema),
                     tfnorm.datasets.parquet("test/*.parquet", schema))
        trained = tfnorm.training.train(log)
    """

    name: str
    train: Log
    test: Log
    validation: Log | None = None
    best_auc: float | None = None

    def __post_init__(self) -> None:
        for split in ("test", "validation"):
            log = getattr(self, split)
            if log is not None and log.schema != self.train.schema:
                raise InputError(
                    f"{split} has another schema than train; accepted: logs of the same schema"
                )

    @property
    def schema(self) -> Schema:
        """The features of all of them."""
        return self.train.schema

    def standardized(self) -> Splits:
        """The same log, with the statistics that its numbers need, from a pass over the training log.

        Raises:
            InputError: a file is damaged, or a row isn't as the schema says.
        """
        schema = standardize(self.train)
        return replace(
            self,
            train=self.train.with_schema(schema),
            test=self.test.with_schema(schema),
            validation=None if self.validation is None else self.validation.with_schema(schema),
        )


def as_splits(log: ClickLog | Splits) -> Splits:
    """Turn a click log in memory into one that is read a part at a time.

    Args:
        log: a click log such as `synthetic` and `amazon` return; a `Splits` is returned as it is.

    Returns:
        The log's two splits, with the name and the best AUC that it has.

    Example:

        >>> splits = as_splits(tfnorm.datasets.synthetic(train_size=100, test_size=50))
        >>> splits.name, len(splits.train), len(splits.test)
        ('synthetic', 100, 50)
    """
    if isinstance(log, Splits):
        return log
    train, test = as_logs(log)
    return Splits(log.name, train, test, best_auc=log.best_auc)
