import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from apart import apart, printed

import tfnorm

HEAVY = {"grpc", "tensorflow_serving", "starlette", "uvicorn", "matplotlib", "click", "pyarrow"}


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


WHAT_TFNORM_LOADS = """
import sys
import keras, tensorflow  # Keras itself loads matplotlib where it is installed.
before = set(sys.modules)
import tfnorm
print(*set(sys.modules) - before)
print(*keras.saving.get_custom_objects())
tfnorm.datasets
print(*(name for name in sys.modules if name.startswith("tfnorm.verify.")))
from tfnorm.replay import ReplayReport
print(tfnorm.replay.__name__, tfnorm.export_saved_model.__name__, tfnorm.__all__ == dir(tfnorm))
"""
ROOMS_ON_DEMAND = ("datasets", "export", "replay.run", "scorers", "statistics", "verify.run")


@pytest.fixture(scope="module")
def first_import():
    """What `import tfnorm` loads, what it registers with Keras, and what comes when it is asked for."""
    (shown,) = apart(printed, (WHAT_TFNORM_LOADS,))
    loaded, registered, *later = shown.splitlines()
    return set(loaded.split()), set(registered.split()), later


def test_importing_tfnorm_loads_no_server_client_or_plotting_module(first_import):
    added, *_ = first_import
    assert "tfnorm" in added
    assert not {name.partition(".")[0] for name in added} & HEAVY


def test_importing_tfnorm_loads_layers_and_models_and_the_rest_when_it_is_asked_for(first_import):
    added, _, (verification, names) = first_import
    assert {"tfnorm.layers.dice", "tfnorm.models.din"} <= added
    assert not added & {f"tfnorm.{room}" for room in ROOMS_ON_DEMAND}
    assert not verification
    assert names.split() == ["replay", "export_saved_model", "True"]


def test_importing_tfnorm_registers_all_that_a_keras_file_may_name(first_import):
    _, registered, _ = first_import
    source = "\n".join(path.read_text() for path in Path(tfnorm.__file__).parent.rglob("*.py"))
    names = re.findall(r'^@keras\S+serializable\(package="tfnorm"\)\nclass (\w+)', source, re.M)
    assert {"Dice", "DIN", "LazyAdam"} <= set(names)
    assert registered == {f"tfnorm>{name}" for name in names}


def test_another_keras_backend_gets_one_clear_error():
    found = run("import tfnorm", KERAS_BACKEND="numpy")
    last = found.stderr.strip().splitlines()[-1]
    assert found.returncode == 1
    assert last.startswith("ImportError: tfnorm runs on Keras 3 with the TensorFlow backend")
    assert "KERAS_BACKEND=tensorflow" in last


def test_a_backend_that_is_not_installed_gets_the_same_error():
    found = run("import tfnorm", KERAS_BACKEND="jax")
    last = found.stderr.strip().splitlines()[-1]
    assert found.returncode == 1
    assert "tfnorm runs on Keras 3 with the TensorFlow backend" in last


def test_public_names_are_there():
    for name in tfnorm.__all__:
        assert getattr(tfnorm, name) is not None
