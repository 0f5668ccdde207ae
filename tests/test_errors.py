"""The error that means: what was given can't be used."""

import pickle

import pytest

from tfnorm.errors import InputError, optional


def test_it_is_a_value_error_that_other_processes_can_be_told():
    with pytest.raises(ValueError, match="size is 0; accepted: 1 or more") as caught:
        raise InputError("size is 0; accepted: 1 or more")
    told = pickle.loads(pickle.dumps(caught.value))
    assert type(told) is InputError and str(told) == str(caught.value)


def test_a_package_that_is_not_there_is_named_with_what_installs_it():
    assert optional("json.decoder", "reading", "logs").JSONDecoder
    with pytest.raises(
        InputError, match=r"^reading needs the package nowhere: pip install '\.\[logs\]'"
    ):
        optional("nowhere.at_all", "reading", "logs")
