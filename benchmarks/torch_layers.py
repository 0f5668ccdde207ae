"""A layer of torch's, timed for `layers.py` where its threads and TensorFlow's don't disturb each other.

    python benchmarks/torch_layers.py torch.compile Dice 8192x200 train

It says "ready", and then answers each line of stdin with the milliseconds of processor time of a call.
"""

from __future__ import annotations

import os
import sys
import time

import numpy as np
import torch
from timing import Turn


class Dice(torch.nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.normalize = torch.nn.BatchNorm1d(channels, eps=1e-9, affine=False)
        self.alpha = torch.nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        p = torch.sigmoid(self.normalize(x))
        return p * x + (1 - p) * self.alpha * x


def call_of(who: str, layer: str, shape: tuple[int, ...], work: str):
    """Torch's own, channels last in memory as TensorFlow's are."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    channels = shape[-1]
    module = torch.nn.BatchNorm1d(channels) if layer == "BatchNormalization" else Dice(channels)
    module.train(work != "inference")
    run = torch.compile(module) if who == "torch.compile" else module
    rng = np.random.default_rng(0)
    flat = (int(np.prod(shape[:-1])), channels)
    x, dy = (torch.tensor(rng.standard_normal(flat), dtype=torch.float32) for _ in range(2))
    x.requires_grad_(work == "train")

    def step():
        if work != "train":
            with torch.no_grad():
                return run(x)
        x.grad = None
        module.zero_grad(set_to_none=True)
        y = run(x)
        y.backward(dy)
        return y

    return step


if __name__ == "__main__":
    who, layer, shape, work = sys.argv[1:]
    turn = Turn(
        call_of(who, layer, tuple(map(int, shape.split("x"))), work), clock=time.process_time
    )
    print("ready", flush=True)
    for _ in sys.stdin:
        print(turn(), flush=True)
