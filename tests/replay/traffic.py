"""Rankers, traffic for them, and logs of what was answered."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

from tfnorm.errors import InputError
from tfnorm.scorers.scorer import Scorer

FEATURES = 4
HIDDEN = 6
ITEMS = 50


class Weights:
    """A ranker's weights, drawn from a seed."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.first = rng.normal(size=(FEATURES, HIDDEN)).astype(np.float32)
        self.items = rng.normal(size=(ITEMS, HIDDEN)).astype(np.float32)
        self.last = (rng.normal(size=HIDDEN) / 2).astype(np.float32)


class Numpy(Scorer):
    """The ranker in NumPy, which costs nothing to make: `[rows]` of x and of items to a score.

    Args:
        seed: of the weights.
        by_batch: whether it normalizes with the batch's statistics.
        logits: whether it gives logits.
    """

    signature = None
    concurrent = True

    def __init__(self, seed=0, *, by_batch=False, logits=False, name="a ranker"):
        self.name = name
        self.inputs = {
            "x": tf.TensorSpec([None, FEATURES], tf.float32, "x"),
            "item": tf.TensorSpec([None], tf.int32, "item"),
        }
        self._weights, self._by_batch, self._logits = Weights(seed), by_batch, logits

    def score(self, examples):
        weights = self._weights
        if not ((examples["item"] >= 0) & (examples["item"] < ITEMS)).all():
            raise InputError("an item is unknown")
        hidden = examples["x"] @ weights.first + weights.items[examples["item"]]
        if self._by_batch:
            hidden = (hidden - hidden.mean(0)) / np.sqrt(hidden.var(0) + 1e-3)
        logits = (np.tanh(hidden) @ weights.last).astype(np.float32)
        return {"score": logits if self._logits else 1 / (1 + np.exp(-logits))}

    def close(self):
        pass


class Module(tf.Module):
    """The same ranker in TensorFlow."""

    def __init__(self, seed=0, by_batch=False, logits=False):
        weights = Weights(seed)
        self.first, self.items, self.last = (
            tf.Variable(w) for w in (weights.first, weights.items, weights.last)
        )
        self._by_batch, self._logits = by_batch, logits

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, FEATURES], tf.float32, "x"),
            tf.TensorSpec([None], tf.int32, "item"),
        ]
    )
    def serve(self, x, item):
        hidden = x @ self.first + tf.gather(self.items, item)
        if self._by_batch:
            mean, variance = tf.nn.moments(hidden, [0])
            hidden = (hidden - mean) / tf.sqrt(variance + 1e-3)
        logits = tf.linalg.matvec(tf.tanh(hidden), self.last)
        return {"score": logits if self._logits else tf.sigmoid(logits)}


def save(module, directory):
    tf.saved_model.save(module, str(directory), signatures=module.serve)
    return Path(directory)


def requests(seed=0, count=40, rows=(1, 12)):
    """Requests of one row or more each."""
    rng = np.random.default_rng(seed)
    return [
        {
            "x": rng.normal(size=(size, FEATURES)).astype(np.float32),
            "item": rng.integers(0, ITEMS, size).astype(np.int32),
        }
        for size in rng.integers(*rows, count, endpoint=True)
    ]


def predicted(inputs, outputs, *, version=None, name="ranker", signature=""):
    """A PredictionLog of a request to predict and its answer."""
    log = PredictionLog()
    for arrays, protos in (
        (inputs, log.predict_log.request.inputs),
        (outputs, log.predict_log.response.outputs),
    ):
        for key, array in arrays.items():
            protos[key].CopyFrom(tf.make_tensor_proto(array))
    for spec in (log.predict_log.request.model_spec, log.predict_log.response.model_spec):
        spec.name, spec.signature_name = name, signature
    if version is not None:
        log.predict_log.response.model_spec.version.value = version
    return log


def write(path, logs, options=None):
    """A TFRecord of logs."""
    with tf.io.TFRecordWriter(str(path), options) as writer:
        for log in logs:
            writer.write(log if isinstance(log, bytes) else log.SerializeToString())
    return path


def answered(scorer, asked, **spec):
    """Logs of what a scorer answers."""
    return [predicted(inputs, scorer.score(inputs), **spec) for inputs in asked]


def recorded(server, asked, clients=1):
    """Logs of what a server answers, in the order in which the answers came."""
    logs = []
    with grpc.insecure_channel(f"{server.host}:{server.grpc_port}") as channel:
        stub = PredictionServiceStub(channel)

        def ask(inputs):
            request = PredictRequest()
            request.model_spec.name = server.name
            for key, array in inputs.items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(array))
            log = PredictionLog()
            log.predict_log.request.CopyFrom(request)
            log.predict_log.response.CopyFrom(stub.Predict(request, timeout=30))
            logs.append(log)

        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(ask, asked))
    return logs


def lines(path, asked, scorer, logged=None):
    """JSON lines of requests over REST and their answers; the requests may be logged otherwise."""
    written = []
    for scored, inputs in zip(asked, logged or asked, strict=True):
        answer = scorer.score(scored)
        body = {"inputs": {key: array.tolist() for key, array in inputs.items()}}
        written.append({"request": body, "response": {"outputs": answer["score"].tolist()}})
    path.write_text("\n".join(map(json.dumps, written)) + "\n")
    return path
