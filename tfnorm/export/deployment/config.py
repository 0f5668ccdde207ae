"""The files of a TensorFlow Serving deployment that fits an export."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from tfnorm.errors import InputError, installed_by
from tfnorm.export.deployment.batching import Batching, find_batching
from tfnorm.export.workplace import workplace
from tfnorm.session import versions

IMAGE = "tensorflow/serving:2.19.1"
STABLE, CANARY = "stable", "canary"
METRICS_PATH = "/monitoring/prometheus/metrics"

_TEMPLATES = Path(__file__).with_name("templates")
# Processor cores of a server: as many batches run at once.
_CORES = 2
# TensorFlow Serving takes a loaded model for 1.2 times its files. Three are there when a version is
# loaded beside the stable one and the canary.
_MEMORY_OF_FILES = 3 * 1.2
_MEMORY_OF_SERVER = 2**30
_LOGGED_REQUESTS = 0.01


@dataclass(frozen=True)
class ServingConfig:
    """What `write_serving_config` wrote.

    Attributes:
        directory: the folder with the files.
        name: the model's name in requests.
        labels: "stable" and "canary" -> version.
        batching: how the server batches.

    Example:

        config = write_serving_config("exports/ranker/2", "deploy/ranker-2")
        print(config.name, config.labels)
    """

    directory: Path
    name: str
    labels: dict[str, int]
    batching: Batching


def check_serving_config(
    directory: str | os.PathLike[str], exports: str | os.PathLike[str], name: str | None = None
) -> str:
    """The name of the model, if the configuration may be written.

    Args:
        directory: where it shall go: a folder that is empty or not there yet.
        exports: the folder of versions.
        name: of the model; None for the name of the folder of versions.

    Raises:
        InputError: it may not, or `tensorflow-serving-api` is not installed.
    """
    if "\0" in os.fspath(directory):
        raise InputError(f"{os.fspath(directory)!r} is no path")
    directory, exports = Path(directory).resolve(), Path(exports).resolve()
    existing = next(p for p in (directory, *directory.parents) if os.path.lexists(p))
    if not existing.is_dir():
        raise InputError(f"{existing} is not a folder; give a folder for the configuration")
    if directory == existing and any(directory.iterdir()):
        raise InputError(
            f"{directory} is not empty, and a configuration is never overwritten; "
            "give another folder for it"
        )
    if directory.is_relative_to(exports) or exports.is_relative_to(directory):
        raise InputError(
            f"{directory} and the folder of versions {exports} lie in one another; "
            "give a folder for the configuration that is apart"
        )
    name = exports.name if name is None else name
    if len(name) > 63 or not re.fullmatch("[a-z]([-a-z0-9]*[a-z0-9])?", name):
        raise InputError(
            f"the model's name is {name!r}; accepted, since Kubernetes takes no other for a service: "
            "at most 63 of a-z, 0-9 and -, the first a letter, the last no -"
        )
    _model_server_config()
    return name


def write_serving_config(
    export: str | os.PathLike[str], directory: str | os.PathLike[str], *, name: str | None = None
) -> ServingConfig:
    """Write the files of a TensorFlow Serving deployment that fits an export.

    `models.config` serves the version with the label "canary", and with the label "stable" the newest
    other one in its folder, or itself if there is none. `batching.config` allows the batch sizes that
    the export is warmed up with (or 8, 16, ... 1024); it is left out where batches would move a
    score. `monitoring.config` has the server publish metrics for Prometheus. `models-logged.config`
    is `models.config` with a sample of the requests logged, for a server that is built with a log
    collector; the stock one has none and refuses it. `docker-compose.yml` and `kubernetes.yaml` run
    the stock server on them.

    Args:
        export: the SavedModel, `<folder of versions>/<version>`.
        directory: a folder that is empty or not there yet; all files are written or none.
        name: the model's name in requests, and the name of its Kubernetes service; None for the name of the
            folder of versions.

    Raises:
        InputError: the folder or the name can't be used, or there is no export.

    Example:

        report = export_saved_model(model, "exports/ranker", examples={"x": x[:512]})
        write_serving_config(report.path, "deploy/ranker")
    """
    export = Path(export)
    name = check_serving_config(directory, export.parent, name)
    exported = versions(export.parent)
    version = next((number for number, path in exported.items() if path.name == export.name), None)
    if version is None:
        raise InputError(
            f"{export} is no version of an export; give <folder of versions>/<version>"
        )
    labels = {STABLE: max(exported.keys() - {version}, default=version), CANARY: version}
    batching = find_batching(export)
    try:
        _write(_files(export, Path(directory), name, labels, batching), Path(directory).resolve())
    except OSError as error:
        raise InputError(
            f"{export} is there, but its configuration could not be written to {directory}: "
            f"{error.strerror}"
        ) from error
    return ServingConfig(Path(directory), name, labels, batching)


def _files(
    export: Path, directory: Path, name: str, labels: Mapping[str, int], batching: Batching
) -> dict[str, str]:
    """File name -> text."""
    arguments = [
        "--model_config_file=/config/models.config",
        "--model_config_file_poll_wait_seconds=30",
        "--allow_version_labels_for_unavailable_models=true",
        "--monitoring_config_file=/config/monitoring.config",
        f"--tensorflow_intra_op_parallelism={_CORES}",
        f"--tensorflow_inter_op_parallelism={_CORES}",
    ]
    files = {
        "models.config": _models(name, labels, logged=False),
        "monitoring.config": f'prometheus_config {{\n  enable: true\n  path: "{METRICS_PATH}"\n}}\n',
    }
    if batching.sizes:
        arguments += [
            "--enable_batching=true",
            "--batching_parameters_file=/config/batching.config",
        ]
        files["batching.config"] = _parameters(batching)
    in_cluster = "".join(
        f"  {file}: |\n{textwrap.indent(text, ' ' * 4)}" for file, text in files.items()
    )
    there = os.path.relpath(export.parent.resolve(), directory.resolve())
    return files | {
        "models-logged.config": _models(name, labels, logged=True),
        "docker-compose.yml": _filled(
            "docker-compose.yml",
            name=name,
            image=IMAGE,
            arguments=_list(arguments, 6),
            # Compose would take $ for the start of a variable.
            versions=json.dumps(there.replace("$", "$$"), ensure_ascii=False),
        ),
        "kubernetes.yaml": _filled(
            "kubernetes.yaml",
            name=name,
            image=IMAGE,
            arguments=_list(arguments, 12),
            config=in_cluster.rstrip(),
            config_hash=hashlib.sha256(in_cluster.encode()).hexdigest(),
            metrics_path=METRICS_PATH,
            cores=_CORES,
            memory=_memory(export),
        ),
    }


def _models(name: str, labels: Mapping[str, int], *, logged: bool) -> str:
    """A ModelServerConfig as text."""
    from google.protobuf import text_format

    config = _model_server_config().ModelServerConfig()
    model = config.model_config_list.config.add(
        name=name, base_path=f"/models/{name}", model_platform="tensorflow"
    )
    model.model_version_policy.specific.versions.extend(sorted(set(labels.values())))
    for label, version in labels.items():
        model.version_labels[label] = version
    about = (
        "# The versions that are served. Requests without a version or label get the newest of them.\n"
        "# Read again every 30 seconds: to move a label, first serve its version, then change it.\n"
    )
    if logged:
        about += (
            "# Needs a server that is built with a log collector: the stock one has none and does not\n"
            "# start with this file.\n"
        )
        model.logging_config.log_collector_config.filename_prefix = f"/logs/{name}"
        model.logging_config.sampling_config.sampling_rate = _LOGGED_REQUESTS
    return f"{about}{text_format.MessageToString(config)}"


def _parameters(batching: Batching) -> str:
    """BatchingParameters as text; `tensorflow-serving-api` doesn't ship the message."""
    return (
        "# A batch is filled up to one of these sizes; a request for more examples is refused.\n"
        f"max_batch_size {{ value: {batching.sizes[-1]} }}\n"
        f"allowed_batch_sizes: {list(batching.sizes)}\n"
        f"pad_variable_length_inputs: {'true' if batching.pads else 'false'}\n"
        "# One for each core, which takes what is there when it is free and waits for no more.\n"
        f"num_batch_threads {{ value: {_CORES} }}\n"
        "batch_timeout_micros { value: 0 }\n"
        "# Where more wait, requests are refused with UNAVAILABLE.\n"
        "max_enqueued_batches { value: 64 }\n"
    )


def _memory(export: Path) -> str:
    files = sum(file.stat().st_size for file in export.rglob("*") if file.is_file())
    return f"{math.ceil((_MEMORY_OF_SERVER + _MEMORY_OF_FILES * files) / 2**28) * 256}Mi"


def _filled(template: str, **values: object) -> str:
    return Template((_TEMPLATES / template).read_text("utf-8")).substitute(values)


def _list(items: Sequence[str], indent: int) -> str:
    return "\n".join(f"{' ' * indent}- {item}" for item in items)


def _write(files: Mapping[str, str], directory: Path) -> None:
    """Write the files beside their place, then rename their folder into it."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with workplace(directory.parent, "serving") as work:
        for name, text in files.items():
            (work / name).write_text(text, "utf-8")
        work.rename(directory)


def _model_server_config() -> Any:
    try:
        from tensorflow_serving.config import model_server_config_pb2
    except ImportError as error:
        raise InputError(
            "the serving configuration is written with tensorflow-serving-api; "
            f"install it with {installed_by('serving')}"
        ) from error
    return model_server_config_pb2
