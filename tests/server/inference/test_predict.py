"""Predict requests on a version, each checked before anything is made of it."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis.predict_pb2 import PredictRequest

from tfnorm.errors import InputError
from tfnorm.server.inference.predict import predict, run


def request(signature="", output_filter=(), **arrays):
    return PredictRequest(
        model_spec={"signature_name": signature},
        inputs={name: tf.make_tensor_proto(array) for name, array in arrays.items()},
        output_filter=output_filter,
    )


X = np.ones((4, 2), np.float32)


def test_a_request_is_run(loaded, everything):
    outputs = predict(loaded, request(x=X), 10_000)
    np.testing.assert_allclose(outputs["score"], everything.expected_score(X), rtol=1e-6)
    found = predict(loaded, request("embed", ["sum"], x=X, id=np.arange(4)), 64)
    assert found.keys() == {"sum"}


@pytest.mark.parametrize(
    ("asked", "error", "reason"),
    [
        (request("other", x=X), tf.errors.FailedPreconditionError, "'other' not found.*'embed'"),
        (request(), InputError, "input 'x' is missing"),
        (request(x=X, y=X), InputError, "no input 'y'"),
        (request(x=X[:, :1]), InputError, r"shape \[4, 1\]; accepted: .* \[None, 2\]"),
        (request(x=X.astype(int)), InputError, "int64 .* accepted: dtype float32"),
        (request("", ["a"], x=X), InputError, "no output 'a'"),
        (request("", ["score", "score"], x=X), InputError, "duplicate output"),
        (
            request(x=np.ones((200, 2), np.float32)),
            InputError,
            "1,600 bytes; accepted: up to 1,000",
        ),
        (
            request("embed", x=np.ones((70, 2), np.float32), id=np.zeros(70, int)),
            InputError,
            "accepted: up to",
        ),
    ],
)
def test_a_request_that_does_not_fit_is_refused(loaded, asked, error, reason):
    with pytest.raises(error, match=reason):
        predict(loaded, asked, 1_000)


def test_outputs_over_the_bound_are_refused_before_they_are_made(loaded, monkeypatch):
    feeds = {"text": np.array([b"a" * 100] * 4, object)}
    asked = {"signature": "text", "outputs": None}
    assert run(loaded, feeds, **asked, max_bytes=1_300)
    with pytest.raises(tf.errors.ResourceExhaustedError, match="the outputs have"):
        run(loaded, feeds, **asked, max_bytes=900)
    monkeypatch.setattr(loaded, "run", lambda *_, **__: pytest.fail("it ran"))
    many = {"id": np.zeros(100, np.int64), "x": np.zeros((1, 2), np.float32)}
    with pytest.raises(tf.errors.ResourceExhaustedError, match="100 rows give outputs of 1,600"):
        run(loaded, many, signature="embed", outputs=None, max_bytes=1_500)


@pytest.mark.parametrize(("kind", "name"), [("inputs", "x"), ("outputs", "score")])
@pytest.mark.parametrize("encoding", ["coo_sparse", "composite_tensor"])
def test_a_signature_of_several_tensors_in_one_is_a_failed_precondition(
    kind, name, encoding, loaded, monkeypatch
):
    changed = type(loaded.model.signature_defs["serving_default"])()
    changed.CopyFrom(loaded.model.signature_defs["serving_default"])
    getattr(getattr(changed, kind)[name], encoding).SetInParent()
    monkeypatch.setitem(loaded.model.signature_defs, "serving_default", changed)
    with pytest.raises(tf.errors.FailedPreconditionError, match=f"{name!r} as a sparse or compos"):
        predict(loaded, request(x=X), 10_000)
