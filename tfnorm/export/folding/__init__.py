"""Normalization folded into the layers around it."""
