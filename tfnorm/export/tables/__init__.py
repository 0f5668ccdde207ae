"""Embedding tables: what an id gets that they do not have, and how their rows are stored."""
