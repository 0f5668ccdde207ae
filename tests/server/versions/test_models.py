"""Models by name, versions by number and by label."""

from types import SimpleNamespace

import pytest
import tensorflow as tf
from tensorflow_serving.apis.model_pb2 import ModelSpec

from tfnorm.errors import InputError
from tfnorm.server.versions.models import Models
from tfnorm.server.versions.served import ServedModel


@pytest.fixture(scope="module")
def served(constants):
    """A model that serves 3, the newest of its versions."""
    directory = constants[1].parent
    model = ServedModel("ranker", directory, poll_seconds=60)
    yield model
    model.close()


@pytest.fixture
def models(served):
    models = Models(served)
    models.replace({"ranker": served}, {"ranker": {"stable": 3, "gone": 1}})
    return models


def asked(models, **spec):
    version = spec.pop("version", None)
    made = ModelSpec(**spec)
    if version is not None:
        made.version.value = version
    with models.version(made) as loaded:
        return loaded.number


def test_a_version_is_found_by_number_by_label_or_as_the_newest(models):
    assert asked(models, name="ranker") == 3
    assert asked(models, name="ranker", version=3) == 3
    assert asked(models, name="ranker", version_label="stable") == 3


@pytest.mark.parametrize(
    ("spec", "error", "reason"),
    [
        ({}, InputError, "no name"),
        ({"name": "other"}, tf.errors.NotFoundError, r"Latest\(other\)"),
        ({"name": "other", "version": 3}, tf.errors.NotFoundError, r"Specific\(other, 3\)"),
        ({"name": "ranker", "version": 1}, tf.errors.NotFoundError, r"Specific\(ranker, 1\)"),
        ({"name": "ranker", "version_label": "gone"}, tf.errors.NotFoundError, r"ranker, 1\)"),
        ({"name": "ranker", "version_label": "x"}, InputError, "label: x; .* 'gone', 'stable'"),
        ({"name": "other", "version_label": "stable"}, InputError, "label: stable; .* none"),
    ],
)
def test_what_is_not_there_is_an_error(models, spec, error, reason):
    with pytest.raises(error, match=reason):
        asked(models, **spec)


def test_a_model_that_is_replaced_is_retired():
    retired = []
    old, new = (
        SimpleNamespace(name=name, retire=lambda name=name: retired.append(name))
        for name in ("old", "new")
    )
    models = Models(old)
    models.replace({"old": old, "new": new}, {})
    assert not retired
    models.replace({"new": new}, {})
    assert retired == ["old"]
    assert models.served == {"new": new}
