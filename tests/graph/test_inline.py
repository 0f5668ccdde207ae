"""Written out, a graph computes what it computed before, and its ops keep their names."""

import numpy as np
import tensorflow as tf
import zoo
from hand_made import traced

from tfnorm.graph.inline import Inliner
from tfnorm.session import SavedModel
from tfnorm.verify.culprit.probe import Probe


def _graph_def(directory):
    with SavedModel(directory) as model:
        outputs = [info.name for info in model.signature_defs["serving_default"].outputs.values()]
        return model.graph.as_graph_def(), outputs


def test_no_call_is_left_and_order_is_topological():
    graph_def, outputs = _graph_def(zoo.exported("masked GRU")[1])
    inlined = Inliner(graph_def, control_flow=True).graph(outputs)
    seen = set()
    for name, node in inlined.nodes.items():
        assert node.op not in ("PartitionedCall", "StatefulPartitionedCall", "If", "While")
        assert {t.lstrip("^").rpartition(":")[0] or t[1:] for t in node.input} <= seen
        seen.add(name)


def test_what_a_loop_changes_and_what_a_branch_hands_on_has_a_node_of_its_own():
    def call(x, flag):
        def turn(i, x, y):
            return i + 1, x, tf.cond(flag, lambda: y, lambda: tf.cosh(x + y))

        return tf.while_loop(lambda i, x, y: i < 3, turn, [0, x, x])[2]

    graph_def, _, outputs = traced(
        call, tf.TensorSpec([None, 3], tf.float32, "x"), tf.TensorSpec([], tf.bool, "flag")
    )
    inlined = Inliner(graph_def, control_flow=True).graph(outputs)
    carried = [inlined.nodes[name] for name in sorted(inlined.carried)]
    given = {node.input[0] for node in carried if node.attr["T"].type == tf.float32}
    assert given == {"x:0"}
    assert tf.int32 in [node.attr["T"].type for node in carried]
    ((choice, selector),) = inlined.choices.items()
    assert selector == "flag:0"
    branches = [[n for n in inlined.nodes if n.startswith(f"{choice}/{way}/")] for way in (0, 1)]
    assert all(branches)
    assert inlined.nodes.keys() == inlined.origins.keys()


def test_inlined_graph_gives_the_same_scores():
    for name in ("masked GRU", "string lookup", "control flow", "tf.Example"):
        specimen, directory = zoo.exported(name)
        with SavedModel(directory) as model:
            expected = list(model.run(specimen.examples).values())
            probe = Probe(model, "serving_default")
            found = probe.run(specimen.examples, probe.base.outputs)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_effects_happen_once_and_in_order(tmp_path):
    module = tf.Module()
    module.calls = tf.Variable(0.0)

    @tf.function
    def count():
        module.calls.assign_add(1.0)

    def serve(x):
        count()
        before = module.calls.read_value()
        count()
        return {"before": before + 0 * x, "after": module.calls + 0 * x}

    module.serve = tf.function(serve, input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    tf.saved_model.save(module, str(tmp_path), signatures=module.serve)
    with SavedModel(tmp_path) as model:
        probe = Probe(model, "serving_default")
        # The order of a message's map is its own: the probe reads this very one.
        names = list(model.signature_defs["serving_default"].outputs)
        for turn in range(3):
            values = dict(
                zip(names, probe.run({"x": np.zeros(1, "f")}, probe.base.outputs), strict=True)
            )
            assert values["before"] == [2 * turn + 1]
            assert values["after"] == [2 * turn + 2]
