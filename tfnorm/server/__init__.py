"""A development server: a stand-in for machines without TensorFlow Serving.

It speaks TensorFlow Serving's gRPC and REST protocol with its own protos, runs SavedModels in the
same C++ session, takes up and warms up new versions as it does, and batches requests as it does. It is
for a laptop or a test, not for production; docs/server.md has what is the same here and there.
"""

from tfnorm.server.batching.parameters import BatchingParameters, read_batching_parameters
from tfnorm.server.process import serve
from tfnorm.server.server import Server

__all__ = ["BatchingParameters", "Server", "read_batching_parameters", "serve"]
