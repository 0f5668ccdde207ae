import numpy as np
import pytest
import tensorflow as tf
from verify.tiny_servers import signature_def

from tfnorm.errors import InputError
from tfnorm.scorers.servers.metadata import signature_specs

DEFINITIONS = {
    "rank": signature_def(
        {"x": ("float32", [-1, 3]), "word": ("string", [-1])}, {"score": ("float32", [-1])}
    ),
    "embed": signature_def({"x": ("float64", [-1])}, {"vector": ("bfloat16", [-1, 8])}),
}


def test_a_signature_tells_its_inputs_and_outputs():
    inputs, outputs, defaults = signature_specs(DEFINITIONS, "rank", "a server")
    assert inputs == {
        "x": tf.TensorSpec([None, 3], tf.float32, "x"),
        "word": tf.TensorSpec([None], tf.string, "word"),
    }
    assert outputs == {"score": tf.TensorSpec([None], tf.float32, "score")}
    assert defaults == {}
    _, vectors, _ = signature_specs(DEFINITIONS, "embed", "a server")
    assert vectors == {"vector": tf.TensorSpec([None, 8], tf.bfloat16, "vector")}


def test_a_signature_tells_the_defaults_of_its_inputs():
    definition = signature_def({"x": ("float32", [-1]), "t": ("float32", [])}, {})
    definition.defaults["t"].CopyFrom(tf.make_tensor_proto(0.5))
    _, _, defaults = signature_specs({"rank": definition}, "rank", "a server")
    assert defaults == {"t": np.float32(0.5)}
    definition.defaults["t"].CopyFrom(tf.make_tensor_proto([1, 2]))
    with pytest.raises(InputError, match=r"metadata of signature 'rank' makes no sense: .*'t'"):
        signature_specs({"rank": definition}, "rank", "a server")


@pytest.mark.parametrize(
    ("definitions", "has"), [(DEFINITIONS, "'embed', 'rank'"), ({}, "none")], ids=["two", "none"]
)
def test_a_signature_that_is_not_there_is_told_with_those_that_are(definitions, has):
    with pytest.raises(InputError) as error:
        signature_specs(definitions, "classify", "grpc://host:1/m")
    assert str(error.value) == f"grpc://host:1/m has no signature 'classify'; it has {has}"
