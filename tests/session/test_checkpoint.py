import hashlib

import numpy as np
import pytest
import tensorflow as tf
from releases import release

from tfnorm.errors import InputError
from tfnorm.session import SavedModel
from tfnorm.session.checkpoint import places
from tfnorm.session.memory import in_place

ROWS = np.eye(3, dtype=np.float32)


@pytest.fixture
def table(tmp_path):
    """The variable of a SavedModel that looks up its rows."""
    module = tf.Module()
    module.table, module.factor = tf.Variable(ROWS), tf.Variable(2.0)
    module.call = tf.function(
        lambda id: {"row": module.factor * tf.convert_to_tensor(module.table)[id[0]]},
        input_signature=[tf.TensorSpec([None], tf.int32, "id")],
    )
    tf.saved_model.save(module, str(tmp_path), module.call)
    return module.table


def aligned(value):
    """A copy at an address at which TensorFlow takes memory without copying it."""
    memory = np.empty(value.nbytes + 64, np.uint8)
    start = -memory.__array_interface__["data"][0] % 64
    copy = memory[start : start + value.nbytes].view(value.dtype).reshape(value.shape)
    copy[...] = value
    return copy


def row(model, number):
    return model.run({"id": np.array([number], np.int32)})["row"].tolist()


@pytest.mark.usefixtures("table")
def test_a_variable_takes_the_memory_of_an_array_that_has_its_bytes(tmp_path):
    held = aligned(ROWS)
    with SavedModel(tmp_path, held=[held]) as model:
        assert row(model, 2) == [0, 0, 2]
        held[2] = 7
        # TensorFlow 2.18 copies what a session is fed.
        assert row(model, 2) == ([14, 14, 14] if release(tf) >= (2, 19) else [0, 0, 2])


@pytest.mark.parametrize(
    "other", [ROWS + 1, np.where(ROWS, ROWS, -0.0), ROWS.astype("f8"), ROWS[:2], ROWS.reshape(9)]
)
@pytest.mark.usefixtures("table")
def test_other_arrays_are_not_taken_for_the_values_of_the_file(tmp_path, other):
    with SavedModel(tmp_path, held=[other]) as model:
        assert row(model, 0) == [2, 0, 0]


def test_a_byte_of_the_file_that_is_not_as_in_memory_is_found(table, tmp_path):
    found = places(tmp_path / "variables" / "variables")
    (place,) = (place for place in found.values() if place.shape == (3, 3))
    assert place.has(ROWS)
    with place.file.open("r+b") as file:
        file.seek(place.offset + place.size - 1)
        file.write(b"\x01")
    assert not place.has(ROWS)
    with pytest.raises(InputError, match="can't be loaded"):
        SavedModel(tmp_path, held=[in_place(table)])


def test_every_tensor_of_numbers_in_a_checkpoint_of_many_is_found(tmp_path):
    # So many names that their table has several blocks.
    names = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(5000)]
    values = [tf.constant(np.full((i % 3, 2), i, np.int32)) for i in range(len(names))]
    prefix = tmp_path / "many"
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=[*names, "words"],
        shape_and_slices=[""] * (len(names) + 1),
        tensors=[*values, tf.constant(["a", "b"])],
    )
    found = places(prefix)
    assert found.keys() == set(names)
    assert all(found[name].has(value.numpy()) for name, value in zip(names, values, strict=True))
    assert not found[names[1]].has(values[4].numpy())


def test_a_tensor_in_several_pieces_is_left_to_tensorflow(tmp_path):
    prefix = tmp_path / "pieces"
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=["table", "table", "whole"],
        shape_and_slices=["4 2 0,2:-", "4 2 2,2:-", ""],
        tensors=[tf.zeros([2, 2]), tf.ones([2, 2]), tf.ones([2])],
    )
    assert list(places(prefix)) == ["whole"]
