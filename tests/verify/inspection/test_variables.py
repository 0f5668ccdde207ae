"""What the variables of a SavedModel hold."""

import tempfile

import numpy as np
import pytest
import tensorflow as tf

from tfnorm.errors import InputError
from tfnorm.verify.inspection import variables as variables_module
from tfnorm.verify.inspection.variables import Variables


def _saved(directory, **values):
    """A SavedModel whose variables have these names and values."""
    module = tf.Module()
    for number, (name, value) in enumerate(values.items()):
        setattr(module, f"v{number}", tf.Variable(value, name=name.replace("__", "/")))
    tf.saved_model.save(module, str(directory))
    return Variables(directory)


def _faults(directory, **values):
    return [(f.variable, f.message, f.initial) for f in _saved(directory, **values).faults()]


def test_names_and_numbers_of_values_are_told(tmp_path):
    variables = _saved(tmp_path, dense__kernel=np.ones((2, 3), "f"), dense__bias=[0.0, 1.0])
    assert sorted(variables.names.values()) == ["dense/bias", "dense/kernel"]
    assert variables.parameters == 8


def test_a_single_number_is_read_by_its_name_where_that_is_the_only_one(tmp_path):
    variables = _saved(tmp_path, training=True, other=3, scores=[1.0])
    assert variables.scalar("training") == np.array(True)
    assert variables.scalar("scores") is None and variables.scalar("nowhere") is None
    module = tf.Module()
    module.first, module.second = tf.Variable(1, name="same"), tf.Variable(2, name="same")
    tf.saved_model.save(module, str(tmp_path / "two"))
    assert Variables(tmp_path / "two").scalar("same") is None


@pytest.mark.parametrize("name", ["[a]", "a\\b", "a*"])
def test_a_path_that_could_be_taken_for_a_pattern_is_read(tmp_path, monkeypatch, name):
    (tmp_path / "links").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "links"))
    ((_, message, _),) = _faults(tmp_path / name, weight=[1.0, np.nan])
    assert message == "1 of its 2 values are NaN or infinite"
    assert not list((tmp_path / "links").iterdir())


def test_a_model_without_variables_has_none(tmp_path):
    variables = Variables(tmp_path)
    assert variables.parameters == 0
    assert list(variables.faults()) == []


@pytest.mark.parametrize(
    ("value", "bad"),
    [
        ([1.0, np.nan, -np.inf], 2),
        (np.array([np.inf, 1], np.float64), 1),
        (tf.constant([np.nan, 1.0], tf.bfloat16), 1),
        (np.array([1j, 1j * np.nan], np.complex64), 1),
    ],
    ids=["float32", "float64", "bfloat16", "imaginary"],
)
def test_values_that_are_no_numbers_are_counted(tmp_path, value, bad):
    ((name, message, initial),) = _faults(tmp_path, w=value)
    assert (name, initial) == ("w", False)
    assert message == f"{bad} of its {len(value)} values are NaN or infinite"


def test_a_large_table_is_looked_at_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(variables_module, "_PART", 3)
    table = np.zeros((5, 2), "f")
    table[[0, 2, 4], [1, 0, 1]] = np.nan, np.inf, np.nan
    ((_, message, _),) = _faults(tmp_path, table=table)
    assert message == "3 of its 10 values are NaN or infinite"


def test_integers_and_words_are_left_alone(tmp_path):
    assert _faults(tmp_path, ids=[-1, 2], words=["a", "b"]) == []


@pytest.mark.parametrize("name", ["moving_variance", "running_var", "moving_variance_1"])
def test_negative_variances_are_counted(tmp_path, name):
    ((variable, message, _),) = _faults(tmp_path, **{f"bn__{name}": [1.0, -2.0, -0.1]})
    assert variable == f"bn/{name}"
    assert message == "2 of its 3 variances are negative"
    assert _faults(tmp_path / "other", gamma=[-1.0]) == []


@pytest.mark.parametrize(
    "names", [("moving_mean", "moving_variance"), ("running_mean", "running_var")]
)
def test_statistics_as_they_were_made_were_never_updated(tmp_path, names):
    mean, variance = (f"bn__{name}" for name in names)
    initial = {mean: [0.0, 0.0], variance: [1.0, 1.0]}
    ((variable, message, never),) = _faults(tmp_path / "a", **initial)
    assert variable == f"bn/{names[1]}" and never
    assert "never updated" in message
    assert _faults(tmp_path / "b", **(initial | {mean: [0.0, 0.1]})) == []
    assert _faults(tmp_path / "c", **(initial | {variable.replace("/", "__"): [1.0, 0.9]})) == []


def test_statistics_of_two_layers_are_not_taken_for_one(tmp_path):
    assert _faults(tmp_path, a__moving_mean=[0.0], b__moving_variance=[1.0]) == []


def test_a_checkpoint_by_names_alone_is_read(tmp_path):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        mean = tf.compat.v1.get_variable("bn/moving_mean", initializer=np.zeros(2, "f"))
        variance = tf.compat.v1.get_variable("bn/moving_variance", initializer=np.ones(2, "f"))
        session.run(tf.compat.v1.global_variables_initializer())
        (tmp_path / "variables").mkdir()
        saver = tf.compat.v1.train.Saver([mean, variance])
        saver.save(session, str(tmp_path / "variables" / "variables"), write_meta_graph=False)
    (fault,) = Variables(tmp_path).faults()
    assert fault.variable == "bn/moving_variance" and fault.initial


@pytest.mark.parametrize("content", [b"", b"\xff" * 100])
def test_an_index_that_is_damaged_is_refused(tmp_path, content):
    _saved(tmp_path, w=[1.0])
    (tmp_path / "variables" / "variables.index").write_bytes(content)
    with pytest.raises(InputError, match="can't be read"):
        list(Variables(tmp_path).faults())
