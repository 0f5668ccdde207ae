"""A file of examples is read in batches as a model takes them."""

import keras
import numpy as np
import pytest

from tfnorm.errors import InputError
from tfnorm.export.tracing.batches import batches_of_file

X = np.arange(12, dtype=np.float32).reshape(6, 2)


def model():
    return keras.Sequential([keras.Input((2,), name="x"), keras.layers.Dense(1)])


def test_each_call_reads_the_file_anew_in_the_order_of_its_rows(tmp_path):
    np.savez(tmp_path / "a.npz", x=X)
    batches = batches_of_file(model(), tmp_path / "a.npz", of_several=False)
    for _ in range(2):
        np.testing.assert_array_equal(np.concatenate([x for (x,) in batches()]), X)


def test_only_a_file_of_several_may_have_no_rows(tmp_path):
    np.savez(tmp_path / "a.npz", x=X[:0])
    assert not list(batches_of_file(model(), tmp_path / "a.npz", of_several=True)())
    with pytest.raises(InputError, match=r"a\.npz"):
        list(batches_of_file(model(), tmp_path / "a.npz", of_several=False)())
