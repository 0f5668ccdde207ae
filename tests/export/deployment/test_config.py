import errno
import shutil
import subprocess
import sys
from pathlib import Path

import check_jsonschema
import keras
import kubernetes_validate
import numpy as np
import pytest
import requests
import tensorflow as tf
import yaml
from click.testing import CliRunner
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)
from tensorflow_serving.apis import prediction_log_pb2
from tensorflow_serving.config import model_server_config_pb2

from tfnorm.cli import main
from tfnorm.errors import InputError
from tfnorm.export import export_saved_model
from tfnorm.export.deployment.config import write_serving_config
from tfnorm.server import Server

STATIC = Path(__file__).parents[3] / "serving"

# The flags of tensorflow_model_server 2.19.1, from tensorflow_serving/model_servers/main.cc.
FLAGS = """
port grpc_socket_path rest_api_port rest_api_num_threads rest_api_timeout_in_ms
rest_api_enable_cors_support enable_batching allow_version_labels_for_unavailable_models
batching_parameters_file enable_per_model_batching_parameters model_config_file
model_config_file_poll_wait_seconds model_name model_base_path num_load_threads num_unload_threads
max_num_load_retries load_retry_interval_micros file_system_poll_wait_seconds
flush_filesystem_caches tensorflow_session_parallelism tensorflow_session_config_file
tensorflow_intra_op_parallelism tensorflow_inter_op_parallelism use_alts_credentials ssl_config_file
platform_config_file per_process_gpu_memory_fraction saved_model_tags grpc_channel_arguments
grpc_max_threads enable_model_warmup num_request_iterations_for_warmup version
monitoring_config_file remove_unused_fields_from_bundle_metagraph prefer_tflite_model
num_tflite_pools num_tflite_interpreters_per_pool enable_signature_method_name_check
xla_cpu_compilation_enabled xla_gpu_compilation_enabled enable_profiler
thread_pool_factory_config_file mixed_precision skip_initialize_tpu
enable_grpc_healthcheck_service enable_serialization_as_tensor_content
"""


def published_messages():
    """The two messages of TensorFlow Serving's configuration that its Python package doesn't ship.

    Fields, numbers and types are those of tensorflow_serving/config/monitoring_config.proto and
    tensorflow_serving/servables/tensorflow/session_bundle_config.proto.
    """
    fields = descriptor_pb2.FieldDescriptorProto
    messages = {
        "PrometheusConfig": {"enable": (1, "BOOL"), "path": (2, "STRING")},
        "MonitoringConfig": {"prometheus_config": (1, "serving.PrometheusConfig")},
        "BatchingParameters": {
            "max_batch_size": (1, "google.protobuf.Int64Value"),
            "batch_timeout_micros": (2, "google.protobuf.Int64Value"),
            "max_enqueued_batches": (3, "google.protobuf.Int64Value"),
            "num_batch_threads": (4, "google.protobuf.Int64Value"),
            "thread_pool_name": (5, "google.protobuf.StringValue"),
            "allowed_batch_sizes": (6, "repeated INT64"),
            "pad_variable_length_inputs": (7, "BOOL"),
            "enable_large_batch_splitting": (8, "google.protobuf.BoolValue"),
            "max_execution_batch_size": (9, "google.protobuf.Int64Value"),
        },
    }
    file = descriptor_pb2.FileDescriptorProto(
        name="published.proto",
        package="serving",
        syntax="proto3",
        dependency=["google/protobuf/wrappers.proto"],
    )
    for name, members in messages.items():
        message = file.message_type.add(name=name)
        for member, (number, kind) in members.items():
            field = message.field.add(name=member, number=number)
            field.label = (
                fields.LABEL_REPEATED if kind.startswith("repeated ") else fields.LABEL_OPTIONAL
            )
            kind = kind.removeprefix("repeated ")
            if "." in kind:
                field.type, field.type_name = fields.TYPE_MESSAGE, f".{kind}"
            else:
                field.type = fields.Type.Value(f"TYPE_{kind}")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"serving.{name}"))
        for name in messages
    }


MESSAGES = published_messages()


def parsed(text, message):
    return text_format.Parse(text, message())


def models(folder, file="models.config"):
    text = (folder / file).read_text()
    config = parsed(text, model_server_config_pb2.ModelServerConfig)
    (model,) = config.model_config_list.config
    return model


def batching(folder):
    return parsed((folder / "batching.config").read_text(), MESSAGES["BatchingParameters"])


def compose(folder):
    (service,) = yaml.safe_load((folder / "docker-compose.yml").read_text())["services"].values()
    return service


def cluster(folder):
    """Kind -> Kubernetes object."""
    objects = list(yaml.safe_load_all((folder / "kubernetes.yaml").read_text()))
    by_kind = {item["kind"]: item for item in objects}
    assert len(by_kind) == len(objects)
    return by_kind


def container(folder):
    (only,) = cluster(folder)["Deployment"]["spec"]["template"]["spec"]["containers"]
    return only


def save(path, call, *specs):
    module = tf.Module()
    module.call = tf.function(call, input_signature=specs)
    tf.saved_model.save(module, str(path), signatures=module.call)
    return path


def keep(path, **examples):
    (path / "assets.extra").mkdir(parents=True)
    np.savez(path / "assets.extra" / "examples.npz", **examples)


X = tf.TensorSpec([None, 3], tf.float32, "x")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A folder with one version, which takes 3 numbers."""
    exports = tmp_path_factory.mktemp("served") / "ranker"
    save(exports / "1", lambda x: {"score": tf.reduce_sum(x, 1)}, X)
    return exports


@pytest.fixture
def exports(exported, tmp_path):
    """The same, to be changed."""
    return shutil.copytree(exported, tmp_path / "exports" / "ranker")


@pytest.fixture(scope="module")
def written(exported, tmp_path_factory):
    folder = tmp_path_factory.mktemp("deploy") / "ranker"
    write_serving_config(exported / "1", folder)
    return folder


def test_the_first_version_is_served_with_both_labels(written):
    model = models(written)
    assert (model.name, model.base_path) == ("ranker", "/models/ranker")
    assert model.model_platform == "tensorflow"
    assert list(model.model_version_policy.specific.versions) == [1]
    assert dict(model.version_labels) == {"stable": 1, "canary": 1}


def test_a_further_version_is_the_canary_of_the_newest_other_one(exports, tmp_path):
    for version in ("2", "5", "6"):
        shutil.copytree(exports / "1", exports / version)
    found = write_serving_config(exports / "6", tmp_path / "deploy")
    assert found.labels == {"stable": 5, "canary": 6}
    model = models(tmp_path / "deploy")
    assert list(model.model_version_policy.specific.versions) == [5, 6]
    assert dict(model.version_labels) == found.labels
    assert write_serving_config(exports / "2", tmp_path / "fix").labels == {
        "stable": 6,
        "canary": 2,
    }


def test_half_an_export_is_no_version(exports, tmp_path):
    (exports / "2").mkdir()
    assert write_serving_config(exports / "1", tmp_path / "deploy").labels["stable"] == 1
    with pytest.raises(InputError, match=r"ranker/2 is no version of an export"):
        write_serving_config(exports / "2", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_requests_are_logged_only_by_a_server_that_can(written):
    # The stock server refuses to start: "No request-logger-creator provided."
    plain, logged = models(written), models(written, "models-logged.config")
    assert not plain.HasField("logging_config")
    assert 0 < logged.logging_config.sampling_config.sampling_rate < 1
    assert logged.logging_config.log_collector_config.filename_prefix == "/logs/ranker"
    logged.ClearField("logging_config")
    assert logged == plain


def test_batch_sizes_end_in_the_largest_and_suit_an_export_that_rounds_up_to_8(written):
    parameters = batching(written)
    sizes = list(parameters.allowed_batch_sizes)
    assert sizes == sorted(set(sizes))
    assert parameters.max_batch_size.value == sizes[-1] == 1024
    assert all(size % 8 == 0 for size in sizes)
    assert not parameters.pad_variable_length_inputs
    assert parameters.num_batch_threads.value >= 1
    assert parameters.max_enqueued_batches.value >= parameters.num_batch_threads.value
    assert parameters.HasField("batch_timeout_micros")


def test_batch_sizes_are_those_that_the_export_is_warmed_up_with(tmp_path):
    inputs = keras.Input((3,), name="x")
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(inputs))
    report = export_saved_model(
        model,
        tmp_path / "exports",
        examples={"x": np.ones((5, 3), np.float32)},
        signatures=["tf_example", "classify"],
        warmup_batch_sizes=[100, 4, 4, 20],
    )
    found = write_serving_config(report.path, tmp_path / "deploy")
    assert found.batching.sizes == (4, 20, 100)
    parameters = batching(tmp_path / "deploy")
    assert list(parameters.allowed_batch_sizes) == [4, 20, 100]
    assert parameters.max_batch_size.value == 100


def history_mean(history):
    valid = tf.cast(history != 0, tf.float32)
    return tf.reduce_sum(tf.cast(history, tf.float32), 1) / tf.reduce_sum(valid, 1)


def mean_of_known_length(history, length):
    valid = tf.sequence_mask(length, tf.shape(history)[1], tf.float32)
    return tf.reduce_sum(tf.cast(history, tf.float32) * valid, 1) / tf.cast(length, tf.float32)


HISTORY = tf.TensorSpec([None, None], tf.int64, "history")
LENGTH = tf.TensorSpec([None], tf.int64, "length")
ROWS = np.array([[3, 7, 0], [5, 0, 0]])


def no_batches(folder):
    """Neither the file nor a flag for batches."""
    arguments = [*compose(folder)["command"], *container(folder)["args"]]
    return not (folder / "batching.config").exists() and "batching" not in " ".join(arguments)


def test_there_are_no_batches_where_the_padding_of_tensorflow_serving_moves_a_score(tmp_path):
    export = save(tmp_path / "exports" / "1", lambda h: {"score": history_mean(h)}, HISTORY)
    keep(export, history=ROWS)
    found = write_serving_config(export, tmp_path / "deploy").batching
    # Three more times the first value: (3 + 7 + 3 * 3) / 5 for 5, (5 + 3 * 5) / 4 for 5.
    assert "pads 'history' with the first value of a request" in found.obstacle
    assert "moves a score by 1.2" in found.obstacle
    assert found.sizes == ()
    assert no_batches(tmp_path / "deploy")


def test_requests_of_different_lengths_are_padded_where_it_moves_no_score(tmp_path):
    export = save(
        tmp_path / "exports" / "1",
        lambda history, length: {"score": mean_of_known_length(history, length)},
        HISTORY,
        LENGTH,
    )
    keep(export, history=ROWS, length=np.array([2, 1]))
    write_serving_config(export, tmp_path / "deploy")
    assert batching(tmp_path / "deploy").pad_variable_length_inputs


def test_metrics_are_published_where_prometheus_is_told_to_look(written):
    text = (written / "monitoring.config").read_text()
    prometheus = parsed(text, MESSAGES["MonitoringConfig"]).prometheus_config
    annotations = cluster(written)["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert prometheus.enable
    assert annotations["prometheus.io/scrape"] == "true"
    assert annotations["prometheus.io/port"] == "8501"
    assert annotations["prometheus.io/path"] == prometheus.path


def test_the_server_is_started_with_flags_that_it_has_and_files_that_are_there(written):
    command = compose(written)["command"]
    assert command == container(written)["args"]
    flags = dict(argument.removeprefix("--").split("=") for argument in command)
    assert flags.keys() <= set(FLAGS.split())
    files = [value for value in flags.values() if value.startswith("/")]
    assert sorted(files) == [
        "/config/batching.config",
        "/config/models.config",
        "/config/monitoring.config",
    ]
    assert all((written / Path(file).name).is_file() for file in files)
    # Otherwise a label would be refused when the server starts: its version is not loaded by then.
    assert flags["allow_version_labels_for_unavailable_models"] == "true"
    assert flags["enable_batching"] == "true"


def refusal_of_compose(file):
    """What the schema of the Compose specification has against a file; None if nothing."""
    command = ["--builtin-schema", "vendor.compose-spec", str(file)]
    found = CliRunner().invoke(check_jsonschema.main, command)
    return found.output if found.exit_code else None


@pytest.mark.parametrize("plain", [True, False], ids=["plain", "generated"])
def test_docker_compose_files_are_valid(written, plain):
    assert refusal_of_compose((STATIC if plain else written) / "docker-compose.yml") is None


def test_what_the_schemas_do_not_have_would_be_found(written, tmp_path):
    with pytest.raises(text_format.ParseError):
        parsed("max_batch_size: 8", MESSAGES["BatchingParameters"])
    text = (written / "docker-compose.yml").read_text()
    (tmp_path / "docker-compose.yml").write_text(text.replace("command:", "comand:"))
    assert "comand" in refusal_of_compose(tmp_path / "docker-compose.yml")
    scaler = cluster(written)["HorizontalPodAutoscaler"]
    scaler["spec"]["minReplica"] = 2
    with pytest.raises(kubernetes_validate.ValidationError, match="minReplica"):
        kubernetes_validate.validate(scaler, "1.31", strict=True)


def test_docker_compose_mounts_the_exports_wherever_the_folder_was_written(tmp_path):
    exports = tmp_path / "a b" / "${c}: é #\"'" / "ranker"
    save(exports / "1", lambda x: {"score": tf.reduce_sum(x, 1)}, X)
    (tmp_path / "deploy").mkdir()
    write_serving_config(exports / "1", tmp_path / "deploy")
    models, config = compose(tmp_path / "deploy")["volumes"]
    source = models["source"].replace("$$", "$")
    assert models["source"].count("$") == 2 * source.count("$")
    assert (tmp_path / "deploy" / source).resolve() == exports
    assert models["target"] == "/models/ranker"
    assert (config["source"], config["target"]) == (".", "/config")
    assert refusal_of_compose(tmp_path / "deploy" / "docker-compose.yml") is None


@pytest.fixture(scope="module")
def server(exported):
    with Server(exported, name="ranker", port=0, rest_port=0) as running:
        yield running


def test_the_health_check_of_docker_compose_asks_for_an_available_version(written, server):
    _, *command = compose(written)["healthcheck"]["test"]

    def healthy(port, name="ranker"):
        changed = [
            part.replace("8501", str(port)).replace("models/ranker", f"models/{name}")
            for part in command
        ]
        return subprocess.run(changed, timeout=10, capture_output=True).returncode == 0

    assert healthy(server.rest_port)
    assert not healthy(server.rest_port, "nonesuch")
    assert not healthy(1)


def test_the_probes_use_the_model_status_and_the_label(written, server):
    probes = {
        kind: container(written)[f"{kind}Probe"]["httpGet"]["path"]
        for kind in ("startup", "liveness", "readiness")
    }
    address = f"http://127.0.0.1:{server.rest_port}"
    for kind in ("startup", "liveness"):
        (status,) = requests.get(address + probes[kind], timeout=10).json()["model_version_status"]
        assert status["state"] == "AVAILABLE"
    assert probes["readiness"] == "/v1/models/ranker/labels/stable/metadata"
    assert "stable" in models(written).version_labels


@pytest.mark.parametrize("version", ["1.25", "1.31", "latest"])
def test_kubernetes_manifests_are_valid(written, version):
    if version == "latest":
        version = kubernetes_validate.latest_version()
    for item in cluster(written).values():
        kubernetes_validate.validate(item, version, strict=True)


@pytest.mark.parametrize("name", ["null", "on", "y", "n", "no", "e1", "a" * 63, "din-2"])
def test_kubernetes_manifests_are_valid_with_any_name(exported, tmp_path, name):
    write_serving_config(exported / "1", tmp_path / "deploy", name=name)
    for item in cluster(tmp_path / "deploy").values():
        kubernetes_validate.validate(item, "1.31", strict=True)
    assert cluster(tmp_path / "deploy")["Service"]["metadata"]["name"] == name
    assert models(tmp_path / "deploy").name == name
    assert refusal_of_compose(tmp_path / "deploy" / "docker-compose.yml") is None


def test_kubernetes_objects_find_one_another(written):
    found = cluster(written)
    deployment = found["Deployment"]
    pod = deployment["spec"]["template"]
    labels = pod["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert found["Service"]["spec"]["selector"] == labels
    assert found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels

    ports = {port["name"]: port["containerPort"] for port in container(written)["ports"]}
    assert ports == {"grpc": 8500, "rest": 8501}
    assert {port["targetPort"] for port in found["Service"]["spec"]["ports"]} == set(ports)
    for kind in ("startup", "liveness", "readiness"):
        assert container(written)[f"{kind}Probe"]["httpGet"]["port"] in ports

    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    claim = volumes["models"]["persistentVolumeClaim"]["claimName"]
    assert claim == found["PersistentVolumeClaim"]["metadata"]["name"]
    assert volumes["config"]["configMap"]["name"] == found["ConfigMap"]["metadata"]["name"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container(written)["volumeMounts"]}
    assert mounts == {"models": models(written).base_path, "config": "/config"}


def test_kubernetes_has_the_same_configuration_as_docker_compose(written):
    data = cluster(written)["ConfigMap"]["data"]
    assert data.keys() == {"models.config", "batching.config", "monitoring.config"}
    for file, text in data.items():
        assert text == (written / file).read_text()
    assert compose(written)["image"] == container(written)["image"]


def test_another_configuration_starts_new_pods_and_the_same_one_does_not(exports, tmp_path):
    def pods(version, folder):
        write_serving_config(exports / version, folder)
        return cluster(folder)["Deployment"]["spec"]["template"]

    first, same = pods("1", tmp_path / "first"), pods("1", tmp_path / "same")
    shutil.copytree(exports / "1", exports / "2")
    assert first == same
    assert pods("2", tmp_path / "second") != first


def test_the_autoscaler_goes_by_a_metric_that_the_pods_have(written):
    found = cluster(written)
    scaler = found["HorizontalPodAutoscaler"]["spec"]
    target, deployment = scaler["scaleTargetRef"], found["Deployment"]
    assert (target["apiVersion"], target["kind"], target["name"]) == (
        deployment["apiVersion"],
        deployment["kind"],
        deployment["metadata"]["name"],
    )
    assert "replicas" not in deployment["spec"]
    (metric,) = scaler["metrics"]
    assert metric["type"] == "Resource"
    # The utilization is a share of what is requested.
    assert metric["resource"]["name"] in container(written)["resources"]["requests"]
    assert 1 < scaler["minReplicas"] < scaler["maxReplicas"]


def test_memory_grows_with_the_export(exports, tmp_path):
    def memory(folder):
        write_serving_config(exports / "1", folder)
        resources = container(folder)["resources"]
        assert resources["limits"]["memory"] == resources["requests"]["memory"]
        return int(resources["limits"]["memory"].removesuffix("Mi"))

    assert memory(tmp_path / "small") == 1280
    (exports / "1" / "assets").mkdir(exist_ok=True)
    with (exports / "1" / "assets" / "table").open("wb") as file:
        file.truncate(10 * 2**30)
    large = memory(tmp_path / "large")
    assert 3 * 1.2 * 10 * 1024 + 1024 <= large < 3 * 1.2 * 10 * 1024 + 1024 + 512


@pytest.mark.parametrize(
    "name", ["", "Din", "my_model", "1din", "-din", "din-", "a.b", "a/b", "a" * 64, "din\n", "é"]
)
def test_a_name_that_kubernetes_does_not_take_is_refused(exported, tmp_path, name):
    with pytest.raises(InputError, match="accepted, since Kubernetes takes no other"):
        write_serving_config(exported / "1", tmp_path / "deploy", name=name)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_something_is_refused_and_left_alone(exported, tmp_path):
    (tmp_path / "kept").touch()
    with pytest.raises(InputError, match="is not empty, and a configuration is never overwritten"):
        write_serving_config(exported / "1", tmp_path)
    with pytest.raises(InputError, match="kept is not a folder"):
        write_serving_config(exported / "1", tmp_path / "kept")
    with pytest.raises(InputError, match="kept is not a folder"):
        write_serving_config(exported / "1", tmp_path / "kept" / "below")
    with pytest.raises(InputError, match="is no path"):
        write_serving_config(exported / "1", "a\0b")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_folder_among_the_versions_is_refused(exports):
    for folder in (exports / "2", exports / "config" / "ranker"):
        with pytest.raises(InputError, match="lie in one another"):
            write_serving_config(exports / "1", folder)
    assert [path.name for path in exports.iterdir()] == ["1"]


def test_a_full_disk_is_one_clear_error_and_leaves_no_file(exported, tmp_path, monkeypatch):
    write_text = Path.write_text

    def fill(self, *arguments, **options):
        if self.name == "kubernetes.yaml":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_text(self, *arguments, **options)

    monkeypatch.setattr(Path, "write_text", fill)
    with pytest.raises(InputError, match=r"could not be written to .*: No space left on device"):
        write_serving_config(exported / "1", tmp_path / "deploy")
    assert not list(tmp_path.iterdir())


def test_what_a_killed_one_left_is_removed(exported, tmp_path):
    for name in (".tfnorm-serving-0", ".tfnorm-serving-1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "models.config").touch()
    (tmp_path / ".tfnorm-serving-1.lock").touch()
    write_serving_config(exported / "1", tmp_path / "made")
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_a_name_that_no_file_system_takes_is_one_clear_error(exported, tmp_path):
    with pytest.raises(InputError, match=r"could not be written to .*: File name too long"):
        write_serving_config(exported / "1", tmp_path / ("x" * 300))


def test_what_is_missing_to_write_it_is_named(exported, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.config", None)
    with pytest.raises(InputError, match=r"pip install '\.\[serving\]'"):
        write_serving_config(exported / "1", tmp_path / "deploy")
    assert not list(tmp_path.iterdir())


def run(*arguments):
    with pytest.raises(SystemExit) as stopped:
        main([str(a) for a in arguments])
    return stopped.value.code


@pytest.fixture
def model(tmp_path):
    inputs = keras.Input((3,), name="x")
    keras.Model(inputs, keras.layers.Dense(1)(inputs)).save(tmp_path / "model.keras")
    np.savez(tmp_path / "examples.npz", x=np.ones((5, 3), np.float32))
    return tmp_path / "model.keras"


def warmed_up_sizes(export):
    path = export / "assets.extra" / "tf_serving_warmup_requests"
    return {
        prediction_log_pb2.PredictionLog.FromString(record)
        .predict_log.request.inputs["x"]
        .tensor_shape.dim[0]
        .size
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    }


def test_the_command_exports_and_writes_a_configuration_that_fits(model, tmp_path, capsys):
    exports, deploy = tmp_path / "exports" / "ranker", tmp_path / "deploy"
    command = ["export", model, exports, "--examples", tmp_path / "examples.npz"]
    assert run(*command, "--serving-config", deploy) == 0
    printed = capsys.readouterr().out
    assert "stable 1, canary 1" in printed
    assert str(deploy) in printed.replace("\n", "").replace(" ", "")
    sizes = list(batching(deploy).allowed_batch_sizes)
    assert warmed_up_sizes(exports / "1") == set(sizes)
    assert models(deploy).name == "ranker"


def test_the_command_refuses_a_configuration_before_it_exports(model, tmp_path, capsys):
    exports = tmp_path / "exports" / "My_Model"
    for arguments, reason in (
        (["--serving-config", tmp_path / "deploy"], "'My_Model'"),
        (["--serving-config", tmp_path, "--name", "din"], "is not empty"),
        (["--serving-config", exports, "--name", "din"], "lie in one another"),
        (["--name", "din"], "--name is the model's name in a deployment"),
    ):
        assert run("export", model, exports, *arguments) == 2
        error = capsys.readouterr().err
        assert reason in error
        assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "exports").exists()
    assert not (tmp_path / "deploy").exists()


def test_the_command_takes_a_name(model, tmp_path):
    exports = tmp_path / "exports" / "My_Model"
    assert run("export", model, exports, "--serving-config", tmp_path / "d", "--name", "din") == 0
    assert models(tmp_path / "d").name == "din"
    assert compose(tmp_path / "d")["volumes"][0]["source"] == "../exports/My_Model"
