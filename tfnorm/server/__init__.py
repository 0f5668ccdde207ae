"""A development server: a stand-in for machines without TensorFlow Serving.

It speaks TensorFlow Serving's gRPC and REST protocol with its own protos, runs SavedModels in the
same C++ session, takes up and warms up new versions as it does, and batches requests as it does. It is
for a laptop or a test, not for production: one model, no version labels, no metrics, and no Classify or
Regress.
"""

from tfnorm.server.batching.parameters import BatchingParameters, read_batching_parameters
from tfnorm.server.server import Server, serve

__all__ = ["BatchingParameters", "Server", "read_batching_parameters", "serve"]
