"""TensorFlow Serving's messages as arrays, for whoever asks and whoever answers."""
