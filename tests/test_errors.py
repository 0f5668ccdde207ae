"""The error that means: what was given can't be used."""

import pickle

import pytest

from tfnorm.errors import InputError


def test_it_is_a_value_error_that_other_processes_can_be_told():
    with pytest.raises(ValueError, match="size is 0; accepted: 1 or more") as caught:
        raise InputError("size is 0; accepted: 1 or more")
    told = pickle.loads(pickle.dumps(caught.value))
    assert type(told) is InputError and str(told) == str(caught.value)
