"""What can be scored: a Keras model, a file, a server."""
