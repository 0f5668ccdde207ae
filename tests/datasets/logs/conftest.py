import click_rows as clicks
import pytest


@pytest.fixture(scope="module")
def expected():
    """The examples of a log's rows, as the schema makes them of Python's."""
    return clicks.SCHEMA.examples(clicks.rows(clicks.COUNT))
