"""Configurations that replace what is served."""

import shutil

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest
from tensorflow_serving.apis.model_pb2 import ModelSpec

from tfnorm.errors import InputError
from tfnorm.server.versions.models import Models
from tfnorm.server.versions.policy import VersionPolicy
from tfnorm.server.versions.reload import reload
from tfnorm.server.versions.served import ServedModel

X = {"x": np.zeros(1, np.float32)}


@pytest.fixture
def base(constants, tmp_path):
    """Two models, each of which scores with its version's number."""
    for name, numbers in (("a", (1, 2)), ("b", (3,))):
        for number in numbers:
            shutil.copytree(constants[number], tmp_path / name / str(number))
    return tmp_path


@pytest.fixture
def models(base):
    models = Models(load("a", base / "a", VersionPolicy()))
    yield models
    models.close()


def load(name, directory, policy):
    return ServedModel(name, directory, policy=policy, poll_seconds=60)


def ask(models, base, text):
    request = ReloadConfigRequest()
    text_format.Parse(text.replace("BASE", str(base)), request.config)
    reload(models, request, load)


def score(models, name, **spec):
    with models.version(ModelSpec(name=name, **spec)) as loaded:
        return loaded.run(X, signature="serving_default")["score"][0]


A = 'config { name: "a" base_path: "BASE/a" model_platform: "tensorflow" %s }'
B = 'config { name: "b" base_path: "BASE/b" model_type: TENSORFLOW %s }'


def test_models_come_and_go(models, base):
    ask(models, base, "model_config_list { " + A % "" + B % "" + " }")
    assert (score(models, "a"), score(models, "b")) == (2, 3)
    kept = models.served["b"]
    ask(models, base, "model_config_list { " + B % "" + " }")
    assert models.served == {"b": kept}
    ask(models, base, "model_config_list { }")
    with pytest.raises(tf.errors.NotFoundError):
        score(models, "b")


def test_versions_are_chosen_and_labelled(models, base):
    policy = "model_version_policy { %s } "
    labels = 'version_labels { key: "stable" value: 1 } version_labels { key: "new" value: 2 }'
    ask(models, base, "model_config_list { " + A % (policy % "all {}" + labels) + " }")
    assert score(models, "a", version_label="stable") == 1
    assert score(models, "a", version_label="new") == 2
    ask(models, base, "model_config_list { " + A % (policy % "specific { versions: 1 }") + " }")
    assert score(models, "a") == 1
    with pytest.raises(InputError, match="Unrecognized servable version label: stable"):
        score(models, "a", version_label="stable")
    ask(models, base, "model_config_list { " + A % (policy % "latest { num_versions: 2 }") + " }")
    assert [score(models, "a", version={"value": number}) for number in (1, 2)] == [1, 2]


def test_a_model_whose_directory_is_another_is_loaded_anew(models, base):
    ask(models, base, "model_config_list { " + (A % "").replace("BASE/a", "BASE/b") + " }")
    assert score(models, "a") == 3


@pytest.mark.parametrize(
    ("text", "error", "reason"),
    [
        ("", InputError, "Only ModelConfigList is currently supported"),
        ("custom_model_config { }", InputError, "Only ModelConfigList"),
        ("model_config_list { " + A % "" + A % "" + " }", InputError, "model a multiple times"),
        (
            'model_config_list { config { name: "a" base_path: "a" model_platform: "tensorflow" } }',
            InputError,
            "absolute path",
        ),
        (
            'model_config_list { config { name: "a" base_path: "BASE/a" } }',
            InputError,
            "platform ''",
        ),
        (
            'model_config_list { config { name: "a" base_path: "BASE/a" model_platform: "x" } }',
            InputError,
            "unsupported platform 'x'",
        ),
        ("model_config_list { " + A % "model_type: TENSORFLOW" + " }", InputError, "give one"),
        (
            'model_config_list { config { name: "a" base_path: "BASE/a" model_type: 999 } }',
            InputError,
            "unsupported platform '999'",
        ),
        (
            "model_config_list { " + A % "model_version_policy { specific {} }" + " }",
            InputError,
            "none is listed",
        ),
        (
            f'model_config_list {{ config {{ name: "c" base_path: "/{"c" * 5_000}" '
            'model_platform: "tensorflow" } }',
            InputError,
            "can't be looked for: File name too long",
        ),
        (
            'model_config_list { config { name: "c" base_path: "/\\000" '
            'model_platform: "tensorflow" } }',
            InputError,
            "can't be looked for: .*embedded null",
        ),
        (
            'model_config_list { config { name: "a b" base_path: "BASE/a" } }',
            InputError,
            "the model's name is 'a b'",
        ),
        (
            'model_config_list { config { name: "c" base_path: "BASE/c" model_platform: "tensorflow" } }',
            InputError,
            "does not exist",
        ),
        (
            "model_config_list { "
            + B % ""
            + A % 'version_labels { key: "stable" value: 1 }'
            + " }",
            tf.errors.FailedPreconditionError,
            "label 'stable' to version 1 of model a, which is not currently available",
        ),
        (
            "model_config_list { "
            + A % "model_version_policy { specific { versions: 1 } }"
            + (B % "").replace("BASE/b", "BASE/c")
            + " }",
            InputError,
            "does not exist",
        ),
    ],
)
def test_a_configuration_that_can_not_be_served_changes_nothing(models, base, text, error, reason):
    with pytest.raises(error, match=reason):
        ask(models, base, text)
    assert models.served.keys() == {"a"}
    models.served["a"].look()
    assert score(models, "a") == 2
