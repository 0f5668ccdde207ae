"""A module that a driver imports at once, and a worker of Ray never."""

import os
import time
from pathlib import Path

import ray

if ray.is_initialized() and ray.get_runtime_context().worker.mode == ray.WORKER_MODE:
    Path(os.environ["RAY_STUCK"]).touch()
    time.sleep(600)
