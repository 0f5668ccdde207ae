"""The text of `predict.py`."""

from __future__ import annotations

import inspect
import io
import itertools
import tokenize

from tfnorm.export.numpy_predictor.program import Value, code, quoted
from tfnorm.export.numpy_predictor.translate import Translation

_WIDTH = 100

_FILE = '''\
"""Predicts as the Keras model {model} does at inference, with NumPy alone.

    python predict.py examples.npz    prints the predictions for the examples, as JSON

    from predict import predict
    scores = predict({{{features}}})

The weights are in weights.npz beside this file, each by its layer's name and its own.
"""

import json
{math}import sys
from functools import cache
from pathlib import Path

import numpy as np

# Name, dtype and shape of each input; None is any length.
INPUTS = {{
{inputs}
}}
{formulas}

def predict(inputs):
    """The model's predictions: {outputs}.

    Args:
        inputs: a dict of arrays, or of what NumPy makes arrays of, named as in INPUTS{alone}.
    """
{lines}


def checked(inputs):
    """The arrays of the inputs, in the order and with the dtypes of INPUTS."""
    if not hasattr(inputs, "keys"):
        inputs = dict(zip(INPUTS, [inputs]))
    arrays = []
    for name, (dtype, shape) in INPUTS.items():
        if name not in inputs:
            raise ValueError(f"input {{name!r}} is missing; accepted: {{', '.join(INPUTS)}}")
        given = np.asarray(inputs[name])
        if (
            not np.can_cast(given.dtype, dtype, "same_kind")
            or given.ndim != len(shape)
            or any(size not in (None, length) for size, length in zip(shape, given.shape))
        ):
            raise ValueError(
                f"input {{name!r}} is {{given.dtype}} of the shape {{given.shape}}; "
                f"accepted: {{dtype}} of the shape {{shape}}"
            )
        array = given.astype(dtype)
        if array.dtype.kind in "iu" and not np.array_equal(array, given):
            raise ValueError(f"input {{name!r}} has numbers that are too large for {{dtype}}")
        arrays.append(array)
    if len({{len(array) for array in arrays}}) > 1:
        rows = ", ".join(str(len(array)) for array in arrays)
        raise ValueError(f"the inputs have {{rows}} rows; accepted: as many of each")
    return arrays


@cache
def weights():
    """The weights, as layer -> name -> array."""
    layers = {{}}
    with np.load(Path(__file__).with_name("weights.npz")) as file:
        for key in file.files:
            layer, name = key.rsplit("/", 1)
            layers.setdefault(layer, {{}})[name] = file[key]
    return layers


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with np.load(sys.argv[1]) as examples:
        predictions = predict(dict(examples))
    if not isinstance(predictions, dict):
        predictions = {{"score": predictions}}
    print(json.dumps({{name: array.tolist() for name, array in predictions.items()}}))
'''


def write(name: str, translation: Translation) -> str:
    """The text of the file for a model of this name."""
    program, inputs, outputs = translation.program, translation.inputs, translation.outputs
    sources = [inspect.getsource(formula).rstrip() for formula in program.formulas.values()]
    if isinstance(outputs, Value):
        described, result = f"an array of the shape {code(outputs.shape)}", code(outputs)
    else:
        described = f"a dict of {', '.join(map(quoted, outputs))}"
        result = f"{{{', '.join(f'{quoted(key)}: {value}' for key, value in outputs.items())}}}"
    variables = ", ".join(map(str, inputs.values()))
    if len(inputs) == 1 or len(variables) > _WIDTH / 2:
        variables = f"({variables},)"
    lines = [
        "w = weights()",
        f"{variables} = checked(inputs)",
        *program.lines(result),
        f"return {result}",
    ]
    more = ["..."] if len(inputs) > 2 else []
    return _FILE.format(
        model=quoted(name),
        features=", ".join([*(f"{quoted(key)}: ..." for key in list(inputs)[:2]), *more]),
        math="import math\n" if any("math." in text for text in sources) else "",
        inputs="\n".join(
            f"    {quoted(key)}: ({quoted(value.dtype)}, {code(value.shape)}),"
            for key, value in inputs.items()
        ),
        formulas="".join(f"\n\n{text}\n" for text in sources),
        outputs=described,
        alone="" if len(inputs) > 1 else "; or the array alone",
        lines="\n".join(_wrapped(f"    {line}") for line in lines),
    )


def _wrapped(line: str) -> str:
    """The line, broken after commas between brackets where it is too long."""
    if len(line) <= _WIDTH or line.lstrip().startswith("#"):
        return line
    text = line.strip()
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    ends = [token.end[1] for token in tokens if token.string == ","]
    first, *rest = (text[i:j] for i, j in itertools.pairwise([0, *ends, len(text)]))
    lines = [f"    {first}"]
    for part in rest:
        if len(lines[-1]) + len(part) <= _WIDTH:
            lines[-1] += part
        else:
            lines.append(f"        {part.lstrip()}")
    return "\n".join(lines)
