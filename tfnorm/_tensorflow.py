"""Every private or undocumented name of TensorFlow that tfnorm uses, each behind what says its meaning.

tests/test_foundations.py holds each of them against the TensorFlow that is installed.

The messages of `tensorflow.core` are not among them: what they are made from are TensorFlow's formats on
disk and on the wire, which it keeps readable, and TensorFlow Serving's own client imports them from there.
They are imported where they are used.
"""

from __future__ import annotations

import functools
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2, op_def_pb2
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2
from tensorflow.python.autograph.core import ag_ctx
from tensorflow.python.eager import forwardprop_util
from tensorflow.python.eager.polymorphic_function import autograph_util
from tensorflow.python.framework import op_callbacks, op_def_registry, ops
from tensorflow.python.lib.io import _pywrap_record_io
from tensorflow.python.ops import control_flow_util
from tensorflow.python.saved_model import loader_impl

DEBUG_INFO = Path("debug", "saved_model_debug_info.pb")
"""Where a SavedModel keeps the source line of each op, beside `saved_model.pb`."""

COMPILED = "_XlaMustCompile"
"""The attribute of a function that XLA must compile."""

XLA_MARKS = ("_XlaCompile", COMPILED, "_XlaScope", "_XlaSeparateCompiledGradients")
"""The attributes of ops and functions that are for XLA."""

COLOCATED = "_class"
"""The attribute of an op with the names of those that it is placed with."""

GRADIENT = "_gradient_op_type"
"""The attribute of an op that names its gradient."""

INFERRED_SHAPES = "_output_shapes"
"""The attribute of an op with the shapes of its outputs."""

TAKEN_APART = "_lower_using_switch_merge"
"""The attribute of a branch or loop that a session takes apart, past what is fed for its outputs."""

GPU_AS_NEEDED = ("TF_FORCE_GPU_ALLOW_GROWTH", "true")
"""The variable that has TensorFlow leave a GPU's memory to other processes as well."""

_GIVING_BACK = ("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", "true")
_VECTORIZED = "loop_body"


def in_xla_context() -> bool:
    """Whether the ops that are made now are for XLA."""
    # TensorFlow traces a function anew where this differs.
    return not tf.executing_eagerly() and bool(
        control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())
    )


def followed_in_forward_mode(*tensors: tf.Tensor) -> bool:
    """Whether a `tf.autodiff.ForwardAccumulator` follows one of `tensors`."""
    return bool(forwardprop_util.pack_tangents(list(tensors)).tangents)


def ops_are_watched() -> bool:
    """Whether something looks at each op that is made, as after `tf.debugging.enable_check_numerics`.

    It puts ops of its own into every graph that is traced meanwhile, and XLA knows none of them.
    """
    return bool(op_callbacks.should_invoke_op_callbacks())


def op_definition(op_type: str) -> op_def_pb2.OpDef | None:
    """What an op takes, gives and does; None for one that this TensorFlow doesn't know."""
    definition: op_def_pb2.OpDef | None = op_def_registry.get(op_type)
    return definition


def function_graph(graph: tf.Graph, name: str) -> tf.Graph:
    """The graph of a function that `graph` calls by `name`."""
    return graph._get_function(name).graph


def captured(graph: tf.Graph) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """What the graph of a function takes from around it, such as handles of variables: outside, inside."""
    return list(graph.captures)


def variable_handles(variable: tf.Variable) -> list[tf.Tensor]:
    """The handle of a variable, or those of all replicas' where a strategy has made it."""
    return [part.handle for part in getattr(variable, "values", None) or (variable,)]


class _Inlining(threading.local):
    depth = 0


_inlining = _Inlining()
_inlining_threads = [0]
_lock = threading.Lock()
_Function = type(tf.function(lambda: None))
_call_function = _Function.__call__


def _call_inlined(function: Any, *arguments: Any, **named: Any) -> Any:
    # What a file has restored has no Python to run.
    if not _inlining.depth or type(function) is not _Function:
        return _call_function(function, *arguments, **named)
    body = function.python_function
    if tf.executing_eagerly():
        return body(*arguments, **named)
    status, options = ag_ctx.Status.DISABLED, function._experimental_autograph_options
    if function._autograph:
        status = ag_ctx.Status.ENABLED
        body = autograph_util.py_func_from_autograph(body, options)
    with ag_ctx.ControlStatusCtx(status, options):
        return body(*arguments, **named)


@contextmanager
def inlined_functions() -> Iterator[None]:
    """Every tf.function that this thread calls meanwhile becomes part of the graph around it.

    Its Python is run again, and what it was traced to before stays as it is. Other threads' calls are as
    ever, unlike with `tf.config.run_functions_eagerly`.
    """
    with _lock:
        _inlining_threads[0] += 1
        _Function.__call__ = _call_inlined
    _inlining.depth += 1
    try:
        yield
    finally:
        _inlining.depth -= 1
        with _lock:
            _inlining_threads[0] -= 1
            if not _inlining_threads[0]:
                _Function.__call__ = _call_function


def functions_are_inlined() -> bool:
    """Whether this thread's functions are, by `inlined_functions` or for the whole process."""
    return bool(_inlining.depth) or tf.config.functions_run_eagerly()


def traced_by_name(
    function: Callable[[dict[str, tf.Tensor]], Any], specs: Mapping[str, tf.TensorSpec]
) -> tf.types.experimental.ConcreteFunction:
    """A function of tensors by name as a graph, which takes them in the order of `specs`.

    TensorFlow takes some names for one another's, and others for no argument's.
    """

    def of_list(*tensors: tf.Tensor) -> Any:
        return function(dict(zip(specs, tensors, strict=True)))

    made = tf.function(of_list, input_signature=list(specs.values()), autograph=False)
    return made.get_concrete_function()


def make_callable_here(function: tf.types.experimental.ConcreteFunction) -> str:
    """Let the current graph call a function; the name to call it by."""
    function.add_to_graph(tf.compat.v1.get_default_graph())
    name: str = function.function_def.signature.name
    return name


def import_graph(
    graph_def: graph_pb2.GraphDef,
    graph: tf.Graph,
    *,
    reads: Iterable[str] = (),
    waits: Iterable[str] = (),
) -> None:
    """Add nodes to a graph under the names that they have.

    Args:
        graph_def: the nodes, and the functions that they call.
        graph: what they are added to.
        reads: the tensors of `graph` that the nodes read.
        waits: the operations of `graph` that the nodes wait for.

    Raises:
        RuntimeError: a node came out under another name, as where the graph has one of that name.
    """
    outside = {tensor: graph.get_tensor_by_name(tensor) for tensor in reads}
    outside |= {f"^{name}": _after(graph.get_operation_by_name(name)) for name in waits}
    names = [node.name for node in graph_def.node]
    with graph.as_default():
        added = tf.graph_util.import_graph_def(
            graph_def, name="", input_map=outside, return_elements=names
        )
    for name, operation in zip(names, added, strict=True):
        if operation.name != name:
            raise RuntimeError(f"TensorFlow imported node {name!r} as {operation.name!r}")


def _after(operation: tf.Operation) -> tf.Tensor:
    """A tensor that is there once an operation has run: an import waits for tensors alone."""
    if operation.outputs:
        return operation.outputs[0]
    with operation.graph.as_default(), tf.control_dependencies([operation]):
        return tf.constant(0)


def load_into_session(
    session: tf.compat.v1.Session,
    directory: str,
    restore: Callable[[meta_graph_pb2.MetaGraphDef], bool] | None = None,
) -> meta_graph_pb2.MetaGraphDef:
    """Load a SavedModel to serve into a session's graph, as TensorFlow Serving does.

    It is what `tf.compat.v1.saved_model.load` calls after its warning that it is deprecated. Where `restore`
    says that it has given the variables their values, they are not read from the files.
    """
    loader, tags = loader_impl.SavedModelLoader(directory), [tf.saved_model.SERVING]
    meta_graph: meta_graph_pb2.MetaGraphDef = loader.get_meta_graph_def_from_tags(tags)
    with session.graph.as_default():
        saver, _ = loader.load_graph(session.graph, tags)
        if restore is None or not restore(meta_graph):
            loader.restore_variables(session, saver)
        loader.run_init_ops(session, tags)
    return meta_graph


def session_callable(
    session: tf.compat.v1.Session, feeds: Sequence[str], fetches: Sequence[str], *, one_thread: bool
) -> Callable[..., list[np.ndarray]]:
    """What takes an array for each tensor of `feeds` and gives one for each of `fetches`, which are no feeds.

    `Session.run`, and what `Session.make_callable` gives, look at the fetches and the feeds anew in each
    call, which takes longer than many a model. Here an array is taken as it lies in memory, whatever its
    byte order is, and its shape is not compared with the placeholder's.

    Args:
        session: has the graph.
        feeds: names of tensors.
        fetches: names of others.
        one_thread: whether a call runs its ops one after another in its own thread, instead of in those of
            the session.

    Raises:
        tf.errors.OpError: the graph lacks one of the tensors, or can't be run.
    """
    options = config_pb2.CallableOptions(feed=feeds, fetch=fetches)
    if one_thread:
        options.run_options.inter_op_thread_pool = -1
    made: Callable[..., list[np.ndarray]] = session._make_callable_from_options(options)
    return made


@contextmanager
def tensor_memory() -> Iterator[None]:
    """Have TensorFlow give back what tensors took, where oneDNN's allocator keeps it for the next ones.

    It counts for the process whose first session or eager op comes while this lasts.
    """
    name, value = _GIVING_BACK
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def tf_records(path: Path, compression: str = "") -> Iterator[bytes]:
    """The records of a TFRecord, for which a `tf.data.TFRecordDataset` would be traced first."""
    records: Iterator[bytes] = _pywrap_record_io.RecordIterator(str(path), compression)
    return records


def custom_gradient(function: Callable[..., Any]) -> Callable[..., Any]:
    """`tf.custom_gradient`, without its hold on every graph in which it has been traced.

    TensorFlow registers the gradient of each trace under a name of its own, and never lets go of it, nor of
    the graph that it is a part of: each new trace of a model would cost memory until the process ends. Here
    it is the graph that holds the gradient.
    """
    differentiable = tf.custom_gradient(function)

    @functools.wraps(function)
    def call(*inputs: Any) -> Any:
        outputs = differentiable(*inputs)
        if not tf.executing_eagerly():
            _let_go_of_gradient(tf.nest.flatten(outputs)[0].op)
        return outputs

    return call


def _let_go_of_gradient(operation: tf.Operation) -> None:
    """Have the current graph hold the gradient of an op in it, in the place of TensorFlow's registry."""
    name = operation.get_attr(GRADIENT).decode()
    registered = ops.gradient_registry._registry
    gradient = registered[name]["type"]
    graph = tf.compat.v1.get_default_graph()
    graph.tfnorm_gradients = [*getattr(graph, "tfnorm_gradients", ()), gradient]
    held = weakref.ref(gradient, lambda _: registered.pop(name, None))

    def look_up(op: tf.Operation, *upstream: tf.Tensor) -> Any:
        found = held()
        if found is None:
            raise LookupError(
                f"the graph that {op.name!r} was traced in, and its gradient, are gone"
            )
        return found(op, *upstream)

    registered[name]["type"] = look_up


@functools.cache
def vectorized_map_detector() -> Callable[[], bool]:
    """What tells whether the caller is traced inside `tf.vectorized_map`, by the name scope it opens.

    Raises:
        RuntimeError: it opens another scope than expected.
    """
    seen = []

    def body(x: tf.Tensor) -> tf.Tensor:
        seen.append(_in_vectorized_map())
        return x + 1

    tf.function(
        lambda: tf.vectorized_map(body, tf.ones([2])), autograph=False
    ).get_concrete_function()
    if not seen or not all(seen):
        raise RuntimeError(
            f"tfnorm does not know how TensorFlow {tf.__version__} traces tf.vectorized_map, so what layers "
            "inside it are given can't be told; use a release of TensorFlow that this tfnorm was made for"
        )
    return _in_vectorized_map


def _in_vectorized_map() -> bool:
    return _VECTORIZED in tf.get_current_name_scope().split("/")
