"""A development server: a stand-in for machines without TensorFlow Serving.

It speaks TensorFlow Serving's gRPC and REST protocol with its own protos, runs SavedModels in the
same C++ session and takes up new versions as it does. It is for a laptop or a test, not for
production: one model, no batching, no version labels, no metrics, and no Classify or Regress.
"""

from tfnorm.server.server import Server, serve

__all__ = ["Server", "serve"]
