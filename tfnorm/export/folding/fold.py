"""Fold moving statistics into the weights around them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.layers import Layer

from tfnorm._keras import Node, producer, replaced_calls
from tfnorm.export.folding import affine
from tfnorm.export.folding.affine import Affine, Call
from tfnorm.export.folding.linear import Linear, channel_axis, has_activation, is_linear, pads
from tfnorm.export.structure import Graph, Structure, read_by

# A Dense or Conv layer rounds its product by u |product|, which is u d after it was normalized with a mean d
# standard deviations from zero, folded or not. But what is all but constant is rounded alike in all rows, and
# that much is subtracted with the mean unless it is folded. So beyond this distance it isn't.
FARTHEST_MEAN = 16

_SUBTRACTED = ", but for its mean, which is subtracted first"

_one_at_a_time = threading.Lock()
# The calls of a layer, each with its graph.
Calls = list[tuple[Graph, Node]]

_SAME_AT_INFERENCE = (
    keras.layers.ActivityRegularization,
    keras.layers.AlphaDropout,
    keras.layers.Dropout,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.Identity,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
)


@dataclass(frozen=True, eq=False)
class Folding:
    """What to run instead of some layers' `call`.

    Attributes:
        calls: layer -> its `call` for inference.
        folded: layer -> what has taken it up.
        not_folded: layer -> why it has not been.
    """

    calls: dict[Layer, Call]
    folded: dict[Layer, str]
    not_folded: dict[Layer, str]

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Let the model run folded, in this thread and for as long as this lasts."""
        with _one_at_a_time:
            calls = {layer: _in_this_thread(call, layer.call) for layer, call in self.calls.items()}
            specs = {layer: layer.input_spec for layer in calls}
            try:
                # A layer that has taken up a product before it is given more channels, or fewer.
                for layer in calls:
                    layer.input_spec = None
                with replaced_calls(calls):
                    yield
            finally:
                for layer, spec in specs.items():
                    layer.input_spec = spec


def fold(structure: Structure, kept: Mapping[Layer, str], *, checked: bool) -> Folding:
    """Plan what to fold; the model stays as it is.

    Args:
        structure: of the model.
        kept: layer -> why it shall not be folded.
        checked: whether the outcome will be compared with the model. Without that, layers are left
            alone that Python code could use in another way than their graph does.
    """
    folder = _Folder(structure, checked)
    for layer in structure.layers():
        if not any(is_kind(layer) for is_kind in affine.KINDS):
            continue
        reason = kept[layer] if layer in kept else _unfit_dtype(layer)
        if reason is None:
            folder.add(layer)
        else:
            folder.not_folded[layer] = reason
    folder.fold_all()
    return Folding(folder.calls(), folder.folded, folder.not_folded)


class _Refused(Exception):
    """Why a fold can't be."""


class _Folder:
    def __init__(self, structure: Structure, checked: bool):
        self.folded: dict[Layer, str] = {}
        self.not_folded: dict[Layer, str] = {}
        self._structure = structure
        self._checked = checked
        self._normalizations: dict[Layer, Affine] = {}
        self._whitenings: list[Layer] = []
        # What is subtracted from the inputs of a layer that is folded otherwise.
        self._subtracted: dict[Layer, np.ndarray] = {}
        self._linears: dict[Layer, Linear] = {}
        self._dices: list[Layer] = []

    def add(self, layer: Layer) -> None:
        if affine.is_dice(layer):
            self._dices.append(layer)
            self.folded[layer] = _alone(affine.standardization(layer))
        elif affine.is_whitening(layer):
            self._whitenings.append(layer)
        else:
            self._normalizations[layer] = affine.normalization(layer)

    def fold_all(self) -> None:
        # What one fold takes away from between two layers can make another one possible.
        progress = True
        while progress:
            layers = [*self._normalizations, *self._whitenings]
            left = [layer for layer in layers if layer not in self.folded]
            progress = sum(self._fold(layer) for layer in left) > 0

    def calls(self) -> dict[Layer, Call]:
        calls = {layer: affine.activate(layer) for layer in self._dices}
        for layer, scaled in self._normalizations.items():
            gone = layer in self.folded
            calls[layer] = affine.leave_out(layer) if gone else affine.normalize(layer, scaled)
        for layer, center in self._subtracted.items():
            calls[layer] = affine.deviations(layer, center, _axis(layer))
        for layer, linear in self._linears.items():
            _, node = self._structure.uses[layer][0]
            calls[layer] = linear.build(node.input_tensors[0].shape).call
        return calls

    def _fold(self, layer: Layer) -> bool:
        reasons = []
        whitening = layer in self._whitenings
        attempts = [self._product] if whitening else [self._into_source, self._into_readers]
        for attempt in attempts:
            try:
                self.folded[layer] = attempt(layer, self._calls_of(layer))
            except _Refused as refused:
                reasons.append(str(refused))
            else:
                self.not_folded.pop(layer, None)
                return True
        stays = "as it is" if whitening else _alone(self._normalizations[layer])
        self.not_folded[layer] = f"{stays}: {'; '.join(dict.fromkeys(reasons))}"
        return False

    def _into_source(self, layer: Layer, calls: Calls) -> str:
        """Fold `layer` into the Dense or Conv whose output it normalizes."""
        sources = [self._source(graph, node) for graph, node in calls]
        target = sources[0].operation
        if not is_linear(target):
            raise _Refused(f"its input comes from {_name(target)}")
        if has_activation(target):
            raise _Refused(f"its input comes from the activation of {_name(target)}")
        channel, distance = affine.farthest_mean(layer)
        if not distance <= FARTHEST_MEAN:
            raise _Refused(
                f"the mean of channel {channel} is {distance:.3g} standard deviations from zero, which "
                f"{_name(target)} can't take up without costing digits"
            )
        self._check(target, sources, layer)
        self._take({target: self._linear(target).then(self._normalizations[layer])})
        return str(target.name)

    def _into_readers(self, layer: Layer, calls: Calls) -> str:
        """Fold `layer` into the Dense, Conv and BatchNormalization layers that read its output.

        Where its mean is too far from zero to be a part of their biases, it still subtracts that.
        """
        targets = self._targets(layer, calls)
        scaled = self._normalizations[layer]
        subtracted = scaled.far and not all(target in self._normalizations for target in targets)
        if subtracted:
            scaled = scaled.of_deviations()
        for target in targets:
            if pads(target) and np.any(scaled.at_zero()):
                raise _Refused(f"its output goes to {_name(target)}, which pads it with zeros")
        self._take(
            {
                target: (self._normalizations.get(target) or self._linear(target)).after(scaled)
                for target in targets
            }
        )
        names = ", ".join(target.name for target in targets)
        if not subtracted:
            return names
        self._subtracted[layer] = self._normalizations[layer].center
        return names + _SUBTRACTED

    def _product(self, layer: Layer, calls: Calls) -> str:
        """Fold the product of a Whitening with its matrix into the Dense layers that read it."""
        targets = self._targets(layer, calls)
        for target in targets:
            if not isinstance(target, keras.layers.Dense):
                raise _Refused(f"its output goes to {_name(target)}")
        kernel = affine.float64(layer.kernel)
        self._take({target: self._linear(target).after_product(kernel) for target in targets})
        self._subtracted[layer] = affine.float64(layer.mean)
        return ", ".join(target.name for target in targets) + _SUBTRACTED

    def _targets(self, layer: Layer, calls: Calls) -> list[Layer]:
        """The layers that read the output of `layer`, which they alone do and which is all they read."""
        readers = [
            reader for graph, node in calls for reader in self._readers(graph, node.outputs[0])
        ]
        targets = list(dict.fromkeys(reader.operation for reader in readers))
        for target in targets:
            if target in self._subtracted:
                raise _Refused(f"{_name(target)} subtracts its own mean first")
            if target not in self._normalizations and not is_linear(target):
                raise _Refused(f"its output goes to {_name(target)}")
            self._check(target, [node for node in readers if node.operation is target], layer)
        return targets

    def _source(self, graph: Graph, node: Node) -> Node:
        """The node whose output reaches `node` unchanged, and nothing else."""
        while True:
            (tensor,) = read_by(node)
            others = [reader for reader in graph.readers[id(tensor)] if reader is not node]
            if others:
                raise _Refused(f"its input also goes to {_reader(others[0])}")
            node = producer(tensor)
            if not self._passes_on(node):
                return node

    def _readers(self, graph: Graph, tensor: keras.KerasTensor) -> Iterator[Node]:
        """The nodes that `tensor` reaches unchanged."""
        for node in graph.readers[id(tensor)]:
            if node is None:
                raise _Refused(f"its output goes to {_reader(node)}")
            if self._passes_on(node):
                yield from self._readers(graph, node.outputs[0])
            else:
                yield node

    def _passes_on(self, node: Node) -> bool:
        operation = node.operation
        gone = operation in self._normalizations and operation in self.folded
        gone = gone and operation not in self._subtracted
        return gone or type(operation) in _SAME_AT_INFERENCE

    def _calls_of(self, layer: Layer) -> Calls:
        """Each call of `layer`, provided that its graphs know them all."""
        if layer in self._structure.hidden:
            raise _Refused(f"Python code of {_name(self._structure.hidden[layer])} calls it")
        calls = self._structure.uses[layer]
        if not self._checked and any(graph.called_from_python for graph, _ in calls):
            raise _Refused("Python code calls its model, and there are no examples to check on")
        if any(len(read_by(node)) != 1 for _, node in calls):
            raise _Refused("it is called with more than one tensor")
        return calls

    def _check(self, target: Layer, nodes: list[Node], layer: Layer) -> None:
        """Raise unless `nodes` are all calls of `target`, and its channels those of `layer`."""
        try:
            calls = self._calls_of(target)
        except _Refused as refused:
            raise _Refused(f"it meets {_name(target)}: {refused}") from None
        if {id(node) for node in nodes} != {id(node) for _, node in calls}:
            raise _Refused(f"{_name(target)} is called elsewhere too")
        if reason := _unfit_dtype(target):
            raise _Refused(f"of {_name(target)}, {reason}")
        rank = len(read_by(nodes[0])[0].shape)
        axis = target.axis % rank if target in self._normalizations else channel_axis(target, rank)
        if _axis(layer) % rank != axis:
            raise _Refused(
                f"its axis is {_axis(layer)}, and the channels of {_name(target)} are not"
            )

    def _linear(self, target: Layer) -> Linear:
        return self._linears.get(target) or Linear.of(target)

    def _take(self, changed: Mapping[Layer, Affine | Linear]) -> None:
        for target, weights in changed.items():
            if not weights.fits(target.variable_dtype):
                raise _Refused(f"the weights of {_name(target)} would overflow")
        for target, weights in changed.items():
            if isinstance(weights, Affine):
                self._normalizations[target] = weights
            else:
                self._linears[target] = weights


def _alone(scaled: Affine) -> str:
    """What a normalization is that no other layer takes up."""
    return "one subtract, multiply and add" if scaled.far else "one multiply and add"


def _axis(layer: Layer) -> int:
    """The axis of the channels of a normalization."""
    return -1 if affine.is_whitening(layer) else int(layer.axis)


def _unfit_dtype(layer: Layer) -> str | None:
    for dtype in (layer.compute_dtype, layer.variable_dtype):
        if dtype not in ("float32", "float64"):
            return f"it is in {dtype}"
    return None


def _name(operation: keras.Operation) -> str:
    return f"{operation.name} ({type(operation).__name__})"


def _reader(node: Node | None) -> str:
    return "the model's outputs" if node is None else _name(node.operation)


def _in_this_thread(call: Call, elsewhere: Call) -> Call:
    thread = threading.get_ident()

    def chosen(*args: Any, **kwargs: Any) -> tf.Tensor:
        return (call if threading.get_ident() == thread else elsewhere)(*args, **kwargs)

    return chosen
