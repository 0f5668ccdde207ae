"""What a TensorFlow Serving deployment needs beside the export."""
