"""Score examples with a Keras model."""

from __future__ import annotations

import inspect
import re
import shlex
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import keras
import numpy as np
import tensorflow as tf

from tfnorm._keras import built_shape, loading_in_place, output_names
from tfnorm._tensorflow import traced_by_name
from tfnorm.errors import InputError
from tfnorm.graph.varying import remembers
from tfnorm.scorers.inputs import by_path, check_names, declared, is_shape, packed
from tfnorm.scorers.messages import one_line
from tfnorm.scorers.precision import Types, coarsest_of, coarsest_types
from tfnorm.scorers.scorer import Call as ModelCall
from tfnorm.scorers.scorer import Scorer
from tfnorm.session import SavedModel
from tfnorm.session.memory import large_in_place

Call = Callable[[dict[str, tf.Tensor]], object]

# What Keras says of what it can't find: a layer, a model or a function; another class; what a layer is given,
# such as an initializer.
_MISSING = (
    re.compile(r"Could not (?:locate|deserialize) (?P<kind>\w+) '(?P<name>[^']+)'"),
    re.compile(r"Cannot deserialize object of type `(?P<name>[^`]+)`"),
    re.compile(
        r"Could not interpret (?P<kind>\w+) identifier: .*'registered_name': '(?P<name>[^']+)'"
    ),
    re.compile(r"Could not interpret (?P<kind>\w+) identifier: (?P<name>\w+)$"),
    # Keras 3.6, of a function.
    re.compile(
        r"Could not interpret activation (?P<kind>function) identifier: "
        r".*'class_name': 'function', 'config': '(?P<name>[^']+)'"
    ),
)
# From here on it shows the whole config.
_CONFIG = re.compile(
    r"\.? *(Full object config|config=\{|Could not interpret \w+ identifier: \{).*"
)
_LONGEST = 250
"""Characters of what Keras says that are shown."""


class KerasScorer(Scorer):
    """Calls the model in one graph whose batch dimension is free.

    It is called without `training`, as `model.export` does: `training=False` would override a
    `training=True` that is built into a functional model, and so hide it. What a call changes in
    the model is set back by `close`.

    The input names are the keys of the model's dict of inputs, or its inputs' own names where they are
    no flat dict. A single output is called "score", as exports call it; those of a dict go by its keys,
    and what is inside one by its path, such as "towers/user".
    """

    signature = None
    concurrent = True

    def __init__(self, model: keras.Model, name: str | None = None):
        self.name = name or f"Keras model {model.name}"
        self._model = model
        if not model.built:
            raise InputError(f"{self.name} has no weights yet; call it once on a batch of examples")
        self.inputs: dict[str, tf.TensorSpec] | None = None
        if getattr(model, "inputs", None):
            self._call, self.inputs, self.places = _declared(model)
        else:
            self._call = _subclassed(model, self.name)
        self._output_names = output_names(model)
        self._graphs: dict[
            tuple[tuple[str, tf.TensorSpec], ...], tf.types.experimental.ConcreteFunction
        ] = {}
        self._precisions: Types = {}
        self._tracing = threading.Lock()
        self._state = [(v, v.numpy()) for v in model.non_trainable_variables]

    def score(self, examples: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        if self.inputs is not None:
            check_names(examples, self.inputs)
        specs = self.inputs or {name: _given(name, array) for name, array in examples.items()}
        key = tuple(specs.items())
        with self._tracing:
            if key not in self._graphs:
                graph = self._graphs[key] = self._traced(specs)
                tensors = {n: tensor.name for n, tensor in graph.structured_outputs.items()}
                graph_def = graph.graph.as_graph_def()
                self._precisions = coarsest_types(graph_def, tensors)
                self.concurrent &= not remembers(graph_def)
                self.precision = coarsest_of(self._precisions.values())
        try:
            outputs = self._graphs[key](
                *(tf.constant(examples[name], spec.dtype) for name, spec in specs.items())
            )
        except tf.errors.OpError as error:
            raise InputError(f"{self.name} refuses these examples: {one_line(error)}") from error
        return {name: tensor.numpy() for name, tensor in outputs.items()}

    def keras_model(self) -> tuple[keras.Model, ModelCall]:
        return self._model, self._outputs

    def precision_of(self, output: str) -> str | None:
        return self._precisions.get(output)

    @contextmanager
    def as_saved_model(self) -> Iterator[SavedModel]:
        """What scores, written as a SavedModel for as long as it is needed.

        A model that does not say what it takes must have scored before.
        """
        if not self._graphs and self.inputs is None:
            raise InputError(f"{self.name} has not scored yet, so that there is no graph of it")
        graph = next(iter(self._graphs.values()), None) or self._traced(self.inputs or {})
        with tempfile.TemporaryDirectory() as directory:
            self._save(graph, directory)
            with SavedModel(directory, held=large_in_place(graph.graph.variables)) as model:
                yield model

    def close(self) -> None:
        self._graphs.clear()
        for variable, value in self._state:
            variable.assign(value)

    def _save(self, graph: tf.types.experimental.ConcreteFunction, directory: str) -> None:
        module = tf.Module()
        # The model keeps its lookup tables; of its variables it does not tell TensorFlow of all.
        module.model = self._model
        module.serve = graph
        module.read = list(graph.graph.variables)
        try:
            tf.saved_model.save(module, directory, signatures=graph)
        except (ValueError, TypeError, AssertionError, tf.errors.OpError) as error:
            raise InputError(f"{self.name} can't be saved: {one_line(error)}") from error

    def _traced(self, specs: dict[str, tf.TensorSpec]) -> tf.types.experimental.ConcreteFunction:
        try:
            return traced_by_name(self._outputs, specs)
        except (TypeError, ValueError, KeyError, tf.errors.OpError) as error:
            raise InputError(
                f"{self.name} can't be called on {', '.join(specs)}: {one_line(error)}"
            ) from error

    def _outputs(self, features: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return self._named(self._call(dict(features)))

    def _named(self, outputs: object) -> dict[str, tf.Tensor]:
        if isinstance(outputs, Mapping):
            named = dict(outputs)
        elif isinstance(outputs, list | tuple) and len(outputs) > 1:
            names = self._output_names or []
            if len(names) != len(outputs):
                names = [f"output_{index}" for index in range(len(outputs))]
            named = dict(zip(names, outputs, strict=True))
        else:
            named = {"score": outputs[0] if isinstance(outputs, list | tuple) else outputs}
        return {name: tf.convert_to_tensor(output) for name, output in by_path(named)}


def load_keras_file(path: str | Path) -> keras.Model:
    """The model in a `.keras` file.

    Raises:
        InputError: there is no such file, or it can't be loaded.
    """
    if not Path(path).is_file():
        raise InputError(f"{path} does not exist; give a .keras file")
    try:
        with loading_in_place():
            model = keras.models.load_model(path, compile=False)
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        OSError,
        ImportError,
        zipfile.BadZipFile,
    ) as error:
        raise InputError(f"{path} {_what_fails(error)}") from error
    if not isinstance(model, keras.Model):
        raise InputError(f"{path} holds a {type(model).__name__}, not a keras.Model")
    return model


def _what_fails(error: Exception) -> str:
    """Why a file can't be loaded: the class or function that isn't known, or what Keras says of it."""
    innermost = error
    while isinstance(innermost.__cause__ or innermost.__context__, Exception):
        innermost = cast("Exception", innermost.__cause__ or innermost.__context__)
    reason = one_line(innermost)
    for pattern in _MISSING:
        if missing := pattern.search(reason):
            name, kind = missing["name"], missing.groupdict().get("kind", "class")
            return (
                f"needs the {kind} {name!r}, which is not known here: import what registers it (by "
                "keras.saving.register_keras_serializable) first, by --import MODULE on the command line, or "
                f"name it: --custom-object {shlex.quote(f'{name}=MODULE:CLASS')}"
            )
    reason = _CONFIG.sub("", reason)
    shown = reason if len(reason) <= _LONGEST else f"{reason[:_LONGEST].rpartition(' ')[0]} ..."
    return f"can't be loaded as a Keras model: {shown}"


def _declared(model: keras.Model) -> tuple[Call, dict[str, tf.TensorSpec], dict[str, str]]:
    """How a functional or sequential model is called, what it declares to take, and where in its inputs."""
    tensors, places = declared(model)
    names = {id(tensor): name for name, tensor in tensors.items()}
    structure = model.inputs[0] if isinstance(model, keras.Sequential) else model.input

    def call(features: dict[str, tf.Tensor]) -> object:
        return model(keras.tree.map_structure(lambda t: features[names[id(t)]], structure))

    return call, {name: _spec(name, tensor) for name, tensor in tensors.items()}, places


def _subclassed(model: keras.Model, name: str) -> Call:
    """How a subclassed model is called: Keras keeps whether its first argument was a dict."""
    required = [
        parameter.name
        for parameter in inspect.signature(model.call).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    shape = built_shape(model)
    if len(required) > 1:
        return lambda features: model(**features)
    if isinstance(shape, Mapping):
        return lambda features: model(packed(shape, features, is_shape))
    if isinstance(shape, Sequence) and shape and is_shape(shape):
        return lambda features: model(*features.values())
    raise InputError(
        f"{name} takes neither a dict of tensors nor a tensor; wrap it: "
        "keras.Model(inputs, model(...)), where inputs is a dict of keras.Input"
    )


def _spec(name: str, tensor: keras.KerasTensor) -> tf.TensorSpec:
    return tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype, name)


def _given(name: str, array: np.ndarray) -> tf.TensorSpec:
    dtype = tf.string if array.dtype.kind in "OSU" else tf.as_dtype(array.dtype)
    return tf.TensorSpec([None, *array.shape[1:]] if array.ndim else [], dtype, name)
