"""Two scores of the same rows: which outputs belong together, and what it means where they differ."""
