"""Click logs read from where they are, a part at a time."""
