"""A replay as a person, a browser or a CI system reads it."""
