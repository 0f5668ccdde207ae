"""What the tests of the cluster have run in its workers."""

import ray


def missing_in_workers():
    """Fails in a worker, as an import does of what is installed here alone."""
    if ray.get_runtime_context().worker.mode == ray.WORKER_MODE:
        raise ModuleNotFoundError("No module named 'our_layers'")
