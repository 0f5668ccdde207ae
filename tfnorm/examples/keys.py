"""Keys that a model knows: those of the look-up tables that it seeks its inputs in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2

from tfnorm.graph.inline import BrokenGraph, Inliner
from tfnorm.graph.nodes import add_nodes, data_inputs, producer
from tfnorm.graph.ops import SHAPES
from tfnorm.session import SavedModel

_EXPORTS = {"LookupTableFind": "LookupTableExport", "LookupTableFindV2": "LookupTableExportV2"}
_SPLITS = ("StringSplit", "StringSplitV2")
_LETTERS = ("UnicodeDecode", "UnicodeDecodeWithOffsets")
# What they read is no key, but holds it in a form of its own.
_PARSERS = ("ParseExample", "ParseExampleV2", "DecodeCSV", "DecodeJSONExample", "DecodeProtoV2")


@dataclass(frozen=True, eq=False)
class Keys:
    """What an input may hold so that a table knows it.

    Attributes:
        values: the keys, in the input's dtype, each once.
        separator: what the model splits a string at; None where a string is one key.
    """

    values: np.ndarray
    separator: bytes | None = None


def table_keys(model: SavedModel, signature: str) -> dict[str, Keys]:
    """For each input that a signature seeks in tables, the keys that it finds there.

    Args:
        model: the loaded SavedModel.
        signature: the name of the signature.

    Returns:
        Input name -> its keys: those that all its tables know, or else those that any does.
    """
    definition = model.signature_defs[signature]
    outputs = [info.name for info in definition.outputs.values()]
    try:
        inliner = Inliner(model.graph.as_graph_def(), control_flow=True)
        nodes: Mapping[str, node_def_pb2.NodeDef] = inliner.graph(outputs).nodes
    except BrokenGraph:
        return {}
    fed = {producer(info.name): name for name, info in definition.inputs.items()}
    found: dict[str, list[set[object]]] = {}
    separators: dict[str, bytes] = {}
    exported: dict[str, set[object]] = {}
    for node in nodes.values():
        if node.op not in _EXPORTS:
            continue
        table, keys = data_inputs(node)[:2]
        reached = dict(_sources(nodes, keys, fed))
        if reached and table not in exported:
            exported[table] = _exported(model, node, table)
        for name, separator in reached.items():
            found.setdefault(name, []).append(exported[table])
            if separator is not None:
                separators[name] = separator
    inputs = model.signature(signature).inputs
    known = {
        name: Keys(_as_values(_shared(tables), inputs[name].dtype), separators.get(name))
        for name, tables in found.items()
    }
    return {name: keys for name, keys in known.items() if keys.values.size}


def _sources(
    nodes: Mapping[str, node_def_pb2.NodeDef], tensor: str, fed: Mapping[str, str]
) -> Iterator[tuple[str, bytes | None]]:
    """The inputs that a tensor is made of, and what strings are split at on the way."""
    pending: list[tuple[str, bytes | None]] = [(producer(tensor), None)]
    seen = set()
    while pending:
        name, separator = pending.pop()
        if name in fed:
            yield fed[name], separator
        if name in seen or name not in nodes:
            continue
        seen.add(name)
        node = nodes[name]
        if node.op in (*SHAPES, *_EXPORTS, *_PARSERS):
            continue
        if node.op in _LETTERS:
            separator = b""
        elif node.op in _SPLITS:
            separator = _constant(nodes, data_inputs(node)[1]) or b" "
        pending += [(producer(read), separator) for read in data_inputs(node)]


def _constant(nodes: Mapping[str, node_def_pb2.NodeDef], tensor: str) -> bytes | None:
    """A string of the graph; None for one that is computed."""
    node = nodes.get(producer(tensor))
    if node is None or node.op != "Const":
        return None
    return bytes(tf.make_ndarray(node.attr["value"].tensor).item())


def _exported(model: SavedModel, find: node_def_pb2.NodeDef, table: str) -> set[object]:
    """The keys of a table; none where it has none yet."""
    name = f"{model.graph.unique_name('tfnorm_keys')}/keys"
    graph_def = graph_pb2.GraphDef()
    node = graph_def.node.add(name=name, op=_EXPORTS[find.op], input=[table])
    node.attr["Tkeys"].type = find.attr["Tin"].type
    node.attr["Tvalues"].type = find.attr["Tout"].type
    add_nodes(graph_def.node, model.graph)
    made = model.graph.get_tensor_by_name(table).op
    # A dense table gives, and refuses to seek, what stands in it for an empty and for a deleted place.
    reserved = list(made.inputs) if "MutableDenseHashTable" in made.type else []
    try:
        keys, *left_out = model.session.run([f"{name}:0", *reserved])
    except tf.errors.OpError:
        return set()
    values = (np.asarray(key, keys.dtype).reshape(-1).tolist() for key in left_out)
    return set(keys.reshape(-1).tolist()).difference(*values)


def _shared(tables: list[set[object]]) -> set[object]:
    return set.intersection(*tables) or set.union(*tables)


def _as_values(keys: set[object], dtype: tf.DType) -> np.ndarray:
    """Keys as an input of a dtype holds them, in order; those that it can't hold are left out."""
    if dtype == tf.string:
        texts = {key if isinstance(key, bytes) else str(key).encode() for key in keys}
        return np.array(sorted(texts - {b""}), object)
    if not (dtype.is_integer or dtype.is_floating):
        return np.empty(0)
    numbers = sorted({number for key in keys if (number := _number(key)) is not None})
    if dtype.is_integer:
        numbers = [number for number in numbers if dtype.min <= number <= dtype.max]
    return np.array(numbers, dtype.as_numpy_dtype)


def _number(key: object) -> int | None:
    """The whole number that a key is, or spells."""
    if isinstance(key, int):
        return key
    if isinstance(key, bytes) and re.fullmatch(rb"-?\d+", key):
        return int(key)
    return None
