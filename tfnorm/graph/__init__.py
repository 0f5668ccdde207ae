"""A SavedModel's graph, read: calls written out in place, what each op does, where it came from."""
