"""Keras, with the one backend that tfnorm runs on; to import this is to check that."""

try:
    import keras
except ImportError as error:
    raise ImportError(
        f"tfnorm runs on Keras 3 with the TensorFlow backend, and importing Keras failed: {error}. "
        "Set KERAS_BACKEND=tensorflow if it names another backend."
    ) from error

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        "tfnorm runs on Keras 3 with the TensorFlow backend; "
        f"the backend here is {keras.backend.backend()!r}. Set KERAS_BACKEND=tensorflow."
    )
