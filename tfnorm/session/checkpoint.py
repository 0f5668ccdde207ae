"""What a checkpoint has, and its values for a session without a copy of those that are in memory already."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import (
    meta_graph_pb2,
    tensor_bundle_pb2,
    trackable_object_graph_pb2,
)

from tfnorm.session.memory import parts

# `.index` is a table as LevelDB has it: blocks of keys and values, each followed by a byte for how it is
# compressed, and at the end where the block is that has the places of the others.
_FOOTER, _MAGIC, _UNCOMPRESSED = 48, bytes.fromhex("57fb808b247547db"), 0

_OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"
_RESTORING = {"AssignVariableOp", "Const", "Identity", "NoOp", "RestoreV2"}
"""The ops of a function that restores variables alone."""


@dataclass(frozen=True)
class Place:
    """Where the bytes of a tensor are in a file."""

    file: Path
    offset: int
    size: int
    dtype: np.dtype
    shape: tuple[int, ...]

    def has(self, value: np.ndarray) -> bool:
        """Whether the file has the value, to the bit."""
        if (self.dtype, self.shape, self.size) != (value.dtype, value.shape, value.nbytes):
            return False
        flat = value.reshape(-1)
        with self.file.open("rb") as file:
            file.seek(self.offset)
            return all(file.read(flat[x].nbytes) == flat[x].tobytes() for x in parts(flat))


def places(prefix: Path) -> dict[str, Place]:
    """Key -> place, of the tensors of numbers that a checkpoint has in one piece.

    Args:
        prefix: the path of its files, as far as it is the same.
    """
    table = prefix.with_name(f"{prefix.name}.index").read_bytes()
    entries = dict(_table(table))
    header = tensor_bundle_pb2.BundleHeaderProto.FromString(entries.pop(b"", b""))
    found = {}
    for key, value in entries.items():
        # Pieces of a tensor have keys that begin so.
        if key.startswith(b"\0"):
            continue
        entry = tensor_bundle_pb2.BundleEntryProto.FromString(value)
        if entry.dtype != types_pb2.DT_STRING and not entry.slices:
            shard = f"{prefix.name}.data-{entry.shard_id:05d}-of-{header.num_shards:05d}"
            dtype = np.dtype(tf.as_dtype(entry.dtype).as_numpy_dtype)
            shape = tuple(axis.size for axis in entry.shape.dim)
            file = prefix.with_name(shard)
            found[key.decode()] = Place(file, entry.offset, entry.size, dtype, shape)
    return found


def saved_names(reader: tf.train.CheckpointReader) -> dict[str, str]:
    """Key in a checkpoint -> the name of the variable, in the order of the objects that hold them.

    Raises:
        google.protobuf.message.DecodeError: the checkpoint is damaged.
    """
    shapes = reader.get_variable_to_shape_map()
    if _OBJECTS not in shapes:
        return {name: name for name in sorted(shapes)}
    objects = trackable_object_graph_pb2.TrackableObjectGraph.FromString(
        reader.get_tensor(_OBJECTS)
    )
    return {
        attribute.checkpoint_key: attribute.full_name or attribute.checkpoint_key
        for node in objects.nodes
        for attribute in node.attributes
        if attribute.checkpoint_key in shapes
    }


def values(
    reader: tf.train.CheckpointReader, prefix: Path, held: Sequence[np.ndarray]
) -> Callable[[str], np.ndarray]:
    """What gives the value of a key: the array of `held` that has the file's bytes, or one that is read.

    Args:
        reader: of the checkpoint.
        prefix: the path of its files, as far as it is the same.
        held: arrays in memory.
    """
    found = places(prefix) if held else {}

    def value_of(key: str) -> np.ndarray:
        place = found.get(key)
        same = (array for array in held if place is not None and place.has(array))
        value = next(same, None)
        return np.asarray(reader.get_tensor(key)) if value is None else value

    return value_of


def restore(
    session: tf.compat.v1.Session,
    meta_graph: meta_graph_pb2.MetaGraphDef,
    prefix: Path,
    held: Sequence[np.ndarray],
) -> bool:
    """Give the variables of a loaded graph the values of a checkpoint.

    Where an array of `held` has the bytes that the checkpoint has, its memory becomes the variable's, which
    nothing may assign to.

    Returns:
        Whether that was done; not where the SavedModel restores something else than variables.
    """
    variables = _variables(meta_graph)
    if variables is None:
        return False
    value_of = values(tf.train.load_checkpoint(str(prefix)), prefix, held)
    with session.graph.as_default():
        for key, handle in variables.items():
            value = value_of(key)
            fed = tf.compat.v1.placeholder(value.dtype, value.shape)
            resource = session.graph.get_tensor_by_name(handle)
            session.run(tf.raw_ops.AssignVariableOp(resource=resource, value=fed), {fed: value})
    return True


def _variables(meta_graph: meta_graph_pb2.MetaGraphDef) -> dict[str, str] | None:
    """Key in the checkpoint -> handle of the variable, if the SavedModel restores nothing else."""
    graph = meta_graph.graph_def
    name = meta_graph.saver_def.restore_op_name
    call = next(node for node in graph.node if node.name == name)
    called = call.attr["f"].func.name
    body = next((f for f in graph.library.function if f.signature.name == called), None)
    if body is None:
        return None
    handles = dict(zip((x.name for x in body.signature.input_arg), call.input, strict=True))
    nodes = {node.name: node for node in body.node_def}
    if not {node.op for node in body.node_def} <= _RESTORING:
        return None
    found = {}
    for node in body.node_def:
        if node.op != "AssignVariableOp":
            continue
        handle, source = node.input[:2]
        while (giver := nodes[source.partition(":")[0]]).op == "Identity":
            source = giver.input[0]
        keys = tf.make_ndarray(nodes[giver.input[1].partition(":")[0]].attr["value"].tensor)
        found[keys[int(source.rpartition(":")[2])].decode()] = f"{handles[handle]}:0"
    return found


def _table(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a table; none of what is no such table."""
    if not table.endswith(_MAGIC):
        return
    # The first place is that of a block with keys for what else is known of the others.
    _, _, start, size = _numbers(table[-_FOOTER:], 4)[0]
    for _, place in _block(table, start, size):
        start, size = _numbers(place, 2)[0]
        yield from _block(table, start, size)


def _block(table: bytes, start: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    if table[start + size] != _UNCOMPRESSED:
        return
    block = table[start : start + size]
    # At the end are the numbers of the entries that have their whole keys, and how many these are.
    end = size - 4 * (1 + int.from_bytes(block[-4:], "little"))
    at, key = 0, b""
    while at < end:
        (shared, more, length), at = _numbers(block, 3, at)
        key = key[:shared] + block[at : at + more]
        yield key, block[at + more : at + more + length]
        at += more + length


def _numbers(data: bytes, count: int, at: int = 0) -> tuple[list[int], int]:
    """So many numbers of seven bits a byte, and where they end."""
    found = []
    for _ in range(count):
        number = shift = 0
        while True:
            byte = data[at]
            at += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        found.append(number)
    return found, at
