"""From a Keras model to a concrete function, its interface and its statistics checked."""
