import os
import subprocess
import sys

HEAVY = {"grpc", "tensorflow_serving", "starlette", "uvicorn", "matplotlib", "click"}


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def loaded_by(statement):
    code = f"{statement}; import sys; print(*{{m.partition('.')[0] for m in sys.modules}})"
    return set(run(code).stdout.split())


def test_importing_tfnorm_loads_no_server_client_or_plotting_module():
    # Keras itself loads matplotlib where it is installed.
    added = loaded_by("import tfnorm") - loaded_by("import tensorflow, keras")
    assert "tfnorm" in added
    assert not added & HEAVY


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
    import tfnorm

    for name in tfnorm.__all__:
        assert getattr(tfnorm, name) is not None
