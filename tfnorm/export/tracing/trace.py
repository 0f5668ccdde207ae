"""From Python to a graph: one function that scores, and what it needs to be saved."""

from __future__ import annotations

import contextlib
import keyword
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfnorm._keras import lookup_tables
from tfnorm.errors import InputError
from tfnorm.export.tracing.checks import check_graph
from tfnorm.export.tracing.interface import Interface
from tfnorm.scorers.messages import one_line

# What the names of arguments begin with that are not called as their inputs.
_MADE = "tfnorm_input_"


@dataclass(frozen=True)
class Traced:
    """A traced model.

    Attributes:
        function: the graph.
        module: the variables and tables that the graph reads.
        names: graph argument -> input name, where TensorFlow can't take the name for an argument.
    """

    function: tf.types.experimental.ConcreteFunction
    module: tf.Module
    names: dict[str, str]

    @property
    def outputs(self) -> dict[str, tf.TensorSpec]:
        return {
            name: tf.TensorSpec(output.shape, output.dtype, name)
            for name, output in self.function.structured_outputs.items()
        }

    def call(self, features: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Run the graph, or make it part of the one that is being traced."""
        arguments = {name: made for made, name in self.names.items()}
        outputs: dict[str, tf.Tensor] = self.function(
            {arguments.get(name, name): value for name, value in features.items()}
        )
        return outputs

    def score(self, features: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run the graph on arrays."""
        outputs = self.call({name: tf.constant(array) for name, array in features.items()})
        return {name: output.numpy() for name, output in outputs.items()}


def trace(
    interface: Interface,
    altered: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
) -> Traced:
    """Trace a model in inference mode with a free batch dimension.

    Args:
        interface: of the model.
        altered: the context in which some of its layers run otherwise.

    Raises:
        InputError: it can't be called so, or its graph is not one to serve.
    """
    model = interface.model
    known = len(model.variables)
    arguments = _arguments(list(interface.inputs))

    def score(features: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return interface.score({name: features[arguments[name]] for name in arguments})

    specs = {
        arguments[name]: tf.TensorSpec(spec.shape, spec.dtype, arguments[name])
        for name, spec in interface.inputs.items()
    }
    try:
        with altered():
            function = tf.function(score, input_signature=[specs], autograph=False)
            concrete = function.get_concrete_function()
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise InputError(one_line(error)) from error
        raise InputError(
            f"{model.name!r} can't be called in inference mode with a free batch dimension: "
            f"{one_line(error)}"
        ) from error
    if len(model.variables) > known:
        raise InputError(
            f"{model.name!r} makes weights when it is called, so it has not been trained; "
            "fit it or call it on a batch first"
        )
    check_graph(concrete.graph)
    module = tf.Module()
    module.variables_ = list(concrete.variables)
    module.tables_ = list(lookup_tables(model))
    _check_resources(concrete, module)
    return Traced(
        concrete, module, {made: name for name, made in arguments.items() if made != name}
    )


def _arguments(names: Sequence[str]) -> dict[str, str]:
    """Input name -> what its argument is called: as the input, if `tf.saved_model.save` takes that."""
    # To TensorFlow, arguments whose names differ in this alone are one.
    alike = Counter(name.lower().strip("_") for name in names)
    return {
        name: name if _is_argument(name) and alike[name.lower().strip("_")] == 1 else f"{_MADE}{i}"
        for i, name in enumerate(names)
    }


def _is_argument(name: str) -> bool:
    """Whether Python takes it for the name of an argument, and it is none of ours."""
    usable = name.isascii() and name.isidentifier() and not keyword.iskeyword(name)
    return usable and name != "self" and not name.lower().startswith(_MADE)


def _check_resources(function: tf.types.experimental.ConcreteFunction, module: tf.Module) -> None:
    known = {id(variable.handle) for variable in module.variables_}
    known |= {id(table.resource_handle) for table in module.tables_}
    for tensor in function.captured_inputs:
        if tensor.dtype == tf.resource and id(tensor) not in known:
            raise InputError(
                "the model reads a table or another resource that is no attribute of any of its "
                "layers, and so can't be saved; make it one"
            )
