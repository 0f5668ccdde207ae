import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfnorm.errors import InputError
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


@pytest.mark.parametrize("batch_dims", [0, 1])
def test_rows_are_looked_up_in_what_is_read_of_a_variable(tmp_path, batch_dims):
    module = tf.Module()
    module.table = tf.Variable(np.arange(12, dtype=np.float32).reshape(3, 4))
    specs = [tf.TensorSpec([None] * (1 + batch_dims), tf.int32, "id")]
    module.call = tf.function(
        lambda id: {
            "row": tf.raw_ops.ResourceGather(
                resource=module.table.handle, indices=id, dtype=tf.float32, batch_dims=batch_dims
            )
        },
        input_signature=specs,
    )
    tf.saved_model.save(module, str(tmp_path), module.call)
    ids = np.array([2, 0, 1], np.int32).reshape(-1, *[1] * batch_dims)
    with SavedModel(tmp_path) as model:
        before = model.run({"id": ids})["row"].tolist()
    assert "ResourceGather" in {getattr(made, "op", "") for made in definitions(tmp_path)}
    proto.finish(tmp_path, {}, {}, {})
    assert "ResourceGather" not in {getattr(made, "op", "") for made in definitions(tmp_path)}
    with SavedModel(tmp_path) as model:
        assert model.run({"id": ids})["row"].tolist() == before
        with pytest.raises(InputError, match="not in"):
            model.run({"id": ids + 9})
    again = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    assert again(id=tf.constant(ids))["row"].numpy().tolist() == before
