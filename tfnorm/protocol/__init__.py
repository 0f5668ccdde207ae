"""What others read and write: TensorFlow Serving's messages as arrays, and reports as JSON."""
