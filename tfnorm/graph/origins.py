"""Which Keras layer an op belongs to, and which line of source made it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorflow.core.framework import graph_debug_info_pb2, node_def_pb2

from tfnorm._tensorflow import DEBUG_INFO
from tfnorm.graph.inline import Origin
from tfnorm.graph.nodes import data_inputs, producer
from tfnorm.graph.ops import STATE_READS

# Scopes that TensorFlow's own functions open inside a layer.
_INNER_SCOPES = re.compile(r"^(moments|batchnorm|cond|while|scan|map|strided_slice)(_\d+)?$")
_NUMBERED = re.compile(r"^(.+)_\d+$")
_LIBRARIES = re.compile(r"[/\\](tensorflow|keras)[/\\]")


class Layers:
    """Finds layers by the name scopes that Keras opens around them.

    Keras traces a model a second time to export it, and TensorFlow then numbers each layer's scope
    once more (`dense` becomes `dense_1`). Whether it did is seen from the variables that ops read:
    they keep the layer's own name.
    """

    def __init__(self, nodes: Iterable[node_def_pb2.NodeDef], origins: Mapping[str, Origin]):
        self._owners: set[str] = set()
        same = numbered = 0
        for node in nodes:
            if node.op not in STATE_READS:
                continue
            owners = producer(data_inputs(node)[0]).split("/")[:-1]
            scopes = origins[node.name].name.split("/")[:-1]
            if owners:
                self._owners.update(owners)
                same += owners[-1] in scopes
                numbered += owners[-1] not in scopes and owners[-1] in map(_unnumbered, scopes)
        self._numbered = numbered > same
        # Without variables to tell, a number on all that is outermost is taken for TensorFlow's.
        if not same and not numbered:
            outer = {o.name.split("/")[0] for o in origins.values() if "/" in o.name}
            self._numbered = bool(outer) and all(map(_NUMBERED.match, outer))

    def layer(self, name: str) -> str | None:
        """The innermost layer around the op called `name`; None where it stands in no scope."""
        scopes = name.split("/")[:-1]
        if not self._numbered:
            owners = [scope for scope in scopes if scope in self._owners]
            scopes = [scope for scope in scopes if not _INNER_SCOPES.match(scope)]
            found = owners[-1:] or scopes[1:2] or scopes
            return found[0] if found else None
        layers = []
        for scope in scopes:
            if not _NUMBERED.match(scope) or _INNER_SCOPES.match(scope):
                break
            layers.append(_unnumbered(scope))
        return layers[-1] if layers else None

    def path(self, name: str) -> str | None:
        """Where the op called `name` stands: its layer, or in a graph that isn't Keras's all its scopes."""
        if self._numbered:
            return self.layer(name)
        scopes = [scope for scope in name.split("/")[:-1] if not _INNER_SCOPES.match(scope)]
        return "/".join(scopes) or None


class Sources:
    """Source lines, for a SavedModel that was saved with `save_debug_info=True`."""

    def __init__(self, directory: Path):
        self._info = graph_debug_info_pb2.GraphDebugInfo()
        path = directory / DEBUG_INFO
        if path.is_file():
            try:
                self._info.ParseFromString(path.read_bytes())
            except DecodeError:
                self._info.Clear()

    def line(self, origin: Origin) -> str | None:
        """`file:line` of the innermost frame outside TensorFlow and Keras."""
        frames = self._frames(f"{origin.node}@{origin.function}")
        own = [frame for frame in frames if not _LIBRARIES.search(frame)]
        return own[-1] if own else None

    def _frames(self, key: str) -> list[str]:
        """`file:line` of each frame, the outermost first."""
        info = self._info
        if key in info.name_to_trace_id:
            trace = info.traces_by_id[info.name_to_trace_id[key]]
        elif key in info.traces:
            trace = info.traces[key]
        else:
            return []
        frames = [info.frames_by_id[frame] for frame in trace.frame_id] or trace.file_line_cols
        return [f"{info.files[frame.file_index]}:{frame.line}" for frame in frames]


def _unnumbered(scope: str) -> str:
    numbered = _NUMBERED.match(scope)
    return numbered[1] if numbered else scope
