"""Normalizations in a SavedModel's graph: found, and watched while it scores."""
