"""Calls that Keras makes for their shapes alone."""

from __future__ import annotations

import sys
from pathlib import Path

RNN = ("tensorflow", "rnn.py")
CORE = ("tensorflow", "core.py")


def is_probe() -> bool:
    """Whether the caller runs in a call of a loop's body that is no turn of the loop.

    `keras.layers.RNN`, unless unrolled, and `keras.ops.map` call their body once more, on the first
    element, to learn what it returns. Nothing tells such a call from a turn but who makes it.
    """
    turns = 0
    frame = sys._getframe()
    while frame is not None:
        code = frame.f_code
        file = Path(code.co_filename).parts[-2:]
        if file == RNN and code.co_name == "_step":
            turns += 1
        elif file == RNN and code.co_name == "rnn":
            if turns:
                turns -= 1
            elif not frame.f_locals["unroll"]:
                return True
        elif file == CORE and code.co_name == "get_fn_output_signature":
            return True
        frame = frame.f_back
    return False
