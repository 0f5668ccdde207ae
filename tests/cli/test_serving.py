import pytest

from tfnorm.cli.serving import needs_serving
from tfnorm.errors import InputError


def test_a_package_that_is_missing_is_named_with_what_installs_it():
    reason = r"'grpc'.*pip install '\.\[serving\]'"
    with pytest.raises(InputError, match=reason), needs_serving():
        raise ModuleNotFoundError("No module named 'grpc'")


def test_other_errors_are_left_alone():
    with pytest.raises(KeyError), needs_serving():
        raise KeyError("grpc")
