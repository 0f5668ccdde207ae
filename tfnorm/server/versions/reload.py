"""ModelService.HandleReloadConfigRequest: other models, other versions, labels."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest
from tensorflow_serving.config.model_server_config_pb2 import ModelConfig, ModelType

from tfnorm.errors import InputError
from tfnorm.server.versions.models import Models
from tfnorm.server.versions.policy import VersionPolicy
from tfnorm.server.versions.served import ServedModel

_PLATFORM = "tensorflow"
_NAME = re.compile(r"[\w.~-]+", re.ASCII)


def checked_name(name: str) -> str:
    """The name, where a model can have it.

    Raises:
        InputError: it can't.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"the model's name is {name!r}; accepted: letters, digits and any of ._~-")
    return name


def reload(
    models: Models,
    request: ReloadConfigRequest,
    load: Callable[[str, Path, VersionPolicy], ServedModel],
) -> None:
    """Serve what a request lists, and nothing else.

    Unlike TensorFlow Serving, which takes a configuration over before it finds out whether its models
    load, this changes nothing where one does not.

    Args:
        models: what is served.
        request: a ModelConfigList: names, directories, version policies and labels.
        load: starts serving a model: its name, directory and policy.

    Raises:
        InputError: the list contradicts itself, or a model can't be loaded.
        tf.errors.FailedPreconditionError: a label is for a version that is not available.
    """
    if request.config.WhichOneof("config") != "model_config_list":
        raise InputError(
            "ServerModelConfig type not supported by HandleReloadConfigRequest. "
            "Only ModelConfigList is currently supported"
        )
    configs = list(request.config.model_config_list.config)
    _check(configs)
    before = models.served
    policies = {name: model.policy for name, model in before.items()}
    served: dict[str, ServedModel] = {}
    new: list[ServedModel] = []
    try:
        for config in configs:
            model = before.get(config.name)
            if model is not None and model.directory.absolute() == Path(config.base_path):
                model.policy = _policy(config)
                model.look()
            else:
                model = load(config.name, Path(config.base_path), _policy(config))
                new.append(model)
            served[config.name] = model
            _check_labels(config, model)
    except BaseException:
        for name, model in before.items():
            model.policy = policies[name]
        for model in new:
            model.close()
        raise
    models.replace(served, {config.name: dict(config.version_labels) for config in configs})


def _check(configs: list[ModelConfig]) -> None:
    names = set()
    for config in configs:
        checked_name(config.name)
        if config.name in names:
            raise InputError(f"Illegal to list model {config.name} multiple times in config list")
        names.add(config.name)
        if not Path(config.base_path).is_absolute():
            raise InputError(
                f"Expected model {config.name} to have an absolute path or URI; "
                f"got base_path()={config.base_path}"
            )
        _check_platform(config)
        policy = config.model_version_policy
        if policy.HasField("specific") and not policy.specific.versions:
            raise InputError(
                f"model {config.name} is to serve specific versions, but none is listed; "
                "accepted: one or more"
            )


def _check_platform(config: ModelConfig) -> None:
    """Raise InputError where a model is none of TensorFlow's; `model_type` is how it was said once."""
    given = config.model_platform
    if config.model_type:
        if given:
            raise InputError(
                f"model {config.name} has both model_platform and model_type; give one"
            )
        known = config.model_type in ModelType.values()
        given = ModelType.Name(config.model_type).lower() if known else str(config.model_type)
    if given != _PLATFORM:
        raise InputError(
            f"Model {config.name} requests unsupported platform {given!r}; accepted: {_PLATFORM!r}"
        )


def _policy(config: ModelConfig) -> VersionPolicy:
    chosen = config.model_version_policy
    kind = chosen.WhichOneof("policy_choice")
    if kind == "all":
        return VersionPolicy(latest=None)
    if kind == "specific":
        return VersionPolicy(specific=frozenset(chosen.specific.versions))
    return VersionPolicy(latest=max(chosen.latest.num_versions, 1))


def _check_labels(config: ModelConfig, model: ServedModel) -> None:
    for label, number in config.version_labels.items():
        if not model.is_available(number):
            raise tf.errors.FailedPreconditionError(
                None,
                None,
                f"Request to assign label {label!r} to version {number} of model {config.name}, "
                "which is not currently available for inference",
            )
