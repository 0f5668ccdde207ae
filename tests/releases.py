"""The releases of TensorFlow and Keras that run the tests."""


def release(package):
    """Its major and minor number."""
    return tuple(map(int, package.__version__.split(".")[:2]))
