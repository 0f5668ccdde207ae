"""In which batches the examples are scored."""
