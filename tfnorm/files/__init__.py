"""Files of many rows, opened so that damage in them is noticed and told by its place."""
