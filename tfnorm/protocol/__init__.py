"""What others read and write: TensorFlow Serving's messages as arrays."""
