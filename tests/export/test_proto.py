import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfnorm.export import proto
from tfnorm.session import SavedModel

X = np.array([[1, 2]], np.float32)


@pytest.fixture
def saved(tmp_path):
    """y = a - 2 b, compiled by XLA, by two signatures."""
    module = tf.Module()
    compiled = tf.function(lambda b: 2 * b, jit_compile=True)
    specs = {name: tf.TensorSpec([None, 2], tf.float32, name) for name in ("a", "tfnorm_input_1")}
    module.call = tf.function(
        lambda f: {"y": f["a"] - compiled(f["tfnorm_input_1"])}, input_signature=[specs]
    )
    concrete = module.call.get_concrete_function()
    signatures = {"serving_default": concrete, "regress": concrete}
    tf.saved_model.save(module, str(tmp_path), signatures)
    return tmp_path


def definitions(path):
    (meta_graph,) = saved_model_pb2.SavedModel.FromString(
        (path / "saved_model.pb").read_bytes()
    ).meta_graphs
    functions = meta_graph.graph_def.library.function
    nodes = [node for function in functions for node in function.node_def]
    return [*meta_graph.graph_def.node, *functions, *nodes]


def marks(path):
    return [name for made in definitions(path) for name in made.attr if name.startswith("_Xla")]


def test_an_input_gets_its_name_and_the_model_computes_what_it_did(saved):
    proto.finish(saved, {"tfnorm_input_1": "user-id"}, {}, {"serving_default": {}})
    with SavedModel(saved) as model:
        assert set(model.signature().inputs) == {"a", "user-id"}
        assert model.run({"a": X, "user-id": 2 * X})["y"].tolist() == (-3 * X).tolist()


def test_a_signature_gets_its_method(saved):
    proto.finish(saved, {}, {"regress": "tensorflow/serving/regress"}, {})
    with SavedModel(saved) as model:
        assert model.signature("regress").method_name == "tensorflow/serving/regress"
        assert model.signature().method_name == "tensorflow/serving/predict"


def test_the_marks_for_xla_are_taken_away(saved):
    assert marks(saved)
    proto.finish(saved, {}, {}, {})
    assert not marks(saved)


def test_the_same_model_gives_the_same_bytes(saved):
    proto.finish(saved, {}, {}, {})
    first = (saved / "saved_model.pb").read_bytes()
    proto.finish(saved, {}, {}, {})
    assert (saved / "saved_model.pb").read_bytes() == first
