"""Signatures for tf.Example records, and warm-up requests."""
